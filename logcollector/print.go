package logcollector

import "os"

// maxPrint is how many bytes of the beginning of a file are remembered by their sum. It is more than the fixed heading that some programs
// write into every new log.
const maxPrint = 1024

// fingerprint is the sum (FNV-1a) of the first Len bytes of a file, by which a file is known again: its inode number may be used anew, and
// it may be emptied and filled again. A follower's fingerprint covers all that it has read, up to maxPrint.
type fingerprint struct {
	Len int
	Sum uint64
}

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// extend takes data that stands at offset start of the file into the sum, as far as it continues what is summed.
func (p *fingerprint) extend(data []byte, start int64) {
	if p.Len >= maxPrint || int64(p.Len) < start || int64(p.Len) >= start+int64(len(data)) {
		return
	}
	data = data[int64(p.Len)-start:]
	data = data[:min(len(data), maxPrint-p.Len)]
	if p.Len == 0 {
		p.Sum = fnvOffset
	}
	for _, b := range data {
		p.Sum = (p.Sum ^ uint64(b)) * fnvPrime
	}
	p.Len += len(data)
}

// takePrint sums the first length bytes of f, at most maxPrint, or as many as there are.
func takePrint(f *os.File, length int64) fingerprint {
	var buf [maxPrint]byte
	n, _ := f.ReadAt(buf[:min(length, maxPrint)], 0) // what cannot be read makes a difference, which is what we ask for
	var p fingerprint
	p.extend(buf[:n], 0)
	return p
}

// of reports whether f begins as the file of the fingerprint did.
func (p fingerprint) of(f *os.File) bool { return p.Len == 0 || takePrint(f, int64(p.Len)) == p }
