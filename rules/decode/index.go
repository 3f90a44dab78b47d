package decode

import (
	"math/bits"

	"github.com/vedette-hids/vedette/pattern"
)

// list is a decoder list in load order with the tables that pick the few members worth a look.
type list struct {
	nodes []*node
	// next is the position of the group member that follows, -1 at the end of a group and outside groups.
	next []int
	// resume is set in exact mode for lists with scattered groups: where to go on after the prematch of a member failed.
	resume []int

	start      []uint64 // members where the walk may begin: all but the later ones of a group
	always     []uint64 // members of start to try whatever the log
	hasIndex   bool     // else always has all of start
	fromLog    prefixIndex
	fromParent prefixIndex // for prematches that look from the end of the parent's
	literals   *pattern.Automaton
	literalOf  []int // member of each literal

	programIndex prefixIndex // top-level decoders with program names only
}

func (l *list) words() int { return (len(l.nodes) + 63) / 64 }

// candidates returns the set of members whose prematch can match, in memory of sc that the next call reuses.
func (l *list) candidates(log string, pmatch int, sc *Scratch) []uint64 {
	n := l.words()
	if cap(sc.bits) < 2*n {
		sc.bits = make([]uint64, 2*n)
	}
	out := sc.bits[:n]
	copy(out, l.always)
	if !l.hasIndex {
		return out
	}
	more := sc.bits[n : 2*n]
	if l.fromLog.words > 0 {
		l.fromLog.lookup(log, more)
		orInto(out, more)
	}
	if l.fromParent.words > 0 {
		l.fromParent.lookup(log[pmatch:], more)
		orInto(out, more)
	}
	if l.literals != nil {
		l.scanLiterals(log, out, sc)
	}
	return out
}

// scanLiterals adds the members one of whose literals occurs in the log.
func (l *list) scanLiterals(log string, out []uint64, sc *Scratch) {
	sc.literals.Reset()
	l.literals.Scan(log, &sc.literals)
	for w, word := range sc.literals.Words() {
		for ; word != 0; word &= word - 1 {
			setBit(out, l.literalOf[w*64+bits.TrailingZeros64(word)])
		}
	}
}

func orInto(out, more []uint64) {
	for i, w := range more {
		out[i] |= w
	}
}

func setBit(set []uint64, i int) { set[i/64] |= 1 << (i % 64) }

// byteSet is a set of ASCII bytes, and of the end of the text.
type byteSet [3]uint64

const endOfText = 128

func (s *byteSet) add(c int)      { s[c/64] |= 1 << (c % 64) }
func (s *byteSet) has(c int) bool { return s[c/64]&(1<<(c%64)) != 0 }
func (s *byteSet) union(other byteSet) {
	s[0], s[1], s[2] = s[0]|other[0], s[1]|other[1], s[2]|other[2]
}

// prefix says which bytes a text can begin with if an anchored pattern is to match it, position by position. An empty prefix says
// nothing: the pattern can match any text.
type prefix []byteSet

// maxPrefix is the number of positions that are looked at. Eight tell the date and tag formats of log lines apart.
const maxPrefix = 8

// prefixIndex answers for a text which of many prefixes it fits, with one table look-up per position for up to 64 prefixes.
type prefixIndex struct {
	positions []prefixRow
	words     int
}

// prefixRow maps the byte at one position to the set of prefixes that accept it.
type prefixRow struct {
	class [endOfText + 1]uint16
	sets  [][]uint64
}

// newPrefixIndex makes the index of prefixes; only members of use take part, the others are never in the result.
func newPrefixIndex(prefixes []prefix, use []uint64) prefixIndex {
	ix := prefixIndex{words: len(use)}
	for pos := 0; pos < maxPrefix; pos++ {
		row := newPrefixRow(prefixes, use, pos)
		if pos > 0 && len(row.sets) == 1 {
			break // every byte gives the same set: nobody looks this far
		}
		ix.positions = append(ix.positions, row)
	}
	return ix
}

func newPrefixRow(prefixes []prefix, use []uint64, pos int) prefixRow {
	var row prefixRow
	seen := map[string]uint16{}
	for c := 0; c <= endOfText; c++ {
		set := make([]uint64, len(use))
		key := make([]byte, 0, 8*len(use))
		for i := range prefixes {
			if use[i/64]&(1<<(i%64)) != 0 && (pos >= len(prefixes[i]) || prefixes[i][pos].has(c)) {
				setBit(set, i)
			}
		}
		for _, w := range set {
			for shift := 0; shift < 64; shift += 8 {
				key = append(key, byte(w>>shift))
			}
		}
		id, ok := seen[string(key)]
		if !ok {
			id = uint16(len(row.sets))
			seen[string(key)] = id
			row.sets = append(row.sets, set)
		}
		row.class[c] = id
	}
	return row
}

// lookup stores in out the set of members whose prefix s fits. Positions from the first byte on that is not printable ASCII are not
// judged: there one byte of the text need not be one character of the pattern.
func (ix *prefixIndex) lookup(s string, out []uint64) {
	if len(ix.positions) == 0 {
		clear(out)
		return
	}
	first := true
	for pos := range ix.positions {
		c := endOfText
		if pos < len(s) {
			c = int(s[pos])
			if c < ' ' || c > '~' {
				break
			}
		}
		row := &ix.positions[pos]
		set := row.sets[row.class[c]]
		if first {
			copy(out, set)
			first = false
		} else {
			for i, w := range set {
				out[i] &= w
			}
		}
		if c == endOfText {
			break
		}
	}
	if first {
		ix.all(out)
	}
}

// all stores the set of all members.
func (ix *prefixIndex) all(out []uint64) {
	clear(out)
	for _, set := range ix.positions[0].sets {
		for i, w := range set {
			out[i] |= w
		}
	}
}
