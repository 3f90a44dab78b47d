package keys

import (
	"encoding/binary"
	"hash/adler32"
	"math/bits"
	"slices"
	"sync"
)

// The writer of zlib streams (RFC 1950, 1951), for the same reason as its reader: compressors made for files clear a megabyte of tables for
// each stream, which takes longer than everything else that happens to a packet. This one needs 20 KiB.

const (
	zlibHeader = 0x78da // what the reference's packets begin with
	minMatch   = 3
	maxMatch   = 258
	maxDist    = 32768
	hashBits   = 11
	chainLimit = 48       // candidates that are looked at for a match
	blockSize  = 32 << 10 // bytes of text in a block
)

// deflater is the working memory of one call.
type deflater struct {
	out    []byte
	acc    uint64 // bits on their way to out, lowest first
	nacc   uint
	head   [1 << hashBits]int32 // last position + 1 with a hash
	prev   []int32              // by position: the one before it with the same hash, + 1
	tokens []uint32             // a literal, or length<<16 | distance

	literals, distances, lengths codeMaker
	sizes                        []uint8  // run-length coded, with
	extra                        []uint16 // what follows symbols 16 to 18
}

var deflaters = sync.Pool{New: func() any { return new(deflater) }}

// zlib returns the stream of plain; it is valid until the next call.
func (d *deflater) zlib(plain []byte) []byte {
	d.out = binary.BigEndian.AppendUint16(d.out[:0], zlibHeader)
	d.acc, d.nacc = 0, 0
	d.head = [1 << hashBits]int32{}
	d.prev = slices.Grow(d.prev[:0], len(plain))[:len(plain)]
	for at := 0; ; {
		end := min(at+blockSize, len(plain))
		d.findMatches(plain, at, end)
		d.block(plain[at:end], end == len(plain))
		if at = end; at == len(plain) {
			break
		}
	}
	d.align()
	d.out = binary.BigEndian.AppendUint32(d.out, adler32.Checksum(plain))
	return d.out
}

func hash3(p []byte) uint32 {
	return (uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16) * 0x9e3779b1 >> (32 - hashBits)
}

// insert enters a position into its chain.
func (d *deflater) insert(text []byte, i int) {
	if i+minMatch <= len(text) {
		h := hash3(text[i:])
		d.prev[i] = d.head[h]
		d.head[h] = int32(i + 1)
	}
}

// findMatches splits text[from:to] into tokens. A match gives way when a longer one begins at the next byte.
func (d *deflater) findMatches(text []byte, from, to int) {
	d.tokens = d.tokens[:0]
	length, dist := 0, 0
	for i := from; i < to; {
		if length == 0 {
			length, dist = d.longest(text, i, to, minMatch-1)
			d.insert(text, i)
		}
		if length == 0 {
			d.tokens = append(d.tokens, uint32(text[i]))
			i++
			continue
		}
		if i+1 < to && length < 32 {
			if l, n := d.longest(text, i+1, to, length); l > length {
				d.tokens = append(d.tokens, uint32(text[i]))
				i++
				d.insert(text, i)
				length, dist = l, n
				continue
			}
		}
		d.tokens = append(d.tokens, uint32(length)<<16|uint32(dist-1)|1<<31)
		for end := i + length; ; {
			if i++; i == end {
				break
			}
			d.insert(text, i)
		}
		length = 0
	}
}

// longest finds the longest match for text[i:to] that is longer than least; 0 when there is none.
func (d *deflater) longest(text []byte, i, to, least int) (length, dist int) {
	most := min(maxMatch, to-i)
	if most <= least || i+minMatch > len(text) {
		return 0, 0
	}
	at := int(d.head[hash3(text[i:])]) - 1
	for n := chainLimit; at >= 0 && i-at <= maxDist && n > 0; n-- {
		if at < i && text[at+least] == text[i+least] {
			if l := common(text[at:], text[i:i+most]); l > least {
				least, length, dist = l, l, i-at
				if l == most {
					break
				}
			}
		}
		at = int(d.prev[at]) - 1
	}
	return length, dist
}

func common(a, b []byte) int {
	n := 0
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// lengthSymbol and distSymbol find the symbol of a length or distance, its extra bits and how many they are.
func lengthSymbol(length int) (sym int, extra uint64, n uint) {
	if length == maxMatch {
		return 285, 0, 0
	}
	v := uint(length - minMatch)
	if v < 8 {
		return 257 + int(v), 0, 0
	}
	n = uint(bits.Len(v)) - 3
	return 257 + int(n)*4 + int(v>>n), uint64(v & (1<<n - 1)), n
}

func distSymbol(dist int) (sym int, extra uint64, n uint) {
	v := uint(dist - 1)
	if v < 4 {
		return int(v), 0, 0
	}
	n = uint(bits.Len(v)) - 2
	return int(n)*2 + int(v>>n), uint64(v & (1<<n - 1)), n
}

// block writes the tokens in the shortest of the three forms.
func (d *deflater) block(text []byte, final bool) {
	d.count()
	d.literals.make(maxCodeLen)
	d.distances.make(maxCodeLen)
	literals, distances := d.describe()
	d.lengths.make(7)
	lengths := len(codeOrder)
	for lengths > 4 && d.lengths.sizes[codeOrder[lengths-1]] == 0 {
		lengths--
	}
	own := 14 + 3*lengths + d.lengths.cost() + d.literals.cost() + d.distances.cost()
	for _, s := range d.sizes {
		own += int(extraOfLength(s))
	}
	fixed := fixedMakers()
	plain := d.literals.costWith(&fixed.literals) + d.distances.costWith(&fixed.distances)
	stored := 8*len(text) + 32 + 7
	end := uint64(0)
	if final {
		end = 1
	}
	switch {
	case stored < own && stored < plain:
		d.put(end, 3)
		d.align()
		d.out = binary.LittleEndian.AppendUint16(d.out, uint16(len(text)))
		d.out = binary.LittleEndian.AppendUint16(d.out, ^uint16(len(text)))
		d.out = append(d.out, text...)
	case plain <= own:
		d.put(end|1<<1, 3)
		d.write(&fixed.literals, &fixed.distances)
	default:
		d.put(end|2<<1, 3)
		d.put(uint64(literals-257)|uint64(distances-1)<<5|uint64(lengths-4)<<10, 14)
		for _, sym := range codeOrder[:lengths] {
			d.put(uint64(d.lengths.sizes[sym]), 3)
		}
		for i, s := range d.sizes {
			d.put(uint64(d.lengths.codes[s]), uint(d.lengths.sizes[s]))
			d.put(uint64(d.extra[i]), extraOfLength(s))
		}
		d.write(&d.literals, &d.distances)
	}
}

// extraOfLength is the number of bits behind a symbol of the code for code lengths.
func extraOfLength(sym uint8) uint {
	switch sym {
	case 16:
		return 2
	case 17:
		return 3
	case 18:
		return 7
	}
	return 0
}

// count notes how often each symbol occurs, and the extra bits, which all forms but the stored one have.
func (d *deflater) count() {
	d.literals.reset(286)
	d.distances.reset(30)
	d.lengths.reset(19)
	for _, t := range d.tokens {
		if t < 256 {
			d.literals.freq[t]++
			continue
		}
		sym, _, n := lengthSymbol(int(t >> 16 & 0x7fff))
		d.literals.freq[sym]++
		d.literals.extra += int(n)
		sym, _, n = distSymbol(int(t&0xffff) + 1)
		d.distances.freq[sym]++
		d.distances.extra += int(n)
	}
	d.literals.freq[endOfBlock]++
}

// describe run-length codes the lengths of both codes, and counts the symbols of that.
func (d *deflater) describe() (literals, distances int) {
	literals, distances = 286, 30
	for literals > 257 && d.literals.sizes[literals-1] == 0 {
		literals--
	}
	for distances > 1 && d.distances.sizes[distances-1] == 0 {
		distances--
	}
	var all [286 + 30]uint8
	n := copy(all[:], d.literals.sizes[:literals])
	n += copy(all[n:], d.distances.sizes[:distances])
	d.sizes, d.extra = d.sizes[:0], d.extra[:0]
	for i := 0; i < n; {
		size, run := all[i], 1
		for i+run < n && all[i+run] == size {
			run++
		}
		i += run
		if size != 0 {
			d.length(size, 0)
			run--
		}
		for run > 0 {
			switch {
			case size == 0 && run >= 11:
				k := min(run, 138)
				d.length(18, k-11)
				run -= k
			case size == 0 && run >= 3:
				d.length(17, run-3)
				run = 0
			case size != 0 && run >= 3:
				k := min(run, 6)
				d.length(16, k-3)
				run -= k
			default:
				d.length(size, 0)
				run--
			}
		}
	}
	return literals, distances
}

func (d *deflater) length(sym uint8, extra int) {
	d.sizes, d.extra = append(d.sizes, sym), append(d.extra, uint16(extra))
	d.lengths.freq[sym]++
}

// write writes the tokens and the end of the block.
func (d *deflater) write(literals, distances *codeMaker) {
	for _, t := range d.tokens {
		if t < 256 {
			d.put(uint64(literals.codes[t]), uint(literals.sizes[t]))
			continue
		}
		sym, extra, n := lengthSymbol(int(t >> 16 & 0x7fff))
		d.put(uint64(literals.codes[sym])|extra<<literals.sizes[sym], uint(literals.sizes[sym])+n)
		sym, extra, n = distSymbol(int(t&0xffff) + 1)
		d.put(uint64(distances.codes[sym])|extra<<distances.sizes[sym], uint(distances.sizes[sym])+n)
	}
	d.put(uint64(literals.codes[endOfBlock]), uint(literals.sizes[endOfBlock]))
}

// put appends n bits, at most 32.
func (d *deflater) put(v uint64, n uint) {
	d.acc |= v << d.nacc
	d.nacc += n
	if d.nacc >= 32 {
		d.out = binary.LittleEndian.AppendUint32(d.out, uint32(d.acc))
		d.acc >>= 32
		d.nacc -= 32
	}
}

// align fills the last byte.
func (d *deflater) align() {
	for d.nacc > 0 {
		d.out = append(d.out, byte(d.acc))
		d.acc >>= 8
		d.nacc -= min(d.nacc, 8)
	}
}

// codeMaker makes a code from frequencies.
type codeMaker struct {
	n     int // symbols
	extra int // bits behind symbols, all together
	freq  [maxSymbols]uint32
	sizes [maxSymbols]uint8
	codes [maxSymbols]uint16 // first bit lowest

	order [maxSymbols]uint64 // symbols that occur, by frequency: frequency<<16 | symbol
	tree  [maxSymbols]uint32
}

func (c *codeMaker) reset(n int) {
	c.n, c.extra = n, 0
	clear(c.freq[:n])
}

// cost is the length in bits of everything that was counted.
func (c *codeMaker) cost() int { return c.costWith(c) }

func (c *codeMaker) costWith(other *codeMaker) int {
	sum := c.extra
	for i, f := range c.freq[:c.n] {
		sum += int(f) * int(other.sizes[i])
	}
	return sum
}

// make finds the code that is shortest for the frequencies, with no length above limit. A single symbol gets one bit; readers of old
// accept no code without symbols for distances, so that one gets a symbol too.
func (c *codeMaker) make(limit int) {
	clear(c.sizes[:c.n])
	used := c.order[:0]
	for sym, f := range c.freq[:c.n] {
		if f > 0 {
			used = append(used, uint64(f)<<16|uint64(sym))
		}
	}
	if len(used) < 2 {
		sym := 0
		if len(used) == 1 {
			sym = int(used[0] & 0xffff)
		}
		c.sizes[sym] = 1
		c.assign()
		return
	}
	slices.Sort(used)
	var count [32]int // codes by length
	c.measure(used, &count)
	shorten(&count, limit)
	at := 0 // the rarest symbols get the longest codes
	for l := limit; l > 0; l-- {
		for range count[l] {
			c.sizes[used[at]&0xffff] = uint8(l)
			at++
		}
	}
	c.assign()
}

// measure counts the depths of the leaves of a Huffman tree over used, which is in ascending order. Inner nodes come into being in
// ascending order as well, so that two queues replace a heap; the nodes' places are then walked from the root down.
func (c *codeMaker) measure(used []uint64, count *[32]int) {
	n := len(used)
	weights, parents := c.tree[:n], make([]uint16, 0, maxSymbols) // of inner nodes
	parents = parents[:n]
	leaf, inner := 0, 0
	var leafParent [maxSymbols]uint16
	for node := range n - 1 {
		var sum uint32
		for range 2 {
			if inner == node || leaf < n && uint32(used[leaf]>>16) <= weights[inner] {
				sum += uint32(used[leaf] >> 16)
				leafParent[leaf] = uint16(node)
				leaf++
			} else {
				sum += weights[inner]
				parents[inner] = uint16(node)
				inner++
			}
		}
		weights[node] = sum
	}
	depths := weights // not needed any more
	depths[n-2] = 0
	for node := n - 3; node >= 0; node-- {
		depths[node] = depths[parents[node]] + 1
	}
	for i := range n {
		count[min(depths[leafParent[i]]+1, 31)]++
	}
}

// shorten brings codes down to the limit: those above it become limit long, and others grow until the code fits again.
func shorten(count *[32]int, limit int) {
	over := 0 // how much of the code space is overdrawn, in units of the longest code
	for l := limit + 1; l < len(count); l++ {
		count[limit] += count[l]
		count[l] = 0
	}
	for l := 1; l <= limit; l++ {
		over += count[l] << (limit - l)
	}
	for over -= 1 << limit; over > 0; over-- {
		l := limit - 1
		for count[l] == 0 {
			l--
		}
		count[l]-- // one code becomes two of the next length, one of which a longest code takes
		count[l+1] += 2
		count[limit]--
	}
}

// assign numbers the codes of each length in the order of symbols.
func (c *codeMaker) assign() {
	var next [maxCodeLen + 2]uint16
	for _, s := range c.sizes[:c.n] {
		next[s+1]++
	}
	next[1] = 0
	code := uint16(0)
	for l := 1; l <= maxCodeLen; l++ {
		code = (code + next[l]) << 1
		next[l] = code
	}
	for sym, s := range c.sizes[:c.n] {
		if s > 0 {
			c.codes[sym] = bits.Reverse16(next[s]) >> (16 - s)
			next[s]++
		}
	}
}

type fixedCode struct{ literals, distances codeMaker }

// fixedMakers gives the codes of blocks that bring none.
var fixedMakers = sync.OnceValue(func() *fixedCode {
	f := new(fixedCode)
	f.literals.n, f.distances.n = maxSymbols, 30
	for i := range maxSymbols {
		f.literals.sizes[i] = fixedSize(i)
	}
	for i := range 30 {
		f.distances.sizes[i] = 5
	}
	f.literals.assign()
	f.distances.assign()
	return f
})

// fixedSize is the length of a literal's code in blocks that bring none.
func fixedSize(sym int) uint8 {
	switch {
	case sym < 144:
		return 8
	case sym < 256:
		return 9
	case sym < 280:
		return 7
	}
	return 8
}
