package pattern

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// lower maps ASCII capitals to small letters and every other byte to itself.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlnum(c byte) bool { return isUpper(c) || isLower(c) || isDigit(c) }
func isWord(c byte) bool  { return isAlnum(c) || c == '_' }

// otherCase gives the other case of an ASCII letter, and any other byte itself.
func otherCase(c byte) byte {
	if isUpper(c) || isLower(c) {
		return c ^ 0x20
	}
	return c
}

// foldASCII lower-cases the ASCII letters of s.
func foldASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if isUpper(s[i]) {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lower[b[j]]
			}
			return string(b)
		}
	}
	return s
}

// isASCII reports whether s has no byte above 0x7f.
func isASCII(s string) bool {
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if w&0x8080808080808080 != 0 {
			return false
		}
		s = s[8:]
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// equalFold reports whether s, folded, equals lit, which is folded already. The lengths must be equal.
func equalFold(s, lit string) bool {
	if len(s) != len(lit) {
		return false
	}
	for i := 0; i < len(lit); i++ {
		if lower[s[i]] != lit[i] {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, lit string) bool { return len(s) >= len(lit) && equalFold(s[:len(lit)], lit) }
func hasSuffixFold(s, lit string) bool {
	return len(s) >= len(lit) && equalFold(s[len(s)-len(lit):], lit)
}

// rarity ranks bytes by how seldom they stand in log lines: the higher, the rarer. Searching for the rarest byte of a literal makes
// false starts few. The order is that of English letters, with digits and the separators of log formats before them.
var rarity = func() (t [256]uint8) {
	const common = " etaoinsrdlc0123456789hmupfg:.[]=/-bwyvk\"'(),;_xjqz"
	for i := range t {
		t[i] = 200
	}
	for i := 0; i < len(common); i++ {
		t[common[i]] = uint8(i)
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = t[c+0x20]
	}
	return t
}()

// finder searches one folded literal in texts of any case.
type finder struct {
	lit    string // folded
	k      int    // index of the rarest byte
	lo, up byte   // that byte in both cases
}

func newFinder(lit string) finder {
	f := finder{lit: lit}
	for i := 1; i < len(lit); i++ {
		if rarity[lit[i]] > rarity[lit[f.k]] {
			f.k = i
		}
	}
	if lit != "" {
		f.lo, f.up = lit[f.k], otherCase(lit[f.k])
	}
	return f
}

// index gives the first offset at or after from where the literal stands in s, or -1.
func (f *finder) index(s string, from int) int {
	end := len(s) - len(f.lit) + f.k + 1 // the rarest byte stands before this offset
	at := from + f.k
	if at >= end {
		if f.lit == "" && from <= len(s) {
			return from
		}
		return -1
	}
	if f.lit == "" {
		return from
	}
	w := s[:end]
	lo := next(w, at, f.lo)
	up := end
	if f.up != f.lo {
		up = next(w, at, f.up)
	}
	for {
		p := min(lo, up)
		if p >= end {
			return -1
		}
		if equalFold(s[p-f.k:p-f.k+len(f.lit)], f.lit) {
			return p - f.k
		}
		if p == lo {
			lo = next(w, p+1, f.lo)
		} else {
			up = next(w, p+1, f.up)
		}
	}
}

// next gives the offset of c in s at or after from, len(s) when there is none.
func next(s string, from int, c byte) int {
	if i := strings.IndexByte(s[from:], c); i >= 0 {
		return from + i
	}
	return len(s)
}

// canon gives one representative of the runes that are equal under Unicode simple case folding.
func canon(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(lower[byte(r)])
	}
	low := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		low = min(low, f)
	}
	if low < utf8.RuneSelf {
		return rune(lower[byte(low)])
	}
	return low
}

// runeAt decodes the rune at the start of s in canonical case. A byte that is not UTF-8 is a rune of its own, below zero, so that it
// equals no rune of a pattern.
func runeAt(s string) (r rune, size int) {
	if c := s[0]; c < utf8.RuneSelf {
		return rune(lower[c]), 1
	}
	r, size = utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 {
		return -1 - rune(s[0]), 1
	}
	return canon(r), size
}
