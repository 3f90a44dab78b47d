package rules

import (
	"strings"
	"time"
)

// timeRange is a <time> condition. The ends are compared as texts "HH:MM", so that minutes above 59 keep OSSEC's meaning.
type timeRange struct {
	from, to string
	negate   bool
}

// contains tests the minute of the day.
func (r *timeRange) contains(hour, minute int) bool {
	b := [5]byte{byte('0' + hour/10), byte('0' + hour%10), ':', byte('0' + minute/10), byte('0' + minute%10)}
	now := string(b[:])
	if r.from <= r.to {
		return (r.from <= now && now <= r.to) != r.negate
	}
	// A range over midnight excludes both end minutes, and loses its negation.
	return !(r.to <= now && now <= r.from)
}

// clockFault says at which rest of the text a time or a day could not be read.
type clockFault struct {
	rest   string
	silent bool // OSSEC reports only that the element is wrong, not where
}

// parseTime reads `[!]T1-T2` (spec rules.md, 4.5). Doubts are forms that OSSEC accepts although they are most likely mistakes.
func parseTime(s string) (r *timeRange, doubts []string, fault *clockFault) {
	r = &timeRange{}
	p := &clockReader{s: s}
	p.blanks()
	if strings.HasPrefix(p.s, "!") {
		r.negate = true
		p.s = p.s[1:]
		p.blanks()
	}
	if r.from, fault = p.clock(); fault != nil {
		return nil, p.doubts, fault
	}
	if !strings.HasPrefix(p.s, "-") {
		return nil, p.doubts, &clockFault{p.s, true}
	}
	p.s = p.s[1:]
	p.blanks()
	if r.to, fault = p.clock(); fault != nil {
		return nil, p.doubts, fault
	}
	if p.s != "" {
		return nil, p.doubts, &clockFault{p.s, true}
	}
	return r, p.doubts, nil
}

type clockReader struct {
	s      string
	doubts []string
}

func (p *clockReader) blanks() { p.s = strings.TrimLeft(p.s, " ") }

func (p *clockReader) digit(i int) bool { return i < len(p.s) && p.s[i] >= '0' && p.s[i] <= '9' }

// clock reads `H[:MM][ am|pm]` and the blanks after it.
func (p *clockReader) clock() (string, *clockFault) {
	begin := p.s
	hour, n := 0, 0
	for p.digit(n) {
		if n == 2 {
			return "", &clockFault{rest: begin}
		}
		hour = hour*10 + int(p.s[n]-'0')
		n++
	}
	if n == 0 {
		p.doubts = append(p.doubts, begin)
	}
	if hour > 23 {
		return "", &clockFault{rest: begin}
	}
	p.s = p.s[n:]
	minute := "00"
	if strings.HasPrefix(p.s, ":") {
		p.s = p.s[1:]
		switch {
		case p.digit(0) && p.digit(1):
			minute, p.s = p.s[:2], p.s[2:]
		case p.digit(0) && !p.digit(2):
			p.doubts = append(p.doubts, p.s)
			minute, p.s = "0"+p.s[:1], p.s[1:]
		default:
			return "", &clockFault{rest: p.s}
		}
	}
	p.blanks()
	if len(p.s) >= 2 && (p.s[1] == 'm' || p.s[1] == 'M') {
		switch p.s[0] {
		case 'a', 'A':
			p.s = p.s[2:]
		case 'p', 'P':
			if hour != 12 {
				hour += 12
			}
			if hour > 23 {
				return "", &clockFault{rest: p.s[1:]}
			}
			p.s = p.s[2:]
		}
		p.blanks()
	}
	return string([]byte{byte('0' + hour/10), byte('0' + hour%10), ':'}) + minute, nil
}

// weekdays is a <weekday> condition, Sunday first.
type weekdays struct {
	days   [7]bool
	negate bool
}

func (w *weekdays) contains(d time.Weekday) bool { return w.days[d] != w.negate }

// dayNames has each name before its own abbreviation.
var dayNames = []struct {
	name string
	days string
}{
	{"sunday", "0"}, {"sun", "0"}, {"monday", "1"}, {"mon", "1"}, {"tuesday", "2"}, {"tue", "2"}, {"wednesday", "3"}, {"wed", "3"},
	{"thursday", "4"}, {"thu", "4"}, {"friday", "5"}, {"fri", "5"}, {"saturday", "6"}, {"sat", "6"},
	{"weekdays", "12345"}, {"weekends", "06"},
}

// parseWeekday reads day names separated by blanks or commas. A leading "!" is accepted with negation only.
func parseWeekday(s string, negation bool) (*weekdays, *clockFault) {
	w := &weekdays{}
	rest := strings.TrimLeft(s, " ")
	if negation && strings.HasPrefix(rest, "!") {
		w.negate = true
		rest = strings.TrimLeft(rest[1:], " ")
	}
	for first := true; first || rest != ""; first = false {
		n := len(rest)
		for _, d := range dayNames {
			if len(rest) >= len(d.name) && strings.EqualFold(rest[:len(d.name)], d.name) {
				for i := range len(d.days) {
					w.days[d.days[i]-'0'] = true
				}
				rest = rest[len(d.name):]
				break
			}
		}
		if len(rest) == n {
			return nil, &clockFault{rest: rest}
		}
		after := strings.TrimLeft(rest, " ,")
		if len(after) == len(rest) && rest != "" {
			return nil, &clockFault{rest: rest}
		}
		rest = after
	}
	return w, nil
}
