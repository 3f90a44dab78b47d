package keys

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"math/bits"
	"sync"
)

// The reader of zlib streams (RFC 1950, 1951). Packets are short and each has a code of its own, so that most of the work is not
// decompression but building code tables; libraries made for files spend a microsecond on each. Here the whole text is in memory on
// both sides, nothing is kept between packets, and the tables are small.

var (
	errTooLarge = errors.New("inflates to more than 6144 bytes")
	errZlib     = errors.New("damaged zlib stream")
	errZlibEnd  = errors.New("zlib stream is cut off")
	errZlibSum  = errors.New("zlib stream has a wrong sum")
)

const (
	maxCodeLen = 15
	tableBits  = 9 // codes up to this length are found in one step, at most
	maxSymbols = 288
	endOfBlock = 256
)

// huffman decodes one canonical code.
type huffman struct {
	table   [1 << tableBits]uint16 // by the next bits of the stream: symbol<<4 | length; 0 = a longer code, or none
	count   [maxCodeLen + 1]uint16 // codes of each length
	symbols [maxSymbols]uint16     // in the order of their codes
	mask    uint64                 // which bits of the stream the table is entered with: as many as its longest code has
	long    bool                   // there are codes that the table does not hold
}

// inflater is the working memory of one call.
type inflater struct {
	literals, distances, lengths huffman
	sizes                        [maxSymbols + 32]uint8
	used                         [maxSymbols + 32]uint16 // which sizes are not 0, ascending: a short text has few symbols
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate writes the text of the zlib stream z to out and returns its length; a text longer than out is an error. Bytes behind
// the end of the stream are ignored.
func inflate(out, z []byte) (int, error) {
	if len(z) < 2 {
		return 0, errZlibEnd
	}
	if z[0]&0x0f != 8 || z[0]>>4 > 7 || binary.BigEndian.Uint16(z)%31 != 0 || z[1]&0x20 != 0 {
		return 0, errZlib
	}
	in := inflaters.Get().(*inflater)
	defer inflaters.Put(in)
	r := bitReader{src: z[2:]}
	n := 0
	for final := false; !final; {
		var err error
		if n, final, err = in.block(&r, out, n); err != nil {
			return n, err
		}
	}
	rest := r.bytes()
	if len(rest) < 4 {
		return n, errZlibEnd
	}
	if adler32.Checksum(out[:n]) != binary.BigEndian.Uint32(rest) {
		return n, errZlibSum
	}
	return n, nil
}

// block decodes one block behind out[:n].
func (in *inflater) block(r *bitReader, out []byte, n int) (_ int, final bool, err error) {
	r.fill()
	final = r.take(1) == 1
	kind := r.take(2)
	if r.short() {
		return n, false, errZlibEnd
	}
	switch kind {
	case 0:
		n, err = stored(r, out, n)
	case 1:
		lit, dist := fixedCodes()
		n, err = decode(r, lit, dist, out, n)
	case 2:
		if err = in.readCodes(r); err == nil {
			n, err = decode(r, &in.literals, &in.distances, out, n)
		}
	default:
		err = errZlib
	}
	return n, final, err
}

func stored(r *bitReader, out []byte, n int) (int, error) {
	rest := r.bytes()
	if len(rest) < 4 {
		return n, errZlibEnd
	}
	size := binary.LittleEndian.Uint16(rest)
	if size != ^binary.LittleEndian.Uint16(rest[2:]) {
		return n, errZlib
	}
	rest = rest[4:]
	if len(rest) < int(size) {
		return n, errZlibEnd
	}
	if len(out)-n < int(size) {
		return n, errTooLarge
	}
	n += copy(out[n:], rest[:size])
	*r = bitReader{src: rest[size:]}
	return n, nil
}

// codeOrder is the order in which the lengths of the code for code lengths stand in the stream.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the two codes of a dynamic block.
func (in *inflater) readCodes(r *bitReader) error {
	r.fill()
	literals, distances, lengths := int(r.take(5))+257, int(r.take(5))+1, int(r.take(4))+4
	if literals > 286 || distances > 30 {
		return errZlib
	}
	sizes := in.sizes[:19]
	clear(sizes)
	for i := range lengths {
		r.fill()
		sizes[codeOrder[i]] = uint8(r.take(3))
	}
	if r.short() {
		return errZlibEnd
	}
	if !in.lengths.build(sizes, nonzero(in.used[:0], sizes), 0) {
		return errZlib
	}
	sizes = in.sizes[:literals+distances]
	used, err := in.readSizes(r, sizes)
	if err != nil {
		return err
	}
	split := len(used)
	for split > 0 && int(used[split-1]) >= literals {
		split--
	}
	if !in.literals.build(sizes, used[:split], 0) || !in.distances.build(sizes, used[split:], literals) {
		return errZlib
	}
	return nil
}

// nonzero appends the places of the sizes that are not 0.
func nonzero(used []uint16, sizes []uint8) []uint16 {
	for i, s := range sizes {
		if s != 0 {
			used = append(used, uint16(i))
		}
	}
	return used
}

// readSizes reads the run-length coded code lengths, and lists which are not 0.
func (in *inflater) readSizes(r *bitReader, sizes []uint8) (used []uint16, err error) {
	clear(sizes)
	n := 0
	table, mask := &in.lengths.table, in.lengths.mask&(1<<tableBits-1)
	for i := 0; i < len(sizes); {
		if r.n < 7+7 { // a code of at most 7 bits, and the run's length
			r.fill()
		}
		e := table[r.bits&mask]
		if e == 0 {
			return nil, r.fault()
		}
		r.take(uint(e & 15))
		sym := e >> 4
		if sym < 16 {
			if sym != 0 {
				sizes[i] = uint8(sym)
				in.used[n] = uint16(i)
				n++
			}
			i++
			continue
		}
		value, run := uint8(0), 0
		switch sym {
		case 16:
			if i == 0 {
				return nil, errZlib
			}
			value, run = sizes[i-1], 3+int(r.take(2))
		case 17:
			run = 3 + int(r.take(3))
		default:
			run = 11 + int(r.take(7))
		}
		if i+run > len(sizes) {
			return nil, errZlib
		}
		if value == 0 {
			i += run
			continue
		}
		for end := i + run; i < end; i++ {
			sizes[i] = value
			in.used[n] = uint16(i)
			n++
		}
	}
	if r.short() {
		return nil, errZlibEnd
	}
	return in.used[:n], nil
}

// Lengths and distances are a base and extra bits.
var (
	lengthBase = [32]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = [32]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [32]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distBits   = [32]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

const (
	lengthCodes = 29
	distCodes   = 30
)

// decode decodes the symbols of a block up to its end. The reader's state is kept in local variables while literals follow one another, which
// is nearly always: they are most of a log line.
func decode(r *bitReader, literals, distances *huffman, out []byte, n int) (int, error) {
	table, mask := &literals.table, literals.mask&(1<<tableBits-1)
	for {
		r.fill() // 56 bits: enough for the longest pair of 15+5+15+13
		bits, left := r.bits, r.n
		for {
			e := table[bits&mask]
			if e == 0 || e>>4 >= endOfBlock || left < tableBits {
				break
			}
			if n >= len(out) {
				return n, errTooLarge
			}
			bits >>= e & 15
			left -= int(e & 15)
			out[n] = byte(e >> 4)
			n++
		}
		r.bits, r.n = bits, left
		if left < 48 {
			r.fill()
		}
		sym, ok := literals.next(r)
		if !ok || r.short() {
			return n, r.fault()
		}
		if sym < endOfBlock {
			if n >= len(out) {
				return n, errTooLarge
			}
			out[n] = byte(sym)
			n++
			continue
		}
		if sym == endOfBlock {
			return n, nil
		}
		if sym -= endOfBlock + 1; sym >= lengthCodes {
			return n, errZlib
		}
		length := int(lengthBase[sym]) + int(r.take(uint(lengthBits[sym])))
		code, ok := distances.next(r)
		if !ok || code >= distCodes {
			return n, r.fault()
		}
		dist := int(distBase[code]) + int(r.take(uint(distBits[code])))
		switch {
		case r.short():
			return n, errZlibEnd
		case dist > n:
			return n, errZlib
		case length > len(out)-n:
			return n, errTooLarge
		}
		n = repeat(out, n, dist, length)
	}
}

// repeat copies length bytes from dist bytes back; they may overlap.
func repeat(out []byte, n, dist, length int) int {
	for end := n + length; n < end; {
		n += copy(out[n:end], out[n-dist:n])
	}
	return n
}

// build makes the tables of the code whose symbols have the lengths sizes[u] for u in used, ascending and counted from the symbol that stands at
// first. It is false for what is no code: as with every other reader, a code may be incomplete only when it has one symbol of one bit, and
// may have no symbol at all as long as none is used.
func (h *huffman) build(sizes []uint8, used []uint16, first int) bool {
	h.count = [maxCodeLen + 1]uint16{}
	longest := 0
	for _, u := range used {
		s := sizes[u] & maxCodeLen
		h.count[s]++
		longest = max(longest, int(s))
	}
	var starts [maxCodeLen + 1]uint16
	left, start := 1, uint16(0)
	for l := 1; l <= longest; l++ {
		n := h.count[l]
		if left = left<<1 - int(n); left < 0 {
			return false
		}
		starts[l] = start
		start += n
	}
	if left > 0 && longest > 1 {
		return false
	}
	for _, u := range used {
		s := sizes[u] & maxCodeLen
		h.symbols[starts[s]] = u - uint16(first)
		starts[s]++
	}
	h.long = longest > tableBits
	width := max(1, min(longest, tableBits))
	h.mask = 1<<width - 1
	if h.long || left > 0 {
		clear(h.table[:1<<width])
	}
	h.fillTable(width)
	return true
}

// fillTable enters the codes in ascending order. The stream has a code's first bit lowest, so codes are counted up with their bits
// reversed; each time the length grows, what is there is doubled.
func (h *huffman) fillTable(width int) {
	code, size, at := uint(0), uint(1), 0
	for l := 1; l <= width; l++ {
		if code > 0 { // shorter codes are there
			copy(h.table[size:2*size], h.table[:size])
		}
		size *= 2
		for range h.count[l] {
			h.table[code] = h.symbols[at]<<4 | uint16(l)
			at++
			if code == size-1 { // the last one: all ones
				return
			}
			top := uint(1) << (bits.Len(code^(size-1)) - 1)
			code = code&(top-1) | top
		}
	}
}

// next takes one symbol; at least 15 bits must have been asked for with fill. ok is false when the bits are no code.
func (h *huffman) next(r *bitReader) (sym uint16, ok bool) {
	if e := h.table[r.bits&h.mask&(1<<tableBits-1)]; e != 0 {
		l := uint(e & 15)
		r.bits >>= l
		r.n -= int(l)
		return e >> 4, true
	}
	if !h.long {
		return 0, false
	}
	return h.nextLong(r)
}

// nextLong finds a code bit by bit.
func (h *huffman) nextLong(r *bitReader) (uint16, bool) {
	code, first, at := 0, 0, 0
	for l := 1; l <= maxCodeLen; l++ {
		code |= int(r.bits >> (l - 1) & 1)
		n := int(h.count[l])
		if code-first < n {
			r.bits >>= l
			r.n -= l
			return h.symbols[at+code-first], true
		}
		at += n
		first = (first + n) << 1
		code <<= 1
	}
	return 0, false
}

// fixedCodes gives the codes of blocks that bring none.
var fixedCodes = sync.OnceValues(func() (literals, distances *huffman) {
	var sizes [maxSymbols]uint8
	for i := range sizes {
		sizes[i] = fixedSize(i)
	}
	var five [32]uint8
	for i := range five {
		five[i] = 5
	}
	literals, distances = new(huffman), new(huffman)
	if !literals.build(sizes[:], nonzero(nil, sizes[:]), 0) || !distances.build(five[:], nonzero(nil, five[:]), 0) {
		panic("keys: fixed codes")
	}
	return literals, distances
})

// bitReader gives the bits of a stream. Behind its end it gives zeros, and short reports that they were used.
type bitReader struct {
	src  []byte
	at   int    // of the next byte that is not in bits
	bits uint64 // lowest first
	n    int    // valid ones; negative when more were taken than there are
}

// fill makes at least 56 bits available, or all that are left.
func (r *bitReader) fill() {
	if r.at+8 <= len(r.src) && r.n >= 0 {
		r.bits |= binary.LittleEndian.Uint64(r.src[r.at:]) << r.n
		r.at += (63 - r.n) >> 3
		r.n |= 56
		return
	}
	for r.n >= 0 && r.n <= 56 && r.at < len(r.src) {
		r.bits |= uint64(r.src[r.at]) << r.n
		r.at++
		r.n += 8
	}
}

func (r *bitReader) take(n uint) uint64 {
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.n -= int(n)
	return v
}

// short reports whether more bits were taken than the stream has.
func (r *bitReader) short() bool { return r.n < 0 }

// fault tells why a code could not be read.
func (r *bitReader) fault() error {
	if r.short() || r.at == len(r.src) && r.n < maxCodeLen {
		return errZlibEnd
	}
	return errZlib
}

// bytes gives what follows the present byte.
func (r *bitReader) bytes() []byte {
	if r.n < 0 {
		return nil
	}
	return r.src[r.at-r.n/8:]
}
