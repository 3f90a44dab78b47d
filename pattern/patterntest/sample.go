package patterntest

import (
	"math/rand/v2"
	"regexp/syntax"
	"strings"
	"unicode"
)

// Sampler makes texts that a pattern matches, mostly.
type Sampler struct {
	alts []plainAlt
	tree *syntax.Regexp
	// Fill has texts for capturing groups, counted from 1, in place of what the pattern says.
	Fill map[int]*Sampler
}

// Literal gives the sampler of one text.
func Literal(text string) *Sampler { return &Sampler{alts: []plainAlt{{text: text}}} }

// Sampler gives the sampler of a pattern.
func (p *Plain) Sampler() *Sampler {
	switch {
	case p.shortcut != nil:
		return &Sampler{alts: []plainAlt{*p.shortcut}}
	case p.kind == Match:
		return &Sampler{alts: p.alts}
	}
	tree, err := syntax.Parse(p.src, syntax.Perl)
	if err != nil {
		panic(err) // it was compiled
	}
	return &Sampler{tree: tree}
}

// Text makes a text.
func (s *Sampler) Text(rnd *rand.Rand) string {
	if s.tree == nil {
		return s.alts[rnd.IntN(len(s.alts))].text
	}
	var b strings.Builder
	s.write(&b, s.tree, rnd)
	return b.String()
}

// plainBytes are what stands for "any character", for the most part.
const plainBytes = "abcdefghijklmnopqrstuvwxyz0123456789ABCXYZ.:-_/ "

func (s *Sampler) write(b *strings.Builder, re *syntax.Regexp, rnd *rand.Rand) {
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if rnd.IntN(6) == 0 {
				r = unicode.SimpleFold(r)
			}
			b.WriteRune(r)
		}
	case syntax.OpCharClass:
		b.WriteRune(oneOf(re.Rune, rnd))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte(plainBytes[rnd.IntN(len(plainBytes))])
	case syntax.OpCapture:
		if f := s.Fill[re.Cap]; f != nil {
			b.WriteString(f.Text(rnd))
			return
		}
		s.write(b, re.Sub[0], rnd)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			s.write(b, sub, rnd)
		}
	case syntax.OpAlternate:
		s.write(b, re.Sub[rnd.IntN(len(re.Sub))], rnd)
	case syntax.OpStar:
		s.repeat(b, re.Sub[0], rnd.IntN(7), rnd)
	case syntax.OpPlus:
		s.repeat(b, re.Sub[0], 1+rnd.IntN(7), rnd)
	case syntax.OpQuest:
		s.repeat(b, re.Sub[0], rnd.IntN(2), rnd)
	case syntax.OpRepeat:
		n := re.Max - re.Min
		if re.Max < 0 {
			n = 4
		}
		s.repeat(b, re.Sub[0], re.Min+rnd.IntN(n+1), rnd)
	}
}

func (s *Sampler) repeat(b *strings.Builder, re *syntax.Regexp, n int, rnd *rand.Rand) {
	for range n {
		s.write(b, re, rnd)
	}
}

// oneOf chooses a character of a class, an ASCII one where there is one.
func oneOf(ranges []rune, rnd *rand.Rand) rune {
	for range 8 {
		r := rune(plainBytes[rnd.IntN(len(plainBytes))])
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= r && r <= ranges[i+1] {
				return r
			}
		}
	}
	if len(ranges) == 0 {
		return 'x'
	}
	i := 2 * rnd.IntN(len(ranges)/2)
	return ranges[i] + rnd.Int32N(min(ranges[i+1]-ranges[i], 300)+1)
}
