package syscheck

import (
	"time"

	"github.com/vedette-hids/vedette/config"
)

// week is the interval while a time or day of the scan is configured (spec section 3.1).
const week = 604800 * time.Second

// minInterval keeps an empty frequency from scanning without a break.
const minInterval = time.Second

// Schedule decides when a scan of files or a rootcheck scan is due (spec section 3.2). It has no clock of its own.
type Schedule struct {
	interval time.Duration
	at       string // "HH:MM", "" = unset
	days     [7]bool
	anyDay   bool
	last     time.Time // the last scan; zero = none, so that one is due
	day      int       // day of the month
	done     bool      // the daily scan of this day
}

// NewSchedule makes the schedule of scans that are every so far apart. With a time or a day of scans in cfg they come once a week, and on the
// day's time besides. The first one is due at once, unless cfg says that nothing is scanned at the start. cfg may be nil.
func NewSchedule(cfg *config.Syscheck, every time.Duration, now time.Time) *Schedule {
	s := &Schedule{interval: max(every, minInterval), anyDay: true, day: now.Day()}
	if cfg == nil {
		return s
	}
	s.at, s.days, s.anyDay = cfg.ScanTime, cfg.ScanDays, cfg.ScanDays == [7]bool{}
	if s.timed() {
		s.interval = week
	}
	s.done = s.timed() && s.fits(now)
	if !cfg.ScanOnStart {
		s.last = now
	}
	return s
}

// timed reports whether a time or a day is set.
func (s *Schedule) timed() bool { return s.at != "" || !s.anyDay }

// fits reports whether now satisfies the configured time and day.
func (s *Schedule) fits(now time.Time) bool {
	return (s.at == "" || now.Format("15:04") >= s.at) && (s.anyDay || s.days[now.Weekday()])
}

// Due reports whether a scan has to begin; asked says that one was requested.
func (s *Schedule) Due(now time.Time, asked bool) bool {
	if now.Day() != s.day {
		s.day, s.done = now.Day(), false
	}
	if s.timed() && !s.done && s.fits(now) {
		s.done = true
		return true
	}
	return asked || now.Sub(s.last) > s.interval
}

// Ended notes the end of a scan, from which the interval counts.
func (s *Schedule) Ended(now time.Time) { s.last = now }
