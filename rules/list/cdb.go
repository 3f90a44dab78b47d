package list

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A constant database is a head of 256 pairs (position, slots) of 32-bit little-endian numbers, then the records (key length, value
// length, key, value), then 256 hash tables of slots (hash, record position), position 0 meaning free.
const (
	cdbTables = 256
	cdbHead   = cdbTables * 8
	cdbSlot   = 8
)

// hash is the hash of the format.
func hash(key string) uint32 {
	h := uint32(5381)
	for i := 0; i < len(key); i++ {
		h = (h<<5 + h) ^ uint32(key[i])
	}
	return h
}

// AppendCDB appends the compiled form of db to b. It fails when the result would pass the format's 4 GiB.
func (db *DB) AppendCDB(b []byte) ([]byte, error) {
	type slot struct{ hash, pos uint32 }
	base := len(b)
	b = append(b, make([]byte, cdbHead)...)
	var slots [cdbTables][]slot
	for _, e := range db.Entries() {
		pos := len(b) - base
		if uint64(pos)+uint64(len(e.Key))+uint64(len(e.Value)) > math.MaxUint32/2 {
			return nil, fmt.Errorf("list too large for a constant database: %d bytes", pos)
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Key)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e.Value)))
		b = append(append(b, e.Key...), e.Value...)
		h := hash(e.Key)
		slots[h%cdbTables] = append(slots[h%cdbTables], slot{h, uint32(pos)})
	}
	for i, in := range slots {
		n := len(in) * 2
		binary.LittleEndian.PutUint32(b[base+i*8:], uint32(len(b)-base))
		binary.LittleEndian.PutUint32(b[base+i*8+4:], uint32(n))
		table := make([]slot, n)
		for _, s := range in {
			at := int(s.hash>>8) % n
			for table[at].pos != 0 {
				at = (at + 1) % n
			}
			table[at] = s
		}
		for _, s := range table {
			b = binary.LittleEndian.AppendUint32(b, s.hash)
			b = binary.LittleEndian.AppendUint32(b, s.pos)
		}
	}
	return b, nil
}

// ReadCDB reads the compiled form. The records are read one after the other, so that Entries keeps the order in which they were added.
// Damaged data is an error, never a panic.
func ReadCDB(data []byte) (*DB, error) {
	if len(data) < cdbHead {
		return nil, errFormat("%d bytes, the head alone has %d", len(data), cdbHead)
	}
	end := uint64(len(data)) // where the first table begins
	for i := range cdbTables {
		pos := uint64(binary.LittleEndian.Uint32(data[i*8:]))
		n := uint64(binary.LittleEndian.Uint32(data[i*8+4:]))
		if n == 0 && pos == 0 {
			continue
		}
		if pos < cdbHead || pos+n*cdbSlot > uint64(len(data)) {
			return nil, errFormat("table %d lies outside the file", i)
		}
		end = min(end, pos)
	}
	var entries []Entry
	for at := uint64(cdbHead); at < end; {
		if at+8 > end {
			return nil, errFormat("record at %d is cut", at)
		}
		klen := uint64(binary.LittleEndian.Uint32(data[at:]))
		vlen := uint64(binary.LittleEndian.Uint32(data[at+4:]))
		next := at + 8 + klen + vlen
		if next > end {
			return nil, errFormat("record at %d is cut", at)
		}
		entries = append(entries, Entry{string(data[at+8 : at+8+klen]), string(data[at+8+klen : next])})
		at = next
	}
	return New(entries), nil
}
