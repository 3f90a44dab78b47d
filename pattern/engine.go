package pattern

import (
	"regexp"
	"regexp/syntax"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// engine runs one compiled tree; see the package comment for the order in which its parts are asked.
type engine struct {
	alts      literals // the whole pattern, when isAlts
	isAlts    bool
	altsNL    bool // an alternative of alts also matches before a final newline
	code      *program
	require   finder // literal that stands in every matching text; empty: none known
	captures  int
	linearSrc string // for regexp; "" when RE2 cannot express it
	loose     bool   // linear matches the same texts but may give other captures
	unicode   bool   // linear works on the text itself (OS_Regex), not on bytes
	net       *regexp2.Regexp

	once   sync.Once
	linear *regexp.Regexp
}

// matchTimeout ends a search of the backtracking engine; it has no other measure. The time is generous for honest texts of at most 6 KiB.
const matchTimeout = 200 * time.Millisecond

// backtrackSlots bounds the memory of one search of the backtracking engine.
const backtrackSlots = 1 << 20

var gaveUp atomic.Uint64

// GaveUp tells how many searches of backtracking patterns were broken off since the start, because they took too long or too much
// memory. Each counted as no match.
func GaveUp() uint64 { return gaveUp.Load() }

// newEngine makes the engine of a tree; unicode is true for OS_Regex. The error is a plain reason.
func newEngine(n *node, captures int, unicode bool) (*engine, error) {
	e := &engine{captures: captures, unicode: unicode}
	e.alts, e.altsNL, e.isAlts = n.alternatives()
	e.code, _ = compileProgram(n, captures)
	if req, ok := requiredLiterals(n); ok && len(req) == 1 && e.code != nil && !e.code.anchored && e.code.lead.lit == "" {
		e.require = newFinder(req[0])
	}
	e.loose = n.any(repeatsEmpty)
	if src, ok := linearPattern(n, unicode); ok && (unicode || e.code != nil || !e.loose) {
		switch _, err := syntax.Parse(src, syntax.Perl); { // all that can fail in regexp.Compile
		case err == nil:
			e.linearSrc = src
		case unicode:
			return nil, err
		}
	}
	if e.code == nil && e.linearSrc == "" {
		return e, e.compileNet(n)
	}
	return e, nil
}

func (e *engine) compileNet(n *node) error {
	re, err := regexp2.Compile(backtrackPattern(n), regexp2.OptionMaxBacktrackingStackSize(backtrackSlots))
	if err != nil {
		return err
	}
	re.MatchTimeout = matchTimeout
	e.net = re
	return nil
}

// linearEngine gives Go's regexp of the pattern. It is compiled when first needed: most patterns never need it, and it takes more memory
// than all the rest.
func (e *engine) linearEngine() *regexp.Regexp {
	e.once.Do(func() { e.linear = regexp.MustCompile(e.linearSrc) }) // newEngine has parsed it
	return e.linear
}

// match reports whether the pattern occurs in s.
func (e *engine) match(s string) bool {
	if e.isAlts && !(e.altsNL && endsInNewline(s)) {
		if e.alts.match(s) {
			return true
		}
		if !e.unicode || isASCII(s) {
			return false
		}
	}
	_, ok := e.find(s, nil, nil)
	return ok
}

// find looks for the leftmost match and gives its end. Captures that took part are appended to caps; with a nil want only the end counts.
func (e *engine) find(s string, caps []string, want *[]string) (end int, ok bool) {
	switch {
	case e.unicode && !isASCII(s):
		return e.findLinear(s, caps, want)
	case e.code != nil:
		end, out := e.findCode(s, caps, want)
		switch {
		case out != exhausted:
			return end, out == matched
		case e.hasFuel(s):
			gaveUp.Add(1)
			return 0, false
		}
		return e.findLinear(s, caps, want)
	case e.linearSrc != "":
		return e.findLinear(s, caps, want)
	}
	return e.findNet(s, caps, want)
}

func endsInNewline(s string) bool { return s != "" && s[len(s)-1] == '\n' }

func (e *engine) findCode(s string, caps []string, want *[]string) (int, outcome) {
	if e.require.lit != "" && e.require.index(s, 0) < 0 {
		return 0, noMatch
	}
	m := machines.Get().(*machine)
	defer machines.Put(m)
	m.caps = nil
	if want != nil && e.captures > 0 {
		m.caps = m.slots(2 * e.captures)
	}
	m.fuel = fuelFor(s)
	if e.hasFuel(s) {
		m.fuel = maxFuel
	}
	end, out := m.search(e.code, s)
	if out == matched && want != nil {
		limit := len(caps) + MaxCaptures
		for i := 0; i < len(m.caps) && len(caps) < limit; i += 2 {
			if m.caps[i+1] >= 0 {
				caps = append(caps, s[m.caps[i]:m.caps[i+1]])
			}
		}
		*want = caps
	}
	return end, out
}

// maxFuel bounds a search for which there is no linear engine: a tenth of a second or so. PCRE2 would go on for ten times as long before
// it gives up too.
const maxFuel = 1_000_000

// hasFuel reports whether the program has to decide alone: RE2 cannot express the pattern (counts too high), or the text ends in a
// newline, before which PCRE2's "$" holds and RE2 has no such assertion.
func (e *engine) hasFuel(s string) bool {
	return e.linearSrc == "" || e.code.newline && endsInNewline(s)
}

func (e *engine) findLinear(s string, caps []string, want *[]string) (int, bool) {
	text := s
	if !e.unicode {
		text = latin1(s)
	}
	loc := e.linearEngine().FindStringSubmatchIndex(text)
	if loc == nil {
		return 0, false
	}
	byteAt := func(i int) int {
		if len(text) == len(s) {
			return i
		}
		return utf8.RuneCountInString(text[:i])
	}
	if want != nil {
		limit := len(caps) + MaxCaptures
		for i := 2; i < len(loc) && len(caps) < limit; i += 2 {
			if loc[i] >= 0 {
				caps = append(caps, s[byteAt(loc[i]):byteAt(loc[i+1])])
			}
		}
		*want = caps
	}
	return byteAt(loc[1]), true
}

func (e *engine) findNet(s string, caps []string, want *[]string) (int, bool) {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	m, err := e.net.FindRunesMatch(runes)
	if err != nil {
		gaveUp.Add(1)
		return 0, false
	}
	if m == nil {
		return 0, false
	}
	if want != nil {
		limit := len(caps) + MaxCaptures
		for i := 1; i < m.GroupCount() && len(caps) < limit; i++ {
			if g := m.GroupByNumber(i); len(g.Captures) > 0 {
				caps = append(caps, s[g.RuneIndex:g.RuneIndex+g.RuneLength])
			}
		}
		*want = caps
	}
	return m.RuneIndex + m.RuneLength, true
}
