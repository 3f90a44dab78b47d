package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// StatsStore keeps what statistics need after a restart and what they report (spec rules.md, section 12). DirStats is one.
type StatsStore interface {
	Load() (Averages, error)
	Save(a Averages) error
	// Totals appends text to the report of a day.
	Totals(day time.Time, text string) error
}

// Averages are the learnt numbers of events per hour. Index 24 is the number of days learnt.
type Averages struct {
	Hourly [25]int
	Weekly [7][25]int // Sunday first
}

// DaysLearnt is the index of the number of days in an average.
const DaysLearnt = 24

// learntEnough is the number of days that must be exceeded before alerts are given; maxStatAlerts is their number per day.
const (
	learntEnough  = 2
	maxStatAlerts = 3
)

// Statistics counts events, compares them with what is usual for the hour and writes totals. It belongs to one State, which calls it;
// it is not safe for concurrent use.
type Statistics struct {
	store StatsStore
	avg   Averages

	started bool
	at      time.Time // hour and day being counted
	today   [24]int   // events per hour since the start or the last change of day

	given     int  // statistical alerts of this day
	givenHour bool // one was given in this hour

	alerts, events, syscheck, firewall int // of this hour
}

// NewStatistics loads the averages. A nil store keeps everything in memory.
func NewStatistics(store StatsStore) (*Statistics, error) {
	st := &Statistics{store: store}
	if store == nil {
		return st, nil
	}
	avg, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("loading statistics: %w", err)
	}
	st.avg = avg
	return st, nil
}

// Averages gives what is known so far.
func (st *Statistics) Averages() Averages { return st.avg }

// statistics counts the event in hand, writes totals when the hour changed, and returns the statistical alert if one is due.
func (s *State) statistics(st *Statistics, ev *event.Event, now time.Time) *event.Alert {
	opts := &s.rs.opts
	local := now.In(opts.Location)
	st.events++
	switch {
	case ev.Kind == event.KindSyscheck:
		st.syscheck++
	case ev.Type == event.TypeFirewall:
		st.firewall++
	}
	if !st.started {
		st.started, st.at = true, local
	}
	if local.Hour() != st.at.Hour() || local.YearDay() != st.at.YearDay() || local.Year() != st.at.Year() {
		s.rollOver(st, local)
	}
	st.today[local.Hour()]++
	text := st.excess(opts, local)
	if text == "" || opts.StatsLevel < 1 || opts.StatsLevel < opts.LogLevel {
		return nil
	}
	return s.statAlert(ev, text)
}

// statRule is the rule of statistical alerts.
func statRule(opts *Options) *event.Rule {
	return &event.Rule{ID: 11, Level: opts.StatsLevel, Groups: "stats,", Description: "Excessive number of events (above normal).",
		Log: true, Mail: opts.StatsLevel >= opts.EmailLevel, NoAR: true}
}

// statAlert makes an alert that has nothing of the event but where it came from.
func (s *State) statAlert(ev *event.Event, text string) *event.Alert {
	a := s.alert(statRule(&s.rs.opts), 0)
	a.Event = &event.Event{Kind: ev.Kind, Agent: ev.Agent, Location: ev.Location, Source: ev.Source, Received: ev.Received,
		Hostname: ev.Hostname, Raw: text, FullLog: text, Log: text}
	return a
}

// excess gives the text of a statistical alert, "" when the number of events is usual.
func (st *Statistics) excess(opts *Options, local time.Time) string {
	if st.avg.Hourly[DaysLearnt] <= learntEnough || st.given >= maxStatAlerts || st.givenHour {
		return ""
	}
	h := local.Hour()
	text := ""
	if a, c := st.avg.Hourly[h], st.today[h]; above(opts, a, c) {
		text = fmt.Sprintf("The average number of logs between %d:00 and %d:00 is %d. We reached %d.", h, h+1, a, c)
	} else {
		week := &st.avg.Weekly[local.Weekday()]
		if a, c := week[h], st.today[h]; week[DaysLearnt] > learntEnough && above(opts, a, c) {
			text = fmt.Sprintf("The average number of logs between %d:00 and %d:00 on %s is %d. We reached %d.", h, h+1, local.Weekday(), a, c)
		}
	}
	if text != "" {
		st.given++
		st.givenHour = true
	}
	return text
}

// above reports whether count exceeds the average by more than the tolerated difference.
func above(opts *Options, average, count int) bool {
	if average == 0 {
		return false
	}
	d := average*opts.StatsPercentDiff/100 + 1
	return count > average+min(max(d, opts.StatsMinDiff), opts.StatsMaxDiff)
}

// rollOver ends an hour, and the day if it changed too.
func (s *State) rollOver(st *Statistics, local time.Time) {
	var b strings.Builder
	hour := st.at.Hour()
	s.rs.InTreeOrder(func(r *Rule) {
		if n := s.fired[r.index]; n > 0 {
			fmt.Fprintf(&b, "%d-%d-%d-%d\n", hour, r.ID, r.Level, n)
		}
	})
	fmt.Fprintf(&b, "%d--%d--%d--%d--%d\n\n", hour, st.alerts, st.events, st.syscheck, st.firewall)
	newDay := local.YearDay() != st.at.YearDay() || local.Year() != st.at.Year()
	if newDay {
		total := 0
		for h, n := range st.today {
			fmt.Fprintf(&b, "Hour totals - %d:%d\n", h, n)
			total += n
		}
		fmt.Fprintf(&b, "Total events for day:%d\n", total)
	}
	if st.store != nil {
		if err := st.store.Totals(st.at, b.String()); err != nil {
			s.message("ERROR: Writing statistics: " + err.Error())
		}
	}
	if newDay {
		s.learn(st)
	}
	st.at, st.givenHour = local, false
	st.alerts, st.events, st.syscheck, st.firewall = 0, 0, 0, 0
	clear(s.fired)
}

// learn takes the counters of the day that ended into the averages.
func (s *State) learn(st *Statistics) {
	wd := st.at.Weekday()
	st.avg.Hourly[DaysLearnt]++
	week := &st.avg.Weekly[wd]
	if !s.rs.opts.OssecExact {
		week[DaysLearnt]++ // OSSEC never counts them, so that its weekly averages are without effect
	}
	days := min(st.avg.Hourly[DaysLearnt], 7)
	weeks := min(week[DaysLearnt], 7)
	if s.rs.opts.OssecExact {
		weeks = days
	}
	for h := range 24 {
		st.avg.Hourly[h] = st.average(st.avg.Hourly[h], st.today[h], days)
		week[h] = st.average(week[h], st.today[h], weeks)
	}
	if s.rs.opts.OssecExact {
		for d := range st.avg.Weekly {
			st.avg.Weekly[d][DaysLearnt] = 0
		}
	}
	st.given = 0
	st.today = [24]int{}
	if st.store != nil {
		if err := st.store.Save(st.avg); err != nil {
			s.message("ERROR: Writing statistics: " + err.Error())
		}
	}
}

// average takes the count of a day into an average over n days; a day with many alerts counts three times.
func (st *Statistics) average(a, count, n int) int {
	switch {
	case count == 0:
		return a
	case a == 0:
		return count + 20
	case st.given >= maxStatAlerts:
		return (3*count+n*a)/(n+3) + 25
	}
	return (count+n*a)/(n+1) + 5
}
