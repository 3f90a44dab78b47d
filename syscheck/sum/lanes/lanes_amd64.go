//go:build !purego

package lanes

import "golang.org/x/sys/cpu"

var supported = func() (kinds []Kind) {
	if cpu.X86.HasAVX2 {
		kinds = append(kinds, AVX2)
	}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW {
		kinds = append(kinds, AVX512)
	}
	return kinds
}()

// The functions of the assembly files. rows is where transpose puts the blocks and the others take them; state the first word of the algorithm.

//go:noescape
func transpose16(rows *row, data *[Max]*byte, offset, blocks int)

//go:noescape
func md5Rows16(state, rows *row, blocks int)

//go:noescape
func sha1Rows16(state, rows *row, blocks int)

//go:noescape
func md5sha1Rows16(state, rows *row, blocks int)

//go:noescape
func sha256Rows16(state, rows *row, blocks int)

//go:noescape
func transpose8(rows *row, data *[Max]*byte, offset, blocks int)

//go:noescape
func md5Rows8(state, rows *row, blocks int)

// blocks hashes up to batch blocks that begin at an offset from where data points to.
func (s *State) blocks(set Set, data *[Max]*byte, offset, n int) {
	rows := &s.rows[0]
	if s.kind == AVX2 {
		transpose8(rows, data, offset, n)
		md5Rows8(&s.words[0], rows, n)
		return
	}
	transpose16(rows, data, offset, n)
	switch set & (MD5 | SHA1) {
	case MD5 | SHA1:
		md5sha1Rows16(&s.words[0], rows, n)
	case MD5:
		md5Rows16(&s.words[0], rows, n)
	case SHA1:
		sha1Rows16(&s.words[4], rows, n)
	}
	if set&SHA256 != 0 {
		sha256Rows16(&s.words[9], rows, n)
	}
}
