package keys

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Counter is the number of a message: a pair that grows with each message of one sender (spec protocol.md, section 7.1).
type Counter struct {
	Global uint32
	Local  uint16 // 0 to 9999; senders use 1 to 9997
}

const (
	lastLocal = 9997  // the number after which a sender steps Global
	locals    = 10000 // four digits
)

// ErrCounterExhausted is returned when the largest pair was used. At one message per microsecond that takes more than a year.
var ErrCounterExhausted = errors.New("message counter used up: the agent needs a new key")

// Next gives the pair of the following message.
func (c Counter) Next() (Counter, error) {
	if c.Local >= lastLocal {
		if c.Global == math.MaxUint32 {
			return c, ErrCounterExhausted
		}
		return Counter{c.Global + 1, 1}, nil
	}
	return Counter{c.Global, c.Local + 1}, nil
}

// Less orders pairs.
func (c Counter) Less(o Counter) bool {
	return c.Global < o.Global || c.Global == o.Global && c.Local < o.Local
}

// index puts the pairs on one line of numbers. Four-digit locals above 9997 are legal on the wire, hence 10000 per global.
func (c Counter) index() uint64 { return uint64(c.Global)*locals + uint64(c.Local) }

// String gives the form of the files in queue/rids.
func (c Counter) String() string { return fmt.Sprintf("%d:%d:", c.Global, c.Local) }

// ParseCounter reads the content of a file in queue/rids. Text after the second number is ignored: OSSEC writes shorter text over
// longer. Anything unreadable is false, and counts as 0:0.
func ParseCounter(b []byte) (Counter, bool) {
	g, rest, ok := leadingNumber(b, math.MaxUint32)
	if !ok || len(rest) == 0 || rest[0] != ':' {
		return Counter{}, false
	}
	l, _, ok := leadingNumber(rest[1:], locals-1)
	if !ok {
		return Counter{}, false
	}
	return Counter{uint32(g), uint16(l)}, true
}

func leadingNumber(b []byte, limit uint64) (uint64, []byte, bool) {
	i := 0
	for i < len(b) && i < 20 && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint(string(b[:i]), 10, 64)
	return n, b[i:], err == nil && n <= limit
}
