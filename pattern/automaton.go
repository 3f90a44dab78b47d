package pattern

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// Automaton finds which of thousands of literals occur in a text, in one pass, ignoring ASCII case. It does not follow a state machine
// (whose every step waits for memory) but looks at all windows of four bytes, and of three where short literals need them: each literal
// is known by its rarest window, a bitmap that fits the first-level cache says whether a window can be one of them, and only then the
// literal is compared.
//
// The characters that Unicode folds to ASCII letters (U+212A to k, U+017F to s) count as those letters and as themselves, so that
// literals of patterns with Unicode folding are found.
type Automaton struct {
	lits  []string // folded
	four  windows  // literals of four bytes and more
	three windows  // of three bytes
	tiny  *tinyLiterals
	empty []uint32 // literals of length 0: found in every text
}

// filterWords is the size of a filter: 128 Ki bits are sparse with thousands of literals and fit a first-level cache. Being a constant it
// spares the bounds checks of the inner loop.
const filterWords = 1 << 11

// filterBit gives the place of a window in the filter, from the upper bits of its hash.
func filterBit(h uint32) (word, bit uint32) { return h >> 21, h >> 15 & 63 }

// windows finds literals by one window each.
type windows struct {
	size   int
	keep   uint32               // mask of the window's bytes
	filter *[filterWords]uint64 // bitmap over hash values of windows
	slots  []uint32             // hash table: index+1 of the first entry of a window's run, 0 = free
	mask   uint32
	runs   []window
}

// window is one literal at its window; runs of equal windows stand together.
type window struct {
	key    uint32 // folded bytes, little endian
	lit    uint32
	offset uint32 // of the window in the literal
	last   bool   // of its run
	same   bool   // the literal is that of the entry before
}

// tinyLiterals knows literals of one or two bytes. They are found everywhere; whoever cares for speed has none.
type tinyLiterals struct {
	single [256][]uint32
	pairs  map[uint16][]uint32
}

// NewAutomaton builds the automaton of lits; the index of a literal is its bit. Literals are folded; duplicates are allowed.
func NewAutomaton(lits []string) *Automaton {
	a := &Automaton{four: windows{size: 4, keep: 1<<32 - 1}, three: windows{size: 3, keep: 1<<24 - 1}}
	var long, short []uint32
	for i, l := range lits {
		l = foldASCII(l)
		a.lits = append(a.lits, l)
		switch {
		case l == "":
			a.empty = append(a.empty, uint32(i))
		case len(l) < 3:
			a.addTiny(l, uint32(i))
		case len(l) == 3:
			short = append(short, uint32(i))
		default:
			long = append(long, uint32(i))
		}
	}
	a.four.build(a.lits, long)
	a.three.build(a.lits, short)
	return a
}

func (a *Automaton) addTiny(l string, i uint32) {
	if a.tiny == nil {
		a.tiny = &tinyLiterals{pairs: make(map[uint16][]uint32)}
	}
	if len(l) == 1 {
		a.tiny.single[l[0]] = append(a.tiny.single[l[0]], i)
		return
	}
	k := uint16(l[0]) | uint16(l[1])<<8
	a.tiny.pairs[k] = append(a.tiny.pairs[k], i)
}

// at gives the window of s at offset o.
func (w *windows) at(s string, o int) uint32 {
	s = s[o : o+w.size]
	key := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16
	if w.size == 4 {
		key |= uint32(s[3]) << 24
	}
	return key
}

// build takes of each literal the window that is rarest in logs, and among equally rare ones one that few literals share.
func (w *windows) build(lits []string, which []uint32) {
	used := make(map[uint32]int)
	for _, i := range which {
		for o := 0; o+w.size <= len(lits[i]); o++ {
			used[w.at(lits[i], o)]++
		}
	}
	for _, i := range which {
		l := lits[i]
		best, bestScore := 0, -1<<20
		for o := 0; o+w.size <= len(l); o++ {
			score := -8 * min(used[w.at(l, o)], 16)
			for j := range w.size {
				score += int(rarity[l[o+j]])
			}
			if score > bestScore {
				best, bestScore = o, score
			}
		}
		w.runs = append(w.runs, window{key: w.at(l, best), lit: i, offset: uint32(best)})
	}
	slices.SortStableFunc(w.runs, func(x, y window) int {
		return cmp.Or(cmp.Compare(x.key, y.key), strings.Compare(lits[x.lit], lits[y.lit]))
	})
	for i := range w.runs {
		r := &w.runs[i]
		r.last = i+1 == len(w.runs) || w.runs[i+1].key != r.key
		r.same = i > 0 && lits[w.runs[i-1].lit] == lits[r.lit]
	}
	w.buildTables()
}

// buildTables makes the filter and a hash table at most half full.
func (w *windows) buildTables() {
	if len(w.runs) == 0 {
		return
	}
	w.filter = new([filterWords]uint64)
	size := 4
	for size < 2*len(w.runs) {
		size *= 2
	}
	w.slots = make([]uint32, size)
	w.mask = uint32(size - 1)
	for i := range w.runs {
		if i > 0 && !w.runs[i-1].last {
			continue
		}
		h := hash4(w.runs[i].key)
		word, bit := filterBit(h)
		w.filter[word] |= 1 << bit
		slot := w.slot(h)
		for w.slots[slot] != 0 {
			slot = (slot + 1) & w.mask
		}
		w.slots[slot] = uint32(i) + 1
	}
}

func (w *windows) slot(h uint32) uint32 { return (h ^ h>>15) & w.mask }

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
	return a.four.scan(a.lits, s, set) || a.three.scan(a.lits, s, set) || a.tiny != nil && a.tiny.scan(s, set)
}

func (w *windows) scan(lits []string, s string, set *Bitset) bool {
	if len(w.runs) == 0 {
		return false
	}
	filter, keep := w.filter, w.keep
	if len(s) < 8 {
		for i := 0; i+w.size <= len(s); i++ {
			if w.verify(lits, s, i, uint32(foldWord(uint64(w.at(s, i)))), set) {
				return true
			}
		}
		return false
	}
	// Eight bytes hold five windows of four bytes; all of them are hashed before any is looked at, as hits are rare. The last eight bytes
	// may overlap those before. The very last window of three bytes is left for the end.
	for i := 0; ; i += 5 {
		if i+8 > len(s) {
			if i+4 > len(s) {
				break
			}
			i = len(s) - 8
		}
		v := foldWord(load8(s, i))
		h0 := hash4(uint32(v) & keep)
		h1 := hash4(uint32(v>>8) & keep)
		h2 := hash4(uint32(v>>16) & keep)
		h3 := hash4(uint32(v>>24) & keep)
		h4 := hash4(uint32(v>>32) & keep)
		b0 := filter[h0>>21] >> (h0 >> 15 & 63) & 1
		b1 := filter[h1>>21] >> (h1 >> 15 & 63) & 1
		b2 := filter[h2>>21] >> (h2 >> 15 & 63) & 1
		b3 := filter[h3>>21] >> (h3 >> 15 & 63) & 1
		b4 := filter[h4>>21] >> (h4 >> 15 & 63) & 1
		for hits := b0 | b1<<1 | b2<<2 | b3<<3 | b4<<4; hits != 0; hits &= hits - 1 {
			j := bits.TrailingZeros64(hits)
			if w.verify(lits, s, i+j, uint32(v>>(8*j))&keep, set) {
				return true
			}
		}
	}
	return w.size == 3 && w.verify(lits, s, len(s)-3, uint32(foldWord(uint64(w.at(s, len(s)-3)))), set)
}

// verify compares the literals whose window has the value key, which stands at offset at of s.
func (w *windows) verify(lits []string, s string, at int, key uint32, set *Bitset) bool {
	slot := w.slot(hash4(key))
	e := w.slots[slot]
	for e != 0 && w.runs[e-1].key != key {
		slot = (slot + 1) & w.mask
		e = w.slots[slot]
	}
	if e == 0 {
		return false
	}
	found := false
	for e--; ; e++ {
		r := &w.runs[e]
		if !r.same {
			if set != nil && set.Has(int(r.lit)) {
				found = false // and with it all that are the same
			} else {
				from, l := at-int(r.offset), lits[r.lit]
				found = from >= 0 && from+len(l) <= len(s) && (len(l) == w.size || equalFold(s[from:from+len(l)], l))
			}
		}
		if found {
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

func (t *tinyLiterals) scan(s string, set *Bitset) bool {
	for i := 0; i < len(s); i++ {
		c := lower[s[i]]
		found := t.single[c]
		for pass := 0; ; pass++ {
			if len(found) > 0 && set == nil {
				return true
			}
			for _, l := range found {
				set.Set(int(l))
			}
			if pass > 0 || i+1 == len(s) {
				break
			}
			found = t.pairs[uint16(c)|uint16(lower[s[i+1]])<<8]
		}
	}
	return false
}

func hash4(w uint32) uint32 { return w * 0x9E3779B1 }

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

// hasWideChar reports whether s has a character that Unicode folds to an ASCII letter.
func hasWideChar(s string) bool {
	return strings.Contains(s, "\u212a") || strings.Contains(s, "\u017f")
}

var narrower = strings.NewReplacer("\u212a", "k", "\u017f", "s")

func narrow(s string) string { return narrower.Replace(s) }

// Bitset is a set of small numbers. The zero value is an empty set; it grows as needed.
type Bitset struct{ words []uint64 }

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
