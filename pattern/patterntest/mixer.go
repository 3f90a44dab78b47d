package patterntest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Mixer makes log lines of parts: whole logs, texts of patterns behind headers with the wanted program names, and pieces of both spliced
// and damaged. Equal seeds give equal lines.
type Mixer struct {
	Rnd      *rand.Rand
	Logs     []string   // lines to begin with
	Programs []*Sampler // program names
	Texts    []*Sampler // what can stand in a log
	// Chains are texts that belong together: those of a decoder, its child and rules for it, with the program name first (nil: none).
	Chains []Chain
}

// Chain is a program name and the texts that a log needs to get far.
type Chain struct {
	Program *Sampler
	Texts   []*Sampler
}

// Next makes a line.
func (m *Mixer) Next() string {
	var line string
	switch m.Rnd.IntN(8) {
	case 0, 1:
		line = m.log()
	case 2:
		line = m.splice(m.log(), m.log())
	case 3:
		line = m.header() + m.texts(1+m.Rnd.IntN(4))
	case 4:
		line = m.splice(m.log(), m.texts(1+m.Rnd.IntN(2)))
	default:
		line = m.chain()
	}
	for m.Rnd.IntN(3) == 0 {
		line = m.Damage(line)
	}
	return line
}

func (m *Mixer) log() string { return m.Logs[m.Rnd.IntN(len(m.Logs))] }

func (m *Mixer) text() string { return m.Texts[m.Rnd.IntN(len(m.Texts))].Text(m.Rnd) }

func (m *Mixer) texts(n int) string {
	var parts []string
	for range n {
		parts = append(parts, m.text())
	}
	return strings.Join(parts, []string{" ", "", ": ", "x"}[m.Rnd.IntN(4)])
}

// chain makes a line that suits a decoder and rules for it.
func (m *Mixer) chain() string {
	if len(m.Chains) == 0 {
		return m.header() + m.text()
	}
	c := m.Chains[m.Rnd.IntN(len(m.Chains))]
	var b strings.Builder
	for i, t := range c.Texts {
		if m.Rnd.IntN(12) == 0 {
			continue
		}
		if i > 0 && m.Rnd.IntN(2) == 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.Text(m.Rnd))
	}
	if m.Rnd.IntN(4) == 0 {
		b.WriteString(" " + m.text())
	}
	if c.Program == nil {
		if m.Rnd.IntN(4) == 0 {
			return m.bareHeader() + b.String()
		}
		return b.String()
	}
	return m.named(c.Program.Text(m.Rnd)) + b.String()
}

// header makes a header of any form.
func (m *Mixer) header() string {
	if m.Rnd.IntN(3) == 0 || len(m.Programs) == 0 {
		return m.bareHeader()
	}
	return m.named(m.Programs[m.Rnd.IntN(len(m.Programs))].Text(m.Rnd))
}

var dates = []string{"Dec 29 10:00:01 ", "Jan  1 00:00:00 ", "2015-04-16 21:51:02,805 ", "2007-06-14T15:48:55-04:00 ", "2007-06-14T15:48:55.3352-04:00 ",
	"2007-06-14T15:48:55,33-04:00 ", "2015 Dec 29 10:00:01 ", "2019:11:06-00:08:03 ", "Mär 02 17:30:52 ", "1ä5 Dec 29 10:00:01 ", "2ä19:11:06-00:08:03 ", "Dec 29 10:00:01  "}

// named makes a syslog header with a program name.
func (m *Mixer) named(program string) string {
	host := []string{"h1 ", "10.0.0.1 ", "web-1.example.org ", "", "a/b(c)@d ", "fe80::1 "}[m.Rnd.IntN(6)]
	switch m.Rnd.IntN(10) {
	case 0:
		program += fmt.Sprintf("[%d] ", m.Rnd.IntN(99999))
	case 1:
		program = "auth|security:info " + program + ": "
	case 2, 3, 4, 5:
		program += fmt.Sprintf("[%d]: ", m.Rnd.IntN(99999))
	case 6:
		program += ": [ID 702911 auth.notice] "
	default:
		program += ": "
	}
	if m.Rnd.IntN(30) == 0 {
		return "[Time 2006.12.28 15:53:55 UTC] [Facility auth] [Sender " + strings.TrimRight(program, ": ") + "] [PID -1] [Message "
	}
	return dates[m.Rnd.IntN(len(dates))] + host + program
}

var bare = []string{"", "", "", "Mon Apr 17 18:27:14 2006 1 ", "01/28-09:13:16.240702  ", "01/28/1979-09:13:16.240702  ", "[Fri Feb 11 18:06:35 2004] ",
	"1140804070.368  11623 ", "Dec 29 10:00:01 h1 ", "[äFri Feb 11 18:06:35 2004] ", "[äime 2006.12.28 15:53:55 UTC] [Sender a] ", "<13>1 2020-01-01T00:00:00Z h p - - - ", "<34>Oct 11 22:14:15 h su: "}

func (m *Mixer) bareHeader() string { return bare[m.Rnd.IntN(len(bare))] }

// splice joins the beginning of a with the end of b.
func (m *Mixer) splice(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a[:m.Rnd.IntN(len(a))] + b[m.Rnd.IntN(len(b)):]
}

var oddities = []string{"\xff", "\xe9", "\xc3\xa9", "\u017f", "\u212a", "\x00", "\t", "\x7f", "K", "|", "$", "^", "  ", ":", ";", "[", "]", "(", ")", "0", "-1", "65536",
	"127.0.0.1", "::ffff:10.0.0.1", "root", "%", "\\", "\"", "'", ",", "=", "?", "\xf0\x9f\x98\x80", "\xed\xa0\x80"}

// Damage changes a line a little.
func (m *Mixer) Damage(s string) string {
	if s == "" {
		return oddities[m.Rnd.IntN(len(oddities))]
	}
	i := m.Rnd.IntN(len(s))
	switch m.Rnd.IntN(8) {
	case 0: // cut out
		return s[:i] + s[min(len(s), i+1+m.Rnd.IntN(12)):]
	case 1: // twice
		return s[:i] + s[i:min(len(s), i+1+m.Rnd.IntN(12))] + s[i:]
	case 2: // put in
		return s[:i] + oddities[m.Rnd.IntN(len(oddities))] + s[i:]
	case 3: // another byte
		return s[:i] + string([]byte{byte(m.Rnd.IntN(256))}) + s[i+1:]
	case 4: // other case
		j := min(len(s), i+1+m.Rnd.IntN(20))
		return s[:i] + strings.ToUpper(s[i:j]) + s[j:]
	case 5: // end
		return s[:i]
	case 6: // two words change places
		words := strings.Split(s, " ")
		a, b := m.Rnd.IntN(len(words)), m.Rnd.IntN(len(words))
		words[a], words[b] = words[b], words[a]
		return strings.Join(words, " ")
	}
	return strings.NewReplacer("k", "\u212a", "s", "\u017f").Replace(s[:i]) + s[i:]
}
