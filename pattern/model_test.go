package pattern

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/internal/vectors"
)

// The model is OS_Regex written down as directly as can be: a list of items, tried one after the other with every possibility that
// is left. It shares no code with the engines and takes exponential time.

type modelItem struct {
	kind     byte // 'c' character test, '^', '$', 'g' group
	accepts  func(rune) bool
	alts     [][]modelItem
	group    int
	min, max int
	greedy   bool
}

type model struct {
	p      string
	at     int
	groups int
	steps  int
	ok     bool
}

func newModel(p string) (*model, [][]modelItem) {
	m := &model{p: p, ok: p != "" && len(p) <= MaxLength}
	alts := m.alternatives()
	m.ok = m.ok && m.at == len(p)
	return m, alts
}

func (m *model) alternatives() [][]modelItem {
	alts := [][]modelItem{nil}
	for m.ok && m.at < len(m.p) && m.p[m.at] != ')' {
		cur := &alts[len(alts)-1]
		c := m.p[m.at]
		switch {
		case c == '|':
			m.at++
			alts = append(alts, nil)
		case (c == '+' || c == '*') && m.at >= 2 && m.p[m.at-2] == '\\':
			m.quantifier(*cur)
		default:
			*cur = append(*cur, m.item())
		}
	}
	return alts
}

func (m *model) quantifier(seq []modelItem) {
	m.ok = m.ok && len(seq) > 0
	if !m.ok {
		return
	}
	last := &seq[len(seq)-1]
	m.ok = last.max == 1 && (last.kind == 'c' || last.kind == 'g')
	last.max = 1 << 30
	if m.p[m.at] == '*' {
		last.min = 0
	}
	rest := strings.TrimLeft(m.p[m.at+1:], ")")
	last.greedy = (rest == "" || rest[0] == '|') && m.p[m.at-1] != '\\'
	m.at++
}

func (m *model) item() modelItem {
	it := modelItem{kind: 'c', min: 1, max: 1}
	c, size := utf8.DecodeRuneInString(m.p[m.at:])
	m.at += size
	switch c {
	case '^', '$':
		it.kind = byte(c)
	case '(':
		m.groups++
		it.kind, it.group = 'g', m.groups
		it.alts = m.alternatives()
		m.ok = m.ok && m.at < len(m.p)
		m.at++
	case '\\':
		it.accepts = m.escape()
		m.ok = m.ok && it.accepts != nil
	default:
		it.accepts = func(r rune) bool { return strings.EqualFold(string(r), string(c)) && r >= 0 }
	}
	return it
}

func (m *model) escape() func(rune) bool {
	if m.at >= len(m.p) {
		return nil
	}
	c := m.p[m.at]
	m.at++
	one := func(s string) func(rune) bool {
		return func(r rune) bool { return r >= 0 && strings.ContainsRune(s, r) }
	}
	word := func(r rune) bool {
		return r >= '0' && r <= '9' || r == '@' || r == '_' || r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' ||
			r == '\u017f' || r == '\u212a'
	}
	digit := func(r rune) bool { return r >= '0' && r <= '9' }
	switch c {
	case 'w':
		return word
	case 'W':
		return func(r rune) bool { return !word(r) }
	case 'd':
		return digit
	case 'D':
		return func(r rune) bool { return !digit(r) }
	case 's':
		return one(" ")
	case 'S':
		return func(r rune) bool { return r != ' ' }
	case 'p':
		return one("()*+,-.:;<=>?[]!\"'#%&${}|")
	case '.':
		return func(rune) bool { return true }
	case 't':
		return one("\t")
	case '$', '(', ')', '{', '}', '[', ']', '\\', '|', '<':
		return one(string(rune(c)))
	}
	return nil
}

// find runs the model; decided is false when it takes too many steps.
func (m *model) find(alts [][]modelItem, s string) (end int, caps []string, ok, decided bool) {
	var runes []rune // invalid bytes are below zero
	var offs []int
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			r = -1 - rune(s[i])
		}
		runes, offs = append(runes, r), append(offs, i)
		i += size
	}
	offs = append(offs, len(s))
	set := make([][2]int, m.groups+1)
	for start := 0; start <= len(runes); start++ {
		for i := range set {
			set[i] = [2]int{-1, -1}
		}
		if m.alt(alts, runes, start, set, func(e int) bool { end = e; return true }) && m.steps < maxModelSteps {
			for _, g := range set[1:] {
				if g[0] >= 0 && len(caps) < MaxCaptures {
					caps = append(caps, s[offs[g[0]]:offs[g[1]]])
				}
			}
			return offs[end], caps, true, true
		}
	}
	return 0, nil, false, m.steps < maxModelSteps
}

const maxModelSteps = 200_000

func (m *model) alt(alts [][]modelItem, s []rune, at int, set [][2]int, then func(int) bool) bool {
	for _, a := range alts {
		if m.seq(a, s, at, set, then) {
			return true
		}
	}
	return false
}

func (m *model) seq(items []modelItem, s []rune, at int, set [][2]int, then func(int) bool) bool {
	if len(items) == 0 {
		return then(at)
	}
	return m.repeat(&items[0], 0, s, at, set, func(at int) bool { return m.seq(items[1:], s, at, set, then) })
}

func (m *model) repeat(it *modelItem, done int, s []rune, at int, set [][2]int, then func(int) bool) bool {
	if m.steps++; m.steps > maxModelSteps {
		return true // undecided; unwinds
	}
	more := func() bool {
		return done < it.max && m.once(it, s, at, set, func(next int) bool {
			if next == at && done >= it.min {
				return false
			}
			return m.repeat(it, done+1, s, next, set, then)
		})
	}
	stop := func() bool { return done >= it.min && then(at) }
	if it.greedy || done < it.min {
		return more() || stop()
	}
	return stop() || more()
}

func (m *model) once(it *modelItem, s []rune, at int, set [][2]int, then func(int) bool) bool {
	switch it.kind {
	case '^':
		return at == 0 && then(at)
	case '$':
		return at == len(s) && then(at)
	case 'c':
		return at < len(s) && it.accepts(s[at]) && then(at+1)
	}
	old := set[it.group]
	if m.alt(it.alts, s, at, set, func(end int) bool {
		inner := set[it.group]
		set[it.group] = [2]int{at, end}
		return then(end) || func() bool { set[it.group] = inner; return false }()
	}) {
		return true
	}
	set[it.group] = old
	return false
}

func compareWithModel(t *testing.T, p, s string) {
	t.Helper()
	if !utf8.ValidString(p) || strings.ContainsRune(p, 0) || strings.Count(p, "(") > 30 || len(p) > 60 || len(s) > 60 {
		return
	}
	for _, r := range p {
		if unicode.IsLetter(r) && r > unicode.MaxLatin1 || r == utf8.RuneError {
			return // strings.EqualFold compares texts, which is enough for Latin letters only
		}
	}
	m, alts := newModel(p)
	re, err := CompileRegex(p)
	if (err == nil) != m.ok {
		t.Fatalf("%q compiles: %v, model %v", p, err, m.ok)
	}
	if err != nil || strings.Contains(p, `|\\)+`) || strings.Contains(p, `|\\)*`) || strings.Contains(p, `)+`) || strings.Contains(p, `)*`) {
		return // repeated groups: the rounds that are empty are the engine's affair
	}
	if re.IsShortcut() && !isASCII(s) {
		return // ASCII folding only
	}
	end, caps, ok, decided := m.find(alts, s)
	if !decided {
		return
	}
	gotEnd, gotCaps, gotOK := re.Find(s, nil)
	if gotOK != ok || gotEnd != end && ok || ok && !slices.Equal(gotCaps, caps) {
		t.Fatalf("%q on %q: %v %d %q, model %v %d %q", p, s, gotOK, gotEnd, gotCaps, ok, end, caps)
	}
	if re.MatchString(s) != ok {
		t.Fatalf("%q on %q: MatchString %v", p, s, !ok)
	}
	checkLiterals(t, re, s, ok)
}

// checkLiterals checks that a text that matched contains a required literal.
func checkLiterals(t *testing.T, p interface{ Literals() ([]string, bool) }, s string, matched bool) {
	t.Helper()
	lits, ok := p.Literals()
	if !ok || !matched {
		return
	}
	var set Bitset
	NewAutomaton(lits).Scan(s, &set)
	for i := range lits {
		if set.Has(i) {
			return
		}
	}
	t.Fatalf("%v matches %q, which has none of its literals %q", p, s, lits)
}

func TestRegexEqualsModel(t *testing.T) {
	for _, f := range []string{"regex_exhaustive", "regex_fuzz", "regex_fuzz_raw"} {
		for _, v := range readVectors(t, vectors.Path(t, "patterns/"+f+".jsonl")) {
			compareWithModel(t, v.Pattern, v.Text)
		}
	}
}

func FuzzRegex(f *testing.F) {
	for _, s := range [][2]string{
		{`(\w+)\s+(\S+)$`, "abc def"}, {`\\a+|\.*(x|y)`, `\aaax`}, {`((a|ab)(c|bcd))(d*)`, "abcd"}, {`\d+(\p*)\D`, "12..x"},
		{`é\W`, "É\xe9"}, {`\s*k`, "\u212a"}, {`(\\)+`, `\\\`}, {`^(\w+):\s+|^(\d+)`, "user:  1"}, {`\S+\S+\S+ (x)`, "abcdefg x"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(compareWithModel)
}
