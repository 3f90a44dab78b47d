package decode

import (
	"regexp/syntax"
	"strings"
)

// The functions of this file tell from the text of a pattern which bytes an anchored match can begin with. They may say less than is
// true, never more: an unknown construct ends the prefix. Only printable ASCII is judged, so the differences between the engines in
// control characters and in characters beyond ASCII do not matter (see prefixIndex.lookup).

// anyByte accepts every byte but not the end of the text.
var anyByte = byteSet{^uint64(0), ^uint64(0), 0}

// literalSet accepts a byte in both cases.
func literalSet(c byte) byteSet {
	var s byteSet
	s.add(int(c))
	if c|0x20 >= 'a' && c|0x20 <= 'z' {
		s.add(int(c ^ 0x20))
	}
	return s
}

// merge joins the prefixes of alternatives: a position is judged only as far as all of them judge it.
func merge(alternatives []prefix) prefix {
	if len(alternatives) == 0 {
		return nil
	}
	out := append(prefix(nil), alternatives[0]...)
	for _, p := range alternatives[1:] {
		if len(p) < len(out) {
			out = out[:len(p)]
		}
		for i := range out {
			out[i].union(p[i])
		}
	}
	return out
}

// matchPrefix is the prefix of an OS_Match pattern.
func matchPrefix(p string) prefix {
	var all []prefix
	for _, alt := range strings.Split(p, "|") {
		if !strings.HasPrefix(alt, "^") {
			return nil
		}
		all = append(all, literalPrefix(alt[1:]))
	}
	return merge(all)
}

// literalPrefix reads plain text up to the next anchor. A "$" in its place at the end is the end of the text.
func literalPrefix(alt string) prefix {
	var out prefix
	for i := 0; i < len(alt) && len(out) < maxPrefix; i++ {
		c := alt[i]
		switch {
		case c == '$' && i == len(alt)-1:
			return append(out, endSet())
		case c == '^' || c == '$' || c < ' ' || c > '~':
			return out
		}
		out = append(out, literalSet(c))
	}
	return out
}

func endSet() byteSet {
	var s byteSet
	s.add(endOfText)
	return s
}

// regexClasses are the class escapes of OS_Regex, as printable ASCII.
var regexClasses = func() map[byte]byteSet {
	of := func(members string) (s byteSet) {
		for i := 0; i < len(members); i++ {
			s.add(int(members[i]))
		}
		return s
	}
	not := func(s byteSet) byteSet { return byteSet{^s[0], ^s[1], 0} }
	digits := of("0123456789")
	word := of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@_-")
	blank := of(" ")
	return map[byte]byteSet{
		'd': digits, 'D': not(digits), 'w': word, 'W': not(word), 's': blank, 'S': not(blank), '.': anyByte,
		'p': of("()*+,-.:;<=>?[]!\"'#%&${}|"),
	}
}()

// regexPrefix is the prefix of an OS_Regex pattern. Groups end it.
func regexPrefix(p string) prefix {
	var all []prefix
	for _, alt := range splitAlternatives(p) {
		if !strings.HasPrefix(alt, "^") {
			return nil
		}
		all = append(all, regexAlternative(alt))
	}
	return merge(all)
}

// splitAlternatives cuts an OS_Regex at its bars outside groups.
func splitAlternatives(p string) []string {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, p[start:i])
				start = i + 1
			}
		}
	}
	return append(out, p[start:])
}

// regexAlternative reads an alternative that begins with "^", token by token.
func regexAlternative(alt string) prefix {
	var out prefix
	for i := 1; i < len(alt) && len(out) < maxPrefix; {
		set, size, ok := regexToken(alt, i)
		if !ok {
			return out
		}
		i += size
		// A sign is a quantifier when the byte two before it is a backslash (spec patterns.md, section 3.3).
		quantified := i < len(alt) && i >= 2 && alt[i-2] == '\\' && (alt[i] == '+' || alt[i] == '*')
		if quantified && alt[i] == '*' {
			return out
		}
		out = append(out, set)
		if quantified {
			return out
		}
	}
	return out
}

// regexToken reads one character or escape; ok is false for what ends a prefix.
func regexToken(alt string, i int) (set byteSet, size int, ok bool) {
	c := alt[i]
	if c == '\\' {
		if i+1 == len(alt) {
			return set, 0, false
		}
		c = alt[i+1]
		if set, ok = regexClasses[c]; ok {
			return set, 2, true
		}
		if strings.IndexByte(`$(){}[]\|<`, c) < 0 {
			return set, 0, false
		}
		return literalSet(c), 2, true
	}
	if c == '^' || c == '$' || c == '(' || c == ')' || c == '|' || c < ' ' || c > '~' {
		return set, 0, false
	}
	return literalSet(c), 1, true
}

// pcre2Prefix is the prefix of a PCRE2 pattern. Patterns that Go's parser refuses, or might read otherwise than PCRE2, have none.
func pcre2Prefix(p string) prefix {
	if !commonSyntax(p) {
		return nil
	}
	re, err := syntax.Parse(p, syntax.Perl|syntax.FoldCase)
	if err != nil {
		return nil
	}
	if !anchored(re) {
		return nil
	}
	sets, _ := readPrefix(re)
	return sets
}

// commonSyntax refuses what means different things to PCRE2 and to Go: numbers after a backslash, an open lower bound of a repetition, the
// empty class and its like, and quoting.
func commonSyntax(p string) bool {
	for i := 0; i+1 < len(p); i++ {
		switch next := p[i+1]; {
		case p[i] == '\\':
			if isDigit(next) || next == 'Q' || next == 'E' || next == 'C' {
				return false
			}
			i++
		case p[i] == '{' && (next == ',' || next == ' '), p[i] == '[' && next == ']':
			return false
		}
	}
	return true
}

// anchored reports whether every match of re begins at the start of the text.
func anchored(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpBeginText:
		return true
	case syntax.OpCapture:
		return anchored(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if sub.Op == syntax.OpEmptyMatch {
				continue
			}
			return anchored(sub)
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !anchored(sub) {
				return false
			}
		}
		return true
	}
	return false
}

// readPrefix gives the first positions of re; exact says that re matches texts of exactly that many characters, so that what follows it can
// be appended.
func readPrefix(re *syntax.Regexp) (sets prefix, exact bool) {
	switch re.Op {
	case syntax.OpBeginText, syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return nil, true
	case syntax.OpEndText:
		return prefix{endSet()}, false
	case syntax.OpLiteral:
		return literalRunes(re)
	case syntax.OpCharClass:
		return prefix{classSet(re.Rune)}, true
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return prefix{anyByte}, true
	case syntax.OpCapture:
		return readPrefix(re.Sub[0])
	case syntax.OpPlus:
		sets, _ = readPrefix(re.Sub[0])
		return sets, false
	case syntax.OpRepeat:
		return repeatPrefix(re)
	case syntax.OpConcat:
		return concatPrefix(re.Sub)
	case syntax.OpAlternate:
		return alternatePrefix(re.Sub)
	}
	return nil, false
}

func concatPrefix(subs []*syntax.Regexp) (out prefix, exact bool) {
	for _, sub := range subs {
		sets, exact := readPrefix(sub)
		out = append(out, sets...)
		if len(out) >= maxPrefix {
			return out[:maxPrefix], false
		}
		if !exact {
			return out, false
		}
	}
	return out, true
}

func repeatPrefix(re *syntax.Regexp) (out prefix, exact bool) {
	if re.Min == 0 {
		return nil, re.Max == 0
	}
	sets, exact := readPrefix(re.Sub[0])
	if len(sets) == 0 {
		return nil, false
	}
	for i := 0; i < re.Min; i++ {
		out = append(out, sets...)
		if len(out) >= maxPrefix {
			return out[:maxPrefix], false
		}
		if !exact {
			return out, false
		}
	}
	return out, exact && re.Max == re.Min
}

func alternatePrefix(subs []*syntax.Regexp) (prefix, bool) {
	var all []prefix
	same := true
	for _, sub := range subs {
		sets, exact := readPrefix(sub)
		all = append(all, sets)
		same = same && exact && len(sets) == len(all[0])
	}
	return merge(all), same
}

// literalRunes reads a literal up to the first character beyond printable ASCII.
func literalRunes(re *syntax.Regexp) (out prefix, exact bool) {
	for _, r := range re.Rune {
		if r < ' ' || r > '~' || len(out) == maxPrefix {
			return out, false
		}
		if re.Flags&syntax.FoldCase != 0 {
			out = append(out, literalSet(byte(r)))
			continue
		}
		var s byteSet
		s.add(int(r))
		out = append(out, s)
	}
	return out, true
}

// classSet reads the ASCII part of a character class.
func classSet(ranges []rune) (s byteSet) {
	for i := 0; i+1 < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], endOfText-1); r++ {
			s.add(int(r))
		}
	}
	return s
}
