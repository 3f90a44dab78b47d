package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	//lint:ignore SA1019 the protocol of agents before 4.0 is what it is; new agents use AES
	"golang.org/x/crypto/blowfish"
)

// bfBlock is the block length of Blowfish; bfSchedule is its key schedule (4 KiB).
const bfBlock = blowfish.BlockSize

type bfSchedule = blowfish.Cipher

// Cipher names the cipher of a packet. The zero value is AES, which is what a manager uses until an agent has shown its own.
type Cipher uint8

// The two ciphers of the secure channel.
const (
	AES      Cipher = iota // AES-256-CBC, agents since 4.0
	Blowfish               // Blowfish-CBC with a constant vector, older agents
)

// String gives the names that ossec.conf and agent-info files use.
func (c Cipher) String() string {
	switch c {
	case AES:
		return "aes"
	case Blowfish:
		return "blowfish"
	}
	return fmt.Sprintf("cipher(%d)", uint8(c))
}

// ParseCipher reads the value of <crypto_method>; it is case-sensitive, as OSSEC is.
func ParseCipher(s string) (Cipher, error) {
	switch s {
	case "aes":
		return AES, nil
	case "blowfish":
		return Blowfish, nil
	}
	return AES, fmt.Errorf("unknown cipher %q: use aes or blowfish", s)
}

// KeySize is the length of the derived key text: all of it is the Blowfish key, its first 32 characters are the AES key.
const KeySize = 47

// DeriveKey makes the cipher key of an agent from the fields of its key line (spec protocol.md, section 3).
func DeriveKey(id, name, secret string) [KeySize]byte {
	n, i := hexSum([]byte(name)), hexSum([]byte(id))
	a := hexSum(append(n[:], i[:]...))
	h := hexSum([]byte(secret))
	var k [KeySize]byte
	copy(k[:], h[:])
	copy(k[32:], a[:15])
	return k
}

// hexSum gives the MD5 of b as 32 lower-case hexadecimal characters. The protocol prescribes MD5; secrecy rests on the cipher key.
func hexSum(b []byte) (out [32]byte) {
	sum := md5.Sum(b)
	hex.Encode(out[:], sum[:])
	return out
}

// blowfishIV is the constant initialisation vector that every Blowfish packet uses.
var blowfishIV = [bfBlock]byte{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}

// aes returns the AES key schedule, made at first use.
func (k *Key) aes() cipher.Block {
	k.touch()
	if b := k.aesBlock.Load(); b != nil {
		return *b
	}
	derived := DeriveKey(k.ID, k.Name, k.secret)
	b, err := aes.NewCipher(derived[:32])
	if err != nil {
		panic("keys: AES refuses a 32 byte key: " + err.Error())
	}
	k.aesBlock.Store(&b)
	return b
}

// blowfish returns the Blowfish key schedule, made at first use.
func (k *Key) blowfish() *bfSchedule {
	k.touch()
	if c := k.bfCipher.Load(); c != nil {
		return c
	}
	derived := DeriveKey(k.ID, k.Name, k.secret)
	c, err := blowfish.NewCipher(derived[:])
	if err != nil {
		panic("keys: Blowfish refuses a 47 byte key: " + err.Error())
	}
	k.bfCipher.Store(c)
	return c
}

// openBlowfish decrypts src, a multiple of 8 bytes, into dst of the same length.
func openBlowfish(c *bfSchedule, dst, src []byte) {
	prev := blowfishIV[:]
	for i := 0; i < len(src); i += bfBlock {
		d, s := dst[i:i+bfBlock], src[i:i+bfBlock]
		c.Decrypt(d, s)
		xor(d, prev)
		prev = s
	}
}

// sealBlowfish encrypts buf, a multiple of 8 bytes, in place.
func sealBlowfish(c *bfSchedule, buf []byte) {
	prev := blowfishIV[:]
	for i := 0; i < len(buf); i += bfBlock {
		d := buf[i : i+bfBlock]
		xor(d, prev)
		c.Encrypt(d, d)
		prev = d
	}
}

// openAES decrypts src (vector, then at least one block) into dst and returns the text without PKCS#7 padding.
func openAES(b cipher.Block, dst, src []byte) ([]byte, bool) {
	if len(src) < 2*aes.BlockSize || len(src)%aes.BlockSize != 0 {
		return nil, false
	}
	n := len(src) - aes.BlockSize
	for i := 0; i < n; i += aes.BlockSize {
		d := dst[i : i+aes.BlockSize]
		b.Decrypt(d, src[i+aes.BlockSize:i+2*aes.BlockSize])
		xor(d, src[i:i+aes.BlockSize])
	}
	pad := int(dst[n-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, false
	}
	for _, c := range dst[n-pad : n] {
		if int(c) != pad {
			return nil, false
		}
	}
	return dst[:n-pad], true
}

// sealAES encrypts buf[16:] in place, a multiple of 16 bytes, with the vector that stands in buf[:16].
func sealAES(b cipher.Block, buf []byte) {
	for i := aes.BlockSize; i < len(buf); i += aes.BlockSize {
		d := buf[i : i+aes.BlockSize]
		xor(d, buf[i-aes.BlockSize:i])
		b.Encrypt(d, d)
	}
}

// xor works on whole blocks: multiples of 8 bytes.
func xor(dst, with []byte) {
	for len(dst) >= 8 && len(with) >= 8 {
		binary.NativeEndian.PutUint64(dst, binary.NativeEndian.Uint64(dst)^binary.NativeEndian.Uint64(with))
		dst, with = dst[8:], with[8:]
	}
}
