package monitor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/report"
)

// Times of the monitor.
const (
	every      = 30 * time.Second // how often it looks at the date
	catchUp    = 31               // days before today that are closed after a start
	firstRetry = time.Minute      // between attempts to mail a report
	maxRetry   = 15 * time.Minute
	attempts   = 10
)

// Reporter mails a report; mail.Mailer is one.
type Reporter interface {
	Report(ctx context.Context, to []string, title, text string) error
}

// Options of New.
type Options struct {
	Root       string
	DayWait    time.Duration // after midnight, for the last alerts of the day (monitord.day_wait)
	NoCompress bool          // monitord.compress=0
	NoSums     bool          // monitord.sign=0
	Reports    []config.Report
	Mail       Reporter  // nil = reports are not possible
	Log        *olog.Log // of "ossec-monitord"
}

// Monitor closes days. Make it with New.
type Monitor struct {
	o        Options
	reported map[time.Time]bool // days whose reports were made since the start
}

// New makes a monitor. Reports without a way to mail them are logged and left out.
func New(o Options) *Monitor {
	if len(o.Reports) > 0 && o.Mail == nil {
		o.Log.Error("SMTP server or 'email from' missing. Disabling email reports.")
		o.Reports = nil
	}
	return &Monitor{o: o, reported: map[time.Time]bool{}}
}

// Run closes the days that ended while no manager ran, and then each day after its end, until ctx ends.
func (m *Monitor) Run(ctx context.Context) error {
	today := midnight(time.Now())
	open := m.unclosed(today)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		open = m.closeDays(ctx, open)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if now := midnight(time.Now()); now.After(today) {
			if !sleep(ctx, m.o.DayWait) {
				return nil
			}
			for ; today.Before(now); today = today.AddDate(0, 0, 1) {
				open = append(open, today)
			}
		} else {
			today = now // the clock was set back
		}
	}
}

func midnight(t time.Time) time.Time {
	y, mo, d := t.Date()
	return time.Date(y, mo, d, 0, 0, 0, 0, t.Location())
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unclosed finds earlier days whose files were left as they are, oldest first.
func (m *Monitor) unclosed(today time.Time) []time.Time {
	var days []time.Time
	for back := catchUp; back > 0; back-- {
		day := today.AddDate(0, 0, -back)
		if slices.ContainsFunc(order[:], func(k alert.Kind) bool {
			path := alert.DailyPath(m.o.Root, k, day)
			return exists(path) && (!m.o.NoCompress || !m.o.NoSums && !exists(path+".sum"))
		}) {
			days = append(days, day)
		}
	}
	return days
}

// closeDays closes days and returns those that have to be tried again.
func (m *Monitor) closeDays(ctx context.Context, days []time.Time) (again []time.Time) {
	for _, day := range days {
		if ctx.Err() != nil {
			return nil
		}
		if err := m.CloseDay(ctx, day); err != nil {
			m.o.Log.Every("close", 10*time.Minute).Error("%v", err)
			again = append(again, day)
		}
	}
	return again
}

// mailing is a report that is ready.
type mailing struct {
	to          []string
	title, text string
}

// CloseDay makes the reports of a day, closes its files and mails the reports, in this order, so that a mail server that is down delays
// nothing else. Reports are made only while the day's alert file is not closed.
func (m *Monitor) CloseDay(ctx context.Context, day time.Time) error {
	for _, k := range order {
		if m.current(k, day) {
			return fmt.Errorf("closing the day %s: %w: %s", day.Format(time.DateOnly), errOpen, k)
		}
	}
	var ready []mailing
	if !m.reported[day] && !exists(alert.DailyPath(m.o.Root, alert.Alerts, day)+".sum") {
		ready = m.reports(day)
	}
	m.reported[day] = true
	err := m.rotate(day)
	for _, r := range ready {
		m.send(ctx, r)
	}
	return err
}

// reports makes the texts of the day's reports.
func (m *Monitor) reports(day time.Time) []mailing {
	var ready []mailing
	for _, r := range m.o.Reports {
		m.o.Log.Info("Starting daily reporting for '%s'", r.Title)
		text, err := m.report(r, alert.DailyPath(m.o.Root, alert.Alerts, day))
		switch {
		case err != nil:
			m.o.Log.Error("Report '%s': %v", r.Title, err)
		case text == "":
			m.o.Log.Info("Report '%s' empty.", r.Title)
		default:
			ready = append(ready, mailing{r.EmailTo, r.Title, text})
		}
	}
	return ready
}

// report makes one report of the alerts in the file at path; "" = no alert.
func (m *Monitor) report(r config.Report, path string) (string, error) {
	o, problems := report.FromConfig(r)
	for _, err := range problems {
		m.o.Log.Warn("Report '%s': %v", r.Title, err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := report.New(o)
	if err := s.Read(f, nil); err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := s.Write(&b); err != nil {
		return "", fmt.Errorf("writing: %w", err)
	}
	return b.String(), nil
}

// send mails a report, several times if need be.
func (m *Monitor) send(ctx context.Context, r mailing) {
	wait := firstRetry
	for n := 1; ; n++ {
		err := m.o.Mail.Report(ctx, r.to, r.title, r.text)
		if err == nil {
			return
		}
		if n == attempts || ctx.Err() != nil {
			m.o.Log.Error("Report '%s' not mailed: %v", r.title, err)
			return
		}
		m.o.Log.Warn("Report '%s': %v; next attempt in %s.", r.title, err, wait)
		if !sleep(ctx, wait) {
			return
		}
		wait = min(2*wait, maxRetry)
	}
}
