package keys

import (
	"crypto/cipher"
	"strings"
	"sync/atomic"
)

// maxField is how much of each field of a key line counts; the rest is cut off, also for the derivation of the key.
const maxField = 127

// Key is one usable entry of client.keys. It is safe for concurrent use. Its cipher schedules are made when a packet needs them and
// dropped again by Release, so that an agent that is silent costs little memory.
type Key struct {
	ID      string
	Name    string
	IP      string  // ip field without prefix length: "any", "10.0.0.0", "!10.0.0.1"
	IPField string  // ip field as written
	Net     Network // what IPField means
	Line    int     // line in client.keys, from 1; 0 = not from a file

	secret   string
	aesBlock atomic.Pointer[cipher.Block]
	bfCipher atomic.Pointer[bfSchedule]
	used     atomic.Bool
	replay   atomic.Pointer[replay]

	newSecret bool // took the id of a key with another secret: counters start afresh; set before the key is published
}

// NewKey makes a key from the fields of a key line. Fields are cut to 127 bytes each, as every OSSEC program does; the ip field must
// be valid (ErrAddress).
func NewKey(id, name, ip, secret string) (*Key, error) {
	ip = cut(ip)
	net, err := ParseNetwork(ip)
	if err != nil {
		return nil, err
	}
	return &Key{ID: cut(id), Name: cut(name), IP: trimPrefix(ip), IPField: ip, Net: net, secret: cut(secret)}, nil
}

func cut(s string) string {
	if len(s) > maxField {
		return s[:maxField]
	}
	return s
}

// Secret gives the last field of the key line.
func (k *Key) Secret() string { return k.secret }

// KeyLine gives the line of client.keys, without line end.
func (k *Key) KeyLine() string {
	return strings.Join([]string{k.ID, k.Name, k.IPField, k.secret}, " ")
}

// Label is the agent's textual form "(name) ip" in locations and file names.
func (k *Key) Label() string { return "(" + k.Name + ") " + k.IP }

// Dynamic reports whether the agent with this key line puts its id in front of each packet (spec protocol.md, section 4.4).
func (k *Key) Dynamic() bool { return !k.Net.Single() }

func (k *Key) touch() {
	if !k.used.Load() {
		k.used.Store(true)
	}
}

// Release drops the cipher schedules of a key that was not used since the last call, and reports whether it did. Calling it for every
// key each few minutes bounds the memory of agents that went silent.
func (k *Key) Release() bool {
	if k.used.Swap(false) {
		return false
	}
	had := k.aesBlock.Swap(nil) != nil
	return k.bfCipher.Swap(nil) != nil || had
}
