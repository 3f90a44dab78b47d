package syscheck

import (
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
)

// TestSchedule runs the clock from the start of the daemon and lists when scans begin, each taking two minutes.
func TestSchedule(t *testing.T) {
	start := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC) // a Wednesday
	only := func(days ...time.Weekday) (week [7]bool) {
		for _, d := range days {
			week[d] = true
		}
		return week
	}
	for _, c := range []struct {
		name  string
		cfg   *config.Syscheck
		every time.Duration
		days  int
		asked string
		want  []string
	}{
		{"no section", nil, 10 * time.Hour, 1, "", []string{"25 20:00", "26 06:03", "26 16:06"}},
		{"interval", &config.Syscheck{ScanOnStart: true}, 10 * time.Hour, 1, "", []string{"25 20:00", "26 06:03", "26 16:06"}},
		{"not at the start", &config.Syscheck{}, 10 * time.Hour, 1, "", []string{"26 06:01", "26 16:04"}},
		{"asked", &config.Syscheck{}, 10 * time.Hour, 1, "25 21:00", []string{"25 21:00", "26 07:03", "26 17:06"}},
		{"time", &config.Syscheck{ScanTime: "21:30"}, time.Hour, 3, "", []string{"25 21:30", "26 21:30", "27 21:30"}},
		{"time that has passed", &config.Syscheck{ScanTime: "19:30", ScanOnStart: true}, time.Hour, 3, "", []string{"25 20:00", "26 19:30", "27 19:30", "28 19:30"}},
		{"days", &config.Syscheck{ScanDays: only(time.Thursday, time.Saturday)}, time.Hour, 4, "", []string{"26 00:00", "28 00:00"}},
		{"today is the day already", &config.Syscheck{ScanDays: only(time.Wednesday)}, time.Hour, 2, "", nil},
		{"time and day", &config.Syscheck{ScanTime: "03:00", ScanDays: only(time.Friday)}, time.Hour, 4, "", []string{"27 03:00"}},
		{"a week without the day", &config.Syscheck{ScanDays: only(time.Wednesday), ScanOnStart: true}, time.Hour, 8, "", []string{"25 20:00", "02 00:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSchedule(c.cfg, c.every, start)
			var got []string
			for now := start; now.Before(start.AddDate(0, 0, c.days)); now = now.Add(time.Minute) {
				at := now.Format("02 15:04")
				if s.Due(now, at == c.asked) {
					got = append(got, at)
					now = now.Add(2 * time.Minute)
					s.Ended(now)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("scans at %q, want %q", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("scans at %q, want %q", got, c.want)
				}
			}
		})
	}
}
