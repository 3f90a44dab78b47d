package pattern

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// Automaton finds which of thousands of literals occur in a text, in one pass, ignoring ASCII case. It does not follow a state machine
// (whose every step waits for memory) but looks at all four-byte windows of the text: each literal is known by its rarest window, a
// bitmap that fits the first-level cache says whether a window can be one of them, and only then the literal is compared.
//
// The characters that Unicode folds to ASCII letters (U+212A to k, U+017F to s) count as those letters and as themselves, so that
// literals of patterns with Unicode folding are found.
type Automaton struct {
	lits   []string // folded
	filter []uint64 // bitmap over hash values of windows
	shift  uint     // of the hash
	slots  []uint32 // hash table: index+1 of the first entry of a window's run, 0 = free
	mask   uint32
	runs   []window
	tiny   *tinyLiterals // literals of fewer than windowSize bytes
	empty  []uint32      // literals of length 0: found in every text
}

const windowSize = 4

// window is one literal at its window; runs of equal windows stand together.
type window struct {
	key    uint32 // four folded bytes, little endian
	lit    uint32
	offset uint32 // of the window in the literal
	last   bool   // of its run
}

// tinyLiterals knows literals of one to three bytes by their first two bytes, or one.
type tinyLiterals struct {
	byPair  map[uint16][]uint32
	pairs   [1 << 10]uint64 // bitmap over two folded bytes
	single  [256][]uint32
	singles bool
}

// NewAutomaton builds the automaton of lits; the index of a literal is its bit. Literals are folded; duplicates are allowed.
func NewAutomaton(lits []string) *Automaton {
	a := &Automaton{}
	for i, l := range lits {
		l = foldASCII(l)
		a.lits = append(a.lits, l)
		switch {
		case l == "":
			a.empty = append(a.empty, uint32(i))
		case len(l) < windowSize:
			a.addTiny(l, uint32(i))
		}
	}
	a.chooseWindows()
	a.buildTables()
	return a
}

func (a *Automaton) addTiny(l string, i uint32) {
	if a.tiny == nil {
		a.tiny = &tinyLiterals{byPair: make(map[uint16][]uint32)}
	}
	t := a.tiny
	if len(l) == 1 {
		t.single[l[0]] = append(t.single[l[0]], i)
		t.singles = true
		return
	}
	k := uint16(l[0]) | uint16(l[1])<<8
	t.byPair[k] = append(t.byPair[k], i)
	t.pairs[k>>6] |= 1 << (k & 63)
}

// chooseWindows takes of each literal the window that is rarest in logs, and among equally rare ones the one fewest literals share.
func (a *Automaton) chooseWindows() {
	used := make(map[uint32]int)
	for _, l := range a.lits {
		for o := 0; o+windowSize <= len(l); o++ {
			used[load4(l, o)]++
		}
	}
	for i, l := range a.lits {
		if len(l) < windowSize {
			continue
		}
		best, bestScore := 0, -1
		for o := 0; o+windowSize <= len(l); o++ {
			score := -8 * min(used[load4(l, o)], 16)
			for j := range windowSize {
				score += int(rarity[l[o+j]])
			}
			score += 1 << 10
			if score > bestScore {
				best, bestScore = o, score
			}
		}
		a.runs = append(a.runs, window{key: load4(l, best), lit: uint32(i), offset: uint32(best)})
	}
	slices.SortStableFunc(a.runs, func(x, y window) int { return cmp.Compare(x.key, y.key) })
	for i := range a.runs {
		a.runs[i].last = i+1 == len(a.runs) || a.runs[i+1].key != a.runs[i].key
	}
}

// buildTables makes a bitmap with some 64 bits per literal (between 4 Ki and 256 Ki bits) and a hash table at most half full.
func (a *Automaton) buildTables() {
	width := uint(12)
	for width < 18 && 1<<width < 64*len(a.runs) {
		width++
	}
	a.shift = 32 - width
	a.filter = make([]uint64, 1<<width/64)
	size := 4
	for size < 2*len(a.runs) {
		size *= 2
	}
	a.slots = make([]uint32, size)
	a.mask = uint32(size - 1)
	for i := range a.runs {
		if i > 0 && !a.runs[i-1].last {
			continue
		}
		h := hash4(a.runs[i].key)
		b := h >> a.shift
		a.filter[b>>6] |= 1 << (b & 63)
		slot := (h ^ h>>15) & a.mask
		for a.slots[slot] != 0 {
			slot = (slot + 1) & a.mask
		}
		a.slots[slot] = uint32(i) + 1
	}
}

// Len gives the number of literals.
func (a *Automaton) Len() int { return len(a.lits) }

// Scan sets in set the bit of each literal that occurs in s. It does not allocate, but for texts with a Kelvin sign or a long s.
func (a *Automaton) Scan(s string, set *Bitset) {
	for _, i := range a.empty {
		set.Set(int(i))
	}
	a.scan(s, set)
	if hasWideChar(s) {
		a.scan(narrow(s), set)
	}
}

// Any reports whether one of the literals occurs in s.
func (a *Automaton) Any(s string) bool {
	return len(a.empty) > 0 || a.scan(s, nil)
}

// scan marks the literals found in set. With a nil set it stops at the first one and returns true.
func (a *Automaton) scan(s string, set *Bitset) bool {
	if a.tiny != nil && a.scanTiny(s, set) {
		return true
	}
	if len(a.runs) == 0 {
		return false
	}
	filter, shift := a.filter, a.shift&31
	i := 0
	// Eight bytes hold five windows; all of them are hashed before any is looked at, as hits are rare.
	for ; i+8 <= len(s); i += 5 {
		w := foldWord(load8(s, i))
		h0 := hash4(uint32(w)) >> shift
		h1 := hash4(uint32(w>>8)) >> shift
		h2 := hash4(uint32(w>>16)) >> shift
		h3 := hash4(uint32(w>>24)) >> shift
		h4 := hash4(uint32(w>>32)) >> shift
		b0 := filter[h0>>6] >> (h0 & 63) & 1
		b1 := filter[h1>>6] >> (h1 & 63) & 1
		b2 := filter[h2>>6] >> (h2 & 63) & 1
		b3 := filter[h3>>6] >> (h3 & 63) & 1
		b4 := filter[h4>>6] >> (h4 & 63) & 1
		for hits := b0 | b1<<1 | b2<<2 | b3<<3 | b4<<4; hits != 0; hits &= hits - 1 {
			j := bits.TrailingZeros64(hits)
			if a.verify(s, i+j, uint32(w>>(8*j)), set) {
				return true
			}
		}
	}
	for ; i+windowSize <= len(s); i++ {
		if a.verify(s, i, foldHalf(load4(s, i)), set) {
			return true
		}
	}
	return false
}

// verify compares the literals whose window has the value key at offset at of s.
func (a *Automaton) verify(s string, at int, key uint32, set *Bitset) bool {
	h := hash4(key)
	slot := (h ^ h>>15) & a.mask
	for {
		e := a.slots[slot]
		if e == 0 {
			return false
		}
		if a.runs[e-1].key != key {
			slot = (slot + 1) & a.mask
			continue
		}
		for e--; ; e++ {
			r := &a.runs[e]
			l := a.lits[r.lit]
			from := at - int(r.offset)
			if from >= 0 && from+len(l) <= len(s) && equalFold(s[from:from+len(l)], l) {
				if set == nil {
					return true
				}
				set.Set(int(r.lit))
			}
			if r.last {
				return false
			}
		}
	}
}

func (a *Automaton) scanTiny(s string, set *Bitset) bool {
	t := a.tiny
	for i := 0; i < len(s); i++ {
		c := lower[s[i]]
		if t.singles && len(t.single[c]) > 0 {
			if set == nil {
				return true
			}
			for _, l := range t.single[c] {
				set.Set(int(l))
			}
		}
		if i+1 == len(s) {
			break
		}
		k := uint16(c) | uint16(lower[s[i+1]])<<8
		if t.pairs[k>>6]>>(k&63)&1 == 0 {
			continue
		}
		for _, l := range t.byPair[k] {
			if hasPrefixFold(s[i:], a.lits[l]) {
				if set == nil {
					return true
				}
				set.Set(int(l))
			}
		}
	}
	return false
}

func hash4(w uint32) uint32 { return w * 0x9E3779B1 }

func load4(s string, i int) uint32 {
	s = s[i : i+4]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func load8(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// foldWord lower-cases the ASCII capitals among eight bytes at once: adding makes the top bit of a byte tell "at least A" and "more than Z".
func foldWord(w uint64) uint64 {
	const ones = 0x0101010101010101
	low := w & (0x7f * ones)
	atLeastA := low + (0x80-'A')*ones
	moreThanZ := low + (0x7f-'Z')*ones
	return w | (atLeastA&^moreThanZ&^w&(0x80*ones))>>2
}

func foldHalf(w uint32) uint32 { return uint32(foldWord(uint64(w))) }

// hasWideChar reports whether s has a character that Unicode folds to an ASCII letter.
func hasWideChar(s string) bool {
	return strings.Contains(s, "\u212a") || strings.Contains(s, "\u017f")
}

var narrower = strings.NewReplacer("\u212a", "k", "\u017f", "s")

func narrow(s string) string { return narrower.Replace(s) }

// Bitset is a set of small numbers. The zero value is an empty set that grows as needed; NewBitset makes one that need not grow.
type Bitset struct{ words []uint64 }

// NewBitset makes an empty set with room for the numbers below n.
func NewBitset(n int) *Bitset { return &Bitset{make([]uint64, (n+63)/64)} }

// Set adds i.
func (b *Bitset) Set(i int) {
	w := i >> 6
	if w >= len(b.words) {
		b.words = append(b.words, make([]uint64, w+1-len(b.words))...)
	}
	b.words[w] |= 1 << (uint(i) & 63)
}

// Has reports whether i is in the set.
func (b *Bitset) Has(i int) bool {
	w := i >> 6
	return w < len(b.words) && b.words[w]>>(uint(i)&63)&1 != 0
}

// Reset empties the set and keeps its room.
func (b *Bitset) Reset() { clear(b.words) }

// Words gives the words of the set, number 0 in the lowest bit of the first. The slice is the set's own.
func (b *Bitset) Words() []uint64 { return b.words }
