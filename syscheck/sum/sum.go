package sum

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// Placeholder stands in the place of a hash that was switched off or could not be computed.
const Placeholder = "xxx"

// Deleted is the checksum text of a file that is gone.
const Deleted = "-1"

// Set says which properties of a file are monitored.
type Set uint8

// The properties, in the order of the checksum text.
const (
	Size Set = 1 << iota
	Perm
	Owner
	Group
	MD5
	SHA1
	SHA256
)

// Hashes is every digest.
const Hashes = MD5 | SHA1 | SHA256

// Digests holds the digests of one content. Has tells which of them are valid.
type Digests struct {
	MD5    [16]byte
	SHA1   [20]byte
	SHA256 [32]byte
	Has    Set
}

// File is the set of properties that a checksum text is made of.
type File struct {
	Size     int64
	Mode     uint32 // st_mode with the file type
	UID, GID uint32
	Digests
}

// Append appends the checksum text "size:mode:uid:gid:md5:sha1:sha256" to b. Properties outside set read "0" (numbers) or
// "xxx" (hashes); a digest that f does not have reads "xxx".
func (f *File) Append(b []byte, set Set) []byte {
	number := func(on Set, v uint64) {
		if set&on == 0 {
			v = 0
		}
		b = strconv.AppendUint(b, v, 10)
		b = append(b, ':')
	}
	number(Size, uint64(max(f.Size, 0)))
	number(Perm, uint64(f.Mode))
	number(Owner, uint64(f.UID))
	number(Group, uint64(f.GID))
	b = f.appendDigest(b, set&MD5, f.MD5[:])
	b = append(b, ':')
	b = f.appendDigest(b, set&SHA1, f.SHA1[:])
	b = append(b, ':')
	return f.appendDigest(b, set&SHA256, f.SHA256[:])
}

func (f *File) appendDigest(b []byte, which Set, digest []byte) []byte {
	if which == 0 || f.Has&which == 0 {
		return append(b, Placeholder...)
	}
	return hex.AppendEncode(b, digest)
}

// Text is Append as a string.
func (f *File) Text(set Set) string {
	return string(f.Append(make([]byte, 0, 192), set))
}

// Fields are the parts of a checksum text; N counts how many there were (further ones are dropped). A text without enough
// fields leaves the rest empty.
type Fields struct {
	Size, Mode, UID, GID string
	MD5, SHA1, SHA256    string
	N                    int
}

// Split cuts a checksum text at its colons.
func Split(text string) Fields {
	var f Fields
	into := [...]*string{&f.Size, &f.Mode, &f.UID, &f.GID, &f.MD5, &f.SHA1, &f.SHA256}
	for rest, more := text, true; more; f.N++ {
		var part string
		part, rest, more = strings.Cut(rest, ":")
		if f.N < len(into) {
			*into[f.N] = part
		}
	}
	return f
}

// maxCompared is the length from which on a checksum text is not taken apart any more (spec section 11.2).
const maxCompared = 512

// RealChange reports whether two different checksum texts mean that the file changed (spec syscheck.md, section 11.2). Texts that
// differ only by placeholders, by a sha256 that one side lacks, or in fields after the seventh do not.
func RealChange(before, after string) bool {
	if before == after {
		return false
	}
	if len(before) >= maxCompared || len(after) >= maxCompared {
		return true
	}
	a, b := Split(before), Split(after)
	if a.N < 6 || b.N < 6 {
		return true
	}
	if a.Size != b.Size || a.Mode != b.Mode || a.UID != b.UID || a.GID != b.GID {
		return true
	}
	return hashChanged(a.MD5, b.MD5) || hashChanged(a.SHA1, b.SHA1) ||
		a.N >= 7 && b.N >= 7 && hashChanged(a.SHA256, b.SHA256)
}

func hashChanged(a, b string) bool { return a != b && Known(a) && Known(b) }

// Known reports whether a hash field holds a hash: not empty and not the placeholder.
func Known(hash string) bool { return hash != "" && hash != Placeholder }

// Mode reads the mode field: decimal, but octal if it has exactly three characters (spec syscheck.md, section 12). Text that is no number gives 0.
func Mode(field string) uint32 {
	base := 10
	if len(field) == 3 {
		base = 8
	}
	v, err := strconv.ParseUint(field, base, 32)
	if err != nil {
		return 0
	}
	return uint32(v)
}

// Permissions writes the nine permission characters of a mode. Set-uid shows as s in place 3, set-gid as s in place 6, sticky as t in
// place 9, whatever the x bit.
func Permissions(mode uint32) string {
	out := []byte("rwxrwxrwx")
	for i := range out {
		if mode&(0o400>>i) == 0 {
			out[i] = '-'
		}
	}
	if mode&0o4000 != 0 {
		out[2] = 's'
	}
	if mode&0o2000 != 0 {
		out[5] = 's'
	}
	if mode&0o1000 != 0 {
		out[8] = 't'
	}
	return string(out)
}

// Merge adds the digests that o has.
func (d *Digests) Merge(o Digests) {
	if o.Has&MD5 != 0 {
		d.MD5 = o.MD5
	}
	if o.Has&SHA1 != 0 {
		d.SHA1 = o.SHA1
	}
	if o.Has&SHA256 != 0 {
		d.SHA256 = o.SHA256
	}
	d.Has |= o.Has
}
