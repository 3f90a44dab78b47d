package syscheck

import (
	"time"

	"github.com/vedette-hids/vedette/config"
)

// week is the interval while a time or day of the scan is configured (spec section 3.1).
const week = 604800 * time.Second

// minInterval keeps an empty frequency from scanning without a break.
const minInterval = time.Second

// schedule decides when a scan is due (spec section 3.2). It has no clock of its own.
type schedule struct {
	interval time.Duration
	at       string // "HH:MM", "" = unset
	days     [7]bool
	anyDay   bool
	last     time.Time // the last scan
	day      int       // day of the month
	done     bool      // the daily scan of this day
}

func newSchedule(cfg *config.Syscheck, now time.Time) *schedule {
	s := &schedule{
		interval: max(time.Duration(cfg.Frequency)*time.Second, minInterval),
		at:       cfg.ScanTime, days: cfg.ScanDays, anyDay: cfg.ScanDays == [7]bool{},
		last: now, day: now.Day(),
	}
	if s.timed() {
		s.interval = week
	}
	s.done = s.timed() && s.fits(now)
	return s
}

// timed reports whether a time or a day is set.
func (s *schedule) timed() bool { return s.at != "" || !s.anyDay }

// fits reports whether now satisfies the configured time and day.
func (s *schedule) fits(now time.Time) bool {
	return (s.at == "" || now.Format("15:04") >= s.at) && (s.anyDay || s.days[now.Weekday()])
}

// due reports whether a scan has to begin; asked says that one was requested.
func (s *schedule) due(now time.Time, asked bool) bool {
	if now.Day() != s.day {
		s.day, s.done = now.Day(), false
	}
	if s.timed() && !s.done && s.fits(now) {
		s.done = true
		return true
	}
	return asked || now.Sub(s.last) > s.interval
}
