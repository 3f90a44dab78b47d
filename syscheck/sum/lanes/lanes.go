package lanes

import (
	"crypto/md5"  //nolint:gosec // what is asked for
	"crypto/sha1" //nolint:gosec // what is asked for
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"fmt"
	"hash"
	"math/bits"
)

// BlockSize is the size in bytes of a block, the same for the three algorithms.
const BlockSize = 64

// Max is the largest number of lanes of any Kind.
const Max = 16

// Set is a set of algorithms.
type Set uint8

// The algorithms.
const (
	MD5 Set = 1 << iota
	SHA1
	SHA256
)

// Kind is a way of hashing several streams at once.
type Kind uint8

// The kinds. None has no lanes; it stands for a processor that can do none of the others.
const (
	None Kind = iota
	AVX2
	AVX512
)

func (k Kind) String() string { return [...]string{"none", "avx2", "avx512"}[k] }

// Width is the number of lanes.
func (k Kind) Width() int { return [...]int{0, 8, Max}[k] }

// Set is what the kind can compute. AVX2 does not reach what processors do with their instructions for SHA.
func (k Kind) Set() Set { return [...]Set{0, MD5, MD5 | SHA1 | SHA256}[k] }

// Kinds lists what this processor can do, the best one last.
func Kinds() []Kind { return append([]Kind{None}, supported...) }

// Best is the fastest kind that this processor can do.
func Best() Kind {
	if len(supported) == 0 {
		return None
	}
	return supported[len(supported)-1]
}

// row is one word of the state of every lane.
type row = [Max]uint32

// batch is how many blocks of all lanes are in the first cache at a time.
const batch = 8

// State is the running digests of all lanes. It is not safe for concurrent use.
type State struct {
	words   [4 + 5 + 8]row // of md5, sha1, sha256
	rows    [batch * BlockSize / 4]row
	kind    Kind
	scratch []byte
}

// New makes a State for a kind other than None. The error says that streams cannot be moved between this standard library and the lanes.
func New(k Kind) (*State, error) {
	s := &State{kind: k}
	for i := range algorithms {
		a := &algorithms[i]
		h := a.make()
		s.Start(0)
		if err := s.move(0, a, 0, h); err != nil {
			return nil, err
		}
		if b, err := s.form(h); err != nil {
			return nil, err
		} else if len(b) != a.size() || string(b[:len(a.magic)]) != a.magic {
			return nil, fmt.Errorf("state of a digest: unknown form %q", b)
		}
	}
	return s, nil
}

// algorithm says where the words of one algorithm are, and how its hash of the standard library writes its state: magic, words, an
// unfinished block, length.
type algorithm struct {
	set          Set
	make         func() hash.Hash
	first, words int
	magic        string
	initial      []uint32
}

var algorithms = [...]algorithm{
	{MD5, md5.New, 0, 4, "md5\x01", []uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}},
	{SHA1, sha1.New, 4, 5, "sha\x01", []uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}},
	{SHA256, sha256.New, 9, 8, "sha\x03", []uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	}},
}

// of gives the algorithm of a set of one.
func of(set Set) *algorithm { return &algorithms[bits.TrailingZeros8(uint8(set))] }

func (a *algorithm) size() int { return len(a.magic) + 4*a.words + BlockSize + 8 }

// Start sets a lane to the beginning of a stream.
func (s *State) Start(lane int) {
	for i := range algorithms {
		for j, w := range algorithms[i].initial {
			s.words[algorithms[i].first+j][lane] = w
		}
	}
}

// Load sets a lane to the state of h, a hash of the standard library for the one algorithm in set that was written whole blocks.
func (s *State) Load(lane int, set Set, h hash.Hash) {
	a := of(set)
	b, err := s.form(h)
	if err != nil {
		panic(err) // New has seen that it works
	}
	for i := range a.words {
		s.words[a.first+i][lane] = binary.BigEndian.Uint32(b[len(a.magic)+4*i:])
	}
}

// form is the state of h as the standard library writes it.
func (s *State) form(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryAppender)
	if !ok {
		return nil, fmt.Errorf("state of a digest: none in %T", h)
	}
	b, err := m.AppendBinary(s.scratch[:0])
	if err != nil {
		return nil, fmt.Errorf("state of a digest: %w", err)
	}
	s.scratch = b
	return b, nil
}

// Save sets h, a hash of the standard library for the one algorithm in set, to the state of a lane that has taken length bytes.
func (s *State) Save(lane int, set Set, length int64, h hash.Hash) {
	if err := s.move(lane, of(set), length, h); err != nil {
		panic(err) // New has seen that it works
	}
}

func (s *State) move(lane int, a *algorithm, length int64, h hash.Hash) error {
	b := append(s.scratch[:0], a.magic...)
	for i := range a.words {
		b = binary.BigEndian.AppendUint32(b, s.words[a.first+i][lane])
	}
	b = append(b, make([]byte, BlockSize)...)
	b = binary.BigEndian.AppendUint64(b, uint64(length)) //nolint:gosec // a length
	s.scratch = b
	m, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return fmt.Errorf("state of a digest: none in %T", h)
	}
	if err := m.UnmarshalBinary(b); err != nil {
		return fmt.Errorf("state of a digest: %w", err)
	}
	return nil
}

// Blocks hashes n blocks of every lane with the algorithms of set. data[i] is where those of lane i are; a lane that has none needs some
// address of n blocks too, and its state is worth nothing afterwards.
func (s *State) Blocks(set Set, data *[Max]*byte, n int) {
	for done := 0; done < n; done += batch {
		s.blocks(set, data, done*BlockSize, min(n-done, batch))
	}
}
