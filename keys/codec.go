package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Sizes of the secure channel in bytes (spec protocol.md, section 24).
const (
	MaxPacket  = 6144           // largest datagram that a manager reads
	MaxPlain   = 6144           // largest inflated text
	MaxPayload = 6016           // largest payload that is sent
	plainHead  = 32 + sealedPre // sum and what stands before the payload
	sealedPre  = 5 + 10 + 1 + 4 + 1
)

// Codec seals and opens packets. The zero value is ready for use, by any number of goroutines.
type Codec struct {
	// Rand gives the random field and the AES vector; nil means crypto/rand. Only tests set it.
	Rand io.Reader
}

// Opened is what a packet held.
type Opened struct {
	Cipher  Cipher
	Counter Counter
	Payload []byte  // shares memory with the dst given to Open
	Random  [5]byte // the sender's random field, not checked
	Legacy  bool    // uncompressed form of long-gone releases (section 6.3); Counter is then its time and count
	Tag     uint64  // first half of the sum: tells two messages with the same counter apart
}

// scratch is the working memory of one call.
type scratch struct {
	buf []byte
	rnd [2 + aes.BlockSize]byte
	id  [maxField]byte
}

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, MaxPacket+aes.BlockSize)} }}

// Seal appends to dst the packet of one payload for the owner of key and returns the extended slice (spec protocol.md, section 4).
// withID puts the key's id in front, as an agent with a dynamic key does. It fails with ErrSize when the payload is empty or longer than
// MaxPayload.
func (c *Codec) Seal(dst []byte, key *Key, with Cipher, withID bool, n Counter, payload []byte) ([]byte, error) {
	if len(payload) == 0 || len(payload) > MaxPayload {
		return dst, fmt.Errorf("%w: %d", ErrSize, len(payload))
	}
	if with != AES && with != Blowfish {
		return dst, fmt.Errorf("sealing with unknown %v", with)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if err := c.random(s.rnd[:]); err != nil {
		return dst, err
	}
	plain := s.plain(n, payload)
	var id []byte
	if withID {
		id = append(s.id[:0], key.ID...)
	}
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	return encrypt(dst, key, with, id, s.rnd[2:], d.zlib(plain)), nil
}

// encrypt appends the packet of the compressed text z: id prefix (none when id is nil), marker, vector (AES only), ciphertext.
func encrypt(dst []byte, key *Key, with Cipher, id, iv, z []byte) []byte {
	if id != nil {
		dst = append(append(append(dst, '!'), id...), '!')
	}
	if with == Blowfish {
		dst = append(dst, ':')
		start := len(dst)
		dst = appendInner(dst, z)
		sealBlowfish(key.blowfish(), dst[start:])
		return dst
	}
	dst = append(dst, "#AES:"...)
	start := len(dst)
	dst = append(dst, iv...)
	dst = appendInner(dst, z)
	pad := aes.BlockSize - (len(dst)-start)%aes.BlockSize
	for range pad {
		dst = append(dst, byte(pad))
	}
	sealAES(key.aes(), dst[start:])
	return dst
}

func (c *Codec) random(b []byte) error {
	if c.Rand == nil {
		_, err := rand.Read(b)
		return err
	}
	if _, err := io.ReadFull(c.Rand, b); err != nil {
		return fmt.Errorf("reading random bytes: %w", err)
	}
	return nil
}

// plain composes sum, random field, counters and payload in the scratch buffer.
func (s *scratch) plain(n Counter, payload []byte) []byte {
	p := append(s.buf[:0], make([]byte, 32)...)
	p = appendPadded(p, uint64(binary.LittleEndian.Uint16(s.rnd[:2])), 5)
	p = appendPadded(p, uint64(n.Global), 10)
	p = append(p, ':')
	p = appendPadded(p, uint64(n.Local), 4)
	p = append(p, ':')
	p = append(p, payload...)
	sum := hexSum(p[32:])
	copy(p, sum[:])
	return p
}

func appendPadded(dst []byte, n uint64, width int) []byte {
	at := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; i >= at; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// appendInner appends the bangs and the zlib stream; together they are a multiple of 8 bytes long.
func appendInner(dst, z []byte) []byte {
	for range 8 - len(z)%8 {
		dst = append(dst, '!')
	}
	return append(dst, z...)
}

// SplitID takes the id prefix `!id!` off a packet as it came from the network. Without a prefix id is empty. The id is digits only; anything
// else behind a leading `!` is refused with CodeFormat.
func SplitID(packet []byte) (id, rest []byte, err error) {
	if len(packet) == 0 || packet[0] != '!' {
		return nil, packet, nil
	}
	i := 1
	for i < len(packet) && packet[i] >= '0' && packet[i] <= '9' {
		i++
	}
	if i == 1 || i >= len(packet)-1 || packet[i] != '!' {
		return nil, nil, &Error{Code: CodeFormat, Detail: "id prefix without digits, end or content"}
	}
	return packet[1:i], packet[i+1:], nil
}

// Open decrypts, inflates and verifies a packet whose id prefix has been taken off (spec protocol.md, section 6.2). The payload is
// written behind dst, which is grown when it has less than MaxPlain bytes of spare capacity. Counters are not checked here: give
// the result to Counters.Accept. Every refusal is an *Error.
func (c *Codec) Open(dst []byte, key *Key, packet []byte) (Opened, error) {
	var o Opened
	body := packet
	if rest, ok := bytes.CutPrefix(packet, []byte("#AES")); ok {
		body = rest
	} else {
		o.Cipher = Blowfish
	}
	if len(body) == 0 || body[0] != ':' {
		return o, &Error{Code: CodeFormat, Who: key.ID, Detail: "no cipher mark"}
	}
	body = body[1:]
	if len(body) > MaxPacket {
		return o, &Error{Code: CodeFormat, Who: key.ID, Detail: "longer than a packet can be"}
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	inner, err := s.decrypt(o.Cipher, key, body)
	if err != nil {
		return o, err
	}
	switch inner[0] {
	case '!':
		err = o.unpack(dst, key, bytes.TrimLeft(inner, "!"))
	case ':':
		err = o.unpackLegacy(dst, key, inner[1:])
	default:
		err = &Error{Code: CodeWrongKey, Detail: "decrypted text does not begin as one"}
	}
	return o, err
}

// decrypt returns the inner text, at least one byte.
func (s *scratch) decrypt(with Cipher, key *Key, body []byte) ([]byte, error) {
	if with == AES {
		inner, ok := openAES(key.aes(), s.buf, body)
		if !ok || len(inner) == 0 {
			return nil, &Error{Code: CodeWrongKey, Who: key.IP, Detail: "ciphertext length or padding"}
		}
		return inner, nil
	}
	if len(body) == 0 || len(body)%bfBlock != 0 {
		return nil, &Error{Code: CodeWrongKey, Who: key.IP, Detail: "ciphertext is not whole blocks"}
	}
	inner := s.buf[:len(body)]
	openBlowfish(key.blowfish(), inner, body)
	return inner, nil
}

// unpack inflates and verifies the current form.
func (o *Opened) unpack(dst []byte, key *Key, z []byte) error {
	dst = slices.Grow(dst, MaxPlain)
	out := dst[len(dst) : len(dst)+MaxPlain]
	n, err := inflate(out, z)
	if err != nil {
		return &Error{Code: CodeUncompress, Detail: err.Error()}
	}
	plain := out[:n]
	if n < plainHead {
		return &Error{Code: CodeChecksum, Who: key.IP, Detail: "too short for a sum and counters"}
	}
	if sum := hexSum(plain[32:]); !bytes.Equal(sum[:], plain[:32]) {
		return &Error{Code: CodeChecksum, Who: key.IP}
	}
	if plain[47] != ':' {
		return &Error{Code: CodeFormat, Who: key.ID, Detail: "no colon behind the first counter"}
	}
	n64, _, ok := leadingNumber(plain[37:47], 1<<32-1)
	if !ok && plain[37] >= '0' && plain[37] <= '9' {
		return &Error{Code: CodeFormat, Who: key.ID, Detail: "first counter above 4294967295"}
	}
	local, _, _ := leadingNumber(plain[48:52], locals-1)
	o.Counter = Counter{uint32(n64), uint16(local)}
	copy(o.Random[:], plain[32:37])
	o.Tag = tag(plain[:32])
	o.Payload = plain[plainHead:]
	return nil
}

// unpackLegacy verifies the uncompressed form: sum, ten digits, a byte, four digits, a byte, anything up to a colon, payload.
func (o *Opened) unpackLegacy(dst []byte, key *Key, text []byte) error {
	const sum, head = 32, 10 + 1 + 4 + 1
	if len(text) < sum+head {
		return &Error{Code: CodeChecksum, Who: key.IP, Detail: "too short for the uncompressed form"}
	}
	at := len(dst)
	dst = append(append(dst, text[sum:]...), 0)
	if want := hexSum(dst[at:]); !bytes.Equal(want[:], text[:sum]) {
		return &Error{Code: CodeChecksum, Who: key.IP, Detail: "uncompressed form"}
	}
	rest := dst[at : len(dst)-1]
	when, _, ok1 := leadingNumber(rest[:10], 1<<32-1)
	count, _, ok2 := leadingNumber(rest[11:15], locals-1)
	colon := bytes.IndexByte(rest[head:], ':')
	if !ok1 || !ok2 || colon < 0 {
		return &Error{Code: CodeFormat, Who: key.ID, Detail: "uncompressed form without time, count or colon"}
	}
	o.Legacy = true
	o.Counter = Counter{uint32(when), uint16(count)}
	o.Tag = tag(text[:sum])
	o.Payload = rest[head+colon+1:]
	return nil
}

// tag folds the hexadecimal sum to 64 bits.
func tag(sum []byte) uint64 {
	var v uint64
	for _, c := range sum[:16] {
		v = v<<4 | uint64(c&0xf+c>>6*9)
	}
	return v
}
