package agentwire

import (
	"math/bits"
	"strconv"
	"strings"
)

// receiptPrefix begins a receipt (header removed). Only peers that announced themselves in the keepalive get one: an OSSEC agent would
// log an unknown message.
const receiptPrefix = "vedette ack "

// Bye is what a manager that stops in order says to the agents that understand it, after its last receipts (header removed): what is
// sent from now on until the next acknowledgement would be lost.
const Bye = "vedette bye"

// Window is the number of messages that a receipt tells of. A sender keeps fewer than half as many unconfirmed, so that all of them are
// inside even when they were overtaken.
const Window = 1024

// Index puts the counters of one sender on one line of numbers. Senders step from g:9997 to (g+1):1, so that some numbers never occur.
func Index(global uint32, local uint16) uint64 { return uint64(global)*10000 + uint64(local) }

// Receipts remembers which of the last Window messages of one peer arrived. The zero value is ready. It is not safe for concurrent use.
type Receipts struct {
	top  uint64 // highest index + 1; 0 = none
	bits [Window / 64]uint64
}

// Add marks a message; those more than Window behind the newest are ignored.
func (r *Receipts) Add(index uint64) {
	n := index + 1
	switch {
	case r.top == 0 || n >= r.top+Window:
		r.bits = [Window / 64]uint64{}
		r.top = n
	case n > r.top:
		for i := r.top; i < n-1; i++ {
			r.clear(i)
		}
		r.top = n
	case r.top-n >= Window:
		return
	}
	r.bits[index/64%(Window/64)] |= 1 << (index % 64)
}

func (r *Receipts) clear(index uint64) { r.bits[index/64%(Window/64)] &^= 1 << (index % 64) }

// Has reports whether a message is marked.
func (r *Receipts) Has(index uint64) bool {
	n := index + 1
	return n <= r.top && r.top-n < Window && r.bits[index/64%(Window/64)]&(1<<(index%64)) != 0
}

// Top returns the highest marked index; false when nothing is marked.
func (r *Receipts) Top() (uint64, bool) { return r.top - 1, r.top > 0 }

// Text makes the payload of a receipt, header included: "#!-vedette ack <highest index> <hex>", 16 hex digits per 64 messages, newest
// first. "-" stands for "nothing yet".
func (r *Receipts) Text() string {
	if r.top == 0 {
		return Header + receiptPrefix + "-"
	}
	var b strings.Builder
	b.WriteString(Header + receiptPrefix)
	b.WriteString(strconv.FormatUint(r.top-1, 10))
	b.WriteByte(' ')
	for w := 0; w < Window/64; w++ {
		b.WriteString(hex16(r.word(w)))
	}
	return strings.TrimRight(b.String(), "0")
}

// word returns the marks of 64 messages: bit 0 is the w*64-th behind the newest.
func (r *Receipts) word(w int) uint64 {
	var out uint64
	for i := range uint64(64) {
		behind := uint64(w)*64 + i
		if behind >= r.top {
			break
		}
		if r.Has(r.top - 1 - behind) {
			out |= 1 << i
		}
	}
	return bits.Reverse64(out)
}

func hex16(v uint64) string {
	s := strconv.FormatUint(v, 16)
	return "0000000000000000"[:16-len(s)] + s
}

// againPrefix begins a request to send messages again under new numbers (header removed): "#!-vedette again <index> <index> ...".
const againPrefix = "vedette again"

// MaxAgain is the number of messages that one request names at most.
const MaxAgain = 40

// AgainText makes the payload of a request for messages whose numbers the manager can no longer judge, header included. At most MaxAgain
// are named.
func AgainText(indexes []uint64) string {
	var b strings.Builder
	b.WriteString(Header + againPrefix)
	for _, n := range indexes[:min(len(indexes), MaxAgain)] {
		b.WriteByte(' ')
		b.WriteString(strconv.FormatUint(n, 10))
	}
	return b.String()
}

// ParseAgain reads the text of a control message (header removed). ok is false when it is no such request.
func ParseAgain(text []byte) (indexes []uint64, ok bool) {
	rest, ok := strings.CutPrefix(string(text), againPrefix)
	if !ok {
		return nil, false
	}
	for _, f := range strings.Fields(rest) {
		n, err := strconv.ParseUint(f, 10, 62)
		if err != nil || len(indexes) >= MaxAgain {
			return nil, false
		}
		indexes = append(indexes, n)
	}
	return indexes, true
}

// ParseReceipt reads the text of a control message (header removed). ok is false when it is no receipt.
func ParseReceipt(text []byte) (r Receipts, ok bool) {
	s, ok := strings.CutPrefix(string(text), receiptPrefix)
	if !ok {
		return Receipts{}, false
	}
	if s == "-" {
		return Receipts{}, true
	}
	num, hexs, ok := strings.Cut(s, " ")
	top, err := strconv.ParseUint(num, 10, 62)
	if !ok || err != nil || len(hexs) > Window/4 {
		return Receipts{}, false
	}
	r.top = top + 1
	for i := 0; i < len(hexs); i++ {
		v, err := strconv.ParseUint(hexs[i:i+1], 16, 8)
		if err != nil {
			return Receipts{}, false
		}
		for j := range 4 {
			behind := uint64(i*4 + j)
			if v&(8>>j) != 0 && behind <= top {
				n := top - behind
				r.bits[n/64%(Window/64)] |= 1 << (n % 64)
			}
		}
	}
	return r, true
}
