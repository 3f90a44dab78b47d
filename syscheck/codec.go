package syscheck

import (
	"encoding/binary"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

func fileKeyBytes(dir uint64, name string) []byte {
	k := make([]byte, 8, 8+len(name))
	binary.BigEndian.PutUint64(k, dir)
	return append(k, name...)
}

const (
	flagLink = 1 << iota
	flagRacy
	flagContent // a stamp follows
)

// encode appends the stored form: set, flags, digests present, numbers as varints, the digests that are there.
func (e *entry) encode(b []byte) []byte {
	var flags byte
	if e.link {
		flags |= flagLink
	}
	if e.racy {
		flags |= flagRacy
	}
	if e.stamp != (stamp{}) {
		flags |= flagContent
	}
	f := &e.file
	b = append(b, byte(e.set), flags, byte(f.Has))
	b = binary.AppendVarint(b, f.Size)
	for _, v := range [...]uint32{f.Mode, f.UID, f.GID} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	if flags&flagContent != 0 {
		st := &e.stamp
		b = binary.AppendVarint(b, st.size)
		b = binary.LittleEndian.AppendUint64(b, uint64(st.mtime))
		b = binary.LittleEndian.AppendUint64(b, uint64(st.ctime))
		b = binary.AppendUvarint(b, st.inode)
		b = binary.AppendUvarint(b, st.device)
	}
	for _, d := range e.digests() {
		if f.Has&d.bit != 0 {
			b = append(b, d.bytes...)
		}
	}
	return b
}

type digest struct {
	bit   sum.Set
	bytes []byte
}

func (e *entry) digests() [3]digest {
	f := &e.file
	return [3]digest{{sum.MD5, f.MD5[:]}, {sum.SHA1, f.SHA1[:]}, {sum.SHA256, f.SHA256[:]}}
}

// decode reads what encode wrote; false if b is damaged.
func (e *entry) decode(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	r := reader{b: b[3:]}
	*e = entry{set: sum.Set(b[0]), link: b[1]&flagLink != 0, racy: b[1]&flagRacy != 0}
	f := &e.file
	f.Has = sum.Set(b[2])
	f.Size = r.varint()
	f.Mode, f.UID, f.GID = uint32(r.uvarint()), uint32(r.uvarint()), uint32(r.uvarint())
	if b[1]&flagContent != 0 {
		st := &e.stamp
		st.size = r.varint()
		st.mtime, st.ctime = int64(r.fixed()), int64(r.fixed())
		st.inode, st.device = r.uvarint(), r.uvarint()
	}
	for _, d := range e.digests() {
		if f.Has&d.bit != 0 {
			copy(d.bytes, r.take(len(d.bytes)))
		}
	}
	return !r.bad
}

// reader takes values from the front of b; after a failure it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return v * r.advance(n)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return v * int64(r.advance(n))
}

// advance skips n bytes; it gives 1, or 0 when there was nothing to skip.
func (r *reader) advance(n int) uint64 {
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return 1
}

func (r *reader) fixed() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) take(n int) []byte {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
