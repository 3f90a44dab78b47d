package rootcheck

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/vedette-hids/vedette/pattern"
)

// linePattern is a list of terms that all have to be true for a line (spec section 5.5).
type linePattern struct {
	terms      []term
	onlyNegate bool // all terms are negated: every line of a file has to satisfy them
}

// term is one comparison.
type term struct {
	not  bool
	op   byte // '=', 'r', '<', '>'
	text string
	re   *pattern.Regex
}

const and = " && "

// parseLinePattern reads terms joined by " && ".
func parseLinePattern(s string) (*linePattern, error) {
	p := &linePattern{onlyNegate: true}
	for part := range strings.SplitSeq(s, and) {
		t := term{op: '='}
		part, t.not = strings.CutPrefix(part, "!")
		if len(part) >= 2 && part[1] == ':' {
			switch op := part[0] | 0x20; {
			case op == 'r':
				t.op, part = 'r', part[2:]
			case part[0] == '=' || part[0] == '<' || part[0] == '>':
				t.op, part = part[0], part[2:]
			}
		}
		t.text = part
		if t.op == 'r' {
			re, err := pattern.CompileRegex(part)
			if err != nil {
				return nil, err
			}
			t.re = re
		}
		p.onlyNegate = p.onlyNegate && t.not
		p.terms = append(p.terms, t)
	}
	return p, nil
}

func (t *term) matches(line string) bool {
	var yes bool
	switch t.op {
	case 'r':
		yes = t.re.MatchString(line)
	case '<':
		yes = t.text < line
	case '>':
		yes = t.text > line
	default:
		yes = strings.EqualFold(t.text, line)
	}
	return yes != t.not
}

// matches reports whether all terms are true for a line.
func (p *linePattern) matches(line string) bool {
	for i := range p.terms {
		if !p.terms[i].matches(line) {
			return false
		}
	}
	return true
}

// Limits of reading a file for a pattern.
const (
	maxPart     = 2047     // bytes of a line that are tested at once
	maxTestFile = 64 << 20 // bytes of a file
)

// matchesFile reports whether a file satisfies the pattern: a line of it, or, when all terms are negated, each line.
func (p *linePattern) matchesFile(ctx context.Context, path string) bool {
	f, err := openRegular(path)
	if err != nil {
		return false
	}
	defer f.Close()
	in := bufio.NewReaderSize(io.LimitReader(&reader{ctx, f}, maxTestFile), maxPart+1)
	for {
		part, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return false
		}
		if errors.Is(err, io.EOF) && len(part) == 0 {
			return p.onlyNegate
		}
		line := string(part)
		if err == nil {
			line = line[:len(line)-1]
		}
		if p.matches(line) != p.onlyNegate {
			return !p.onlyNegate
		}
	}
}
