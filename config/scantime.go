package config

import (
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/config/xmlconf"
)

// scanTime reads the time of day of a scan.
func (p *parser) scanTime(e *xmlconf.Node) {
	text, rest, ok := parseTime(e.Text)
	if !ok {
		if rest != "" {
			// OSSEC checks the value as a span of time from it to itself, and shows that
			p.fail(e, 1240, "ERROR: Invalid time format: '"+rest+"-"+e.Text+"'.", "expected HH, HH:MM, or either with am or pm")
		}
		p.bad(e, "expected HH, HH:MM, or either with am or pm")
		return
	}
	p.cfg.Syscheck.ScanTime = text
}

// parseTime reads "9", "21:30", "9 pm", "9:30pm" into "HH:MM". rest is the text that could not be read, "" when the whole is refused.
func parseTime(s string) (text, rest string, ok bool) {
	if strings.HasPrefix(s, "!") {
		return "", "", false
	}
	t := strings.TrimLeft(s, " ")
	hour, after, ok := leadDigits(t, 1, 2)
	if !ok || hour > 23 {
		return "", t, false
	}
	minute := 0
	if m, found := strings.CutPrefix(after, ":"); found {
		if minute, after, ok = leadDigits(m, 2, 2); !ok || minute > 59 {
			return "", m, false
		}
	}
	switch half := strings.ToLower(strings.Trim(after, " ")); half {
	case "":
	case "am":
		if hour == 12 {
			hour = 0
		}
	case "pm":
		if hour < 12 {
			hour += 12
		}
	default:
		return "", strings.TrimLeft(after, " "), false
	}
	return fmt.Sprintf("%02d:%02d", hour, minute), "", true
}

// leadDigits reads from low to high digits, no more following.
func leadDigits(s string, low, high int) (v int, rest string, ok bool) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		if n < high {
			v = v*10 + int(s[n]-'0')
		}
		n++
	}
	return v, s[n:], n >= low && n <= high
}

// dayNames in the order in which they are tried: longer names first.
var dayNames = []struct {
	name string
	days []int
}{
	{"sunday", []int{0}}, {"sun", []int{0}},
	{"monday", []int{1}}, {"mon", []int{1}},
	{"tuesday", []int{2}}, {"tue", []int{2}},
	{"wednesday", []int{3}}, {"wed", []int{3}},
	{"thursday", []int{4}}, {"thu", []int{4}},
	{"friday", []int{5}}, {"fri", []int{5}},
	{"saturday", []int{6}}, {"sat", []int{6}},
	{"weekdays", []int{1, 2, 3, 4, 5}}, {"weekends", []int{0, 6}},
}

// scanDay reads the days of scans.
func (p *parser) scanDay(e *xmlconf.Node) {
	days, rest, ok := parseDays(e.Text)
	if !ok {
		p.fail(e, 1241, "ERROR: Invalid day format: '"+rest+"'.", "")
		p.bad(e, "expected names of days, weekdays or weekends, separated by commas")
		return
	}
	p.cfg.Syscheck.ScanDays = days
}

// parseDays reads day names separated by commas and blanks; rest is the text that could not be read.
func parseDays(s string) (days [7]bool, rest string, ok bool) {
	found := false
	for {
		if s = strings.TrimLeft(s, " ,"); s == "" {
			return days, "", found
		}
		n := 0
		for _, d := range dayNames {
			if len(s) >= len(d.name) && strings.EqualFold(s[:len(d.name)], d.name) {
				n, found = len(d.name), true
				for _, i := range d.days {
					days[i] = true
				}
				break
			}
		}
		if n == 0 || n < len(s) && s[n] != ' ' && s[n] != ',' {
			return days, s[n:], false
		}
		s = s[n:]
	}
}
