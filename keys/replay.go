package keys

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// StartupPayload is the first message of an agent that starts or reconnects. It is the only message that may set a counter back.
const StartupPayload = "#!-agent startup "

// replay is what the receiver remembers of one sender, to refuse what was recorded and is played back, without locking out a sender that
// lost its counter (restored from a snapshot, installed again with the same key, file deleted).
//
// A sender never uses a number twice in one life of its counter, and while it waits for the first answer it sends nothing but
// startup messages. So an authentic startup message whose number lies below the highest one seen proves that the counter began a
// new life, unless its number belongs to a startup message that was seen (mark.at, then the tag tells a copy from another message) or may
// belong to one that was lost on the way to us (the gap mark.from to mark.at that stands directly before each startup message seen).
type replay struct {
	mu     sync.Mutex
	w      window
	loaded bool
	dirty  bool
	exists bool // its file was there when last looked at

	high  uint64 // highest number of any life; above w.top only while a new life has not passed the old one
	reach uint64 // how far apart two messages may be while a new life has not passed the old one; 0 = windowSize
	floor uint64 // startup messages up to here prove nothing: what is known about them was forgotten
	marks []mark // startup messages seen above floor, ascending by at

	knocks knocks
	spent  []uint64 // tags of startup messages that knocked or began a life, oldest first
}

// knocks are startup messages that prove nothing each alone (their numbers lie at or below the floor, or in a gap), with nothing but such messages
// between them. A sender that waits for its first answer sends those. Whoever plays back a recording has them only from a time when
// nobody answered, and cannot go on behind them: there the recorded sender knocked on, until a startup message that is marked.
type knocks struct {
	last  uint64 // number of the newest
	count int
}

const (
	enoughKnocks = 3  // then the sender gets an answer, and its next message decides
	knockReach   = 8  // how far apart knocks, and the message behind them, may be: some are lost
	maxSpent     = 48 // bounds the memory of one sender
)

// knock notes a refused startup message and reports whether the sender shall be answered, to see how it goes on.
func (r *replay) knock(n, tag uint64) bool {
	if r.known(n, tag) {
		return false
	}
	r.spend(tag)
	k := &r.knocks
	if k.count == 0 || n <= k.last || n-k.last > knockReach {
		k.count = 0
	}
	k.last = n
	k.count++
	return k.count >= enoughKnocks
}

// known reports whether a startup message is a copy of one that was seen.
func (r *replay) known(n, tag uint64) bool {
	return slices.Contains(r.spent, tag) || slices.ContainsFunc(r.marks, func(m mark) bool { return m.at == n && m.tag == tag })
}

func (r *replay) spend(tag uint64) {
	if len(r.spent) >= maxSpent {
		r.spent = slices.Delete(r.spent, 0, len(r.spent)-maxSpent+1)
	}
	r.spent = append(r.spent, tag)
}

// follows reports whether the message numbered n, which is no startup message, is what a sender says that knocked and was answered.
func (r *replay) follows(n uint64) bool {
	k := &r.knocks
	if k.count < enoughKnocks || n <= k.last || n-k.last > knockReach {
		return false
	}
	return !slices.ContainsFunc(r.marks, func(m mark) bool { return m.at > k.last && m.at <= n })
}

// mark stands for one startup message that was accepted: its number, its content, and the first number of the gap before it.
type mark struct{ from, at, tag uint64 }

// maxMarks bounds the memory of one sender. A forgotten mark raises the floor, which can only make us refuse more.
const maxMarks = 24

// decision says what to do with a message.
type decision uint8

const (
	accept decision = iota
	acceptNewLife
	refuse
)

// decide tells what to do with the message numbered n, without changing anything.
func (r *replay) decide(n, tag uint64, startup bool) decision {
	if r.w.check(n) == fresh {
		if r.w.top >= r.high || r.plausible(n, tag, startup) {
			return accept
		}
		return refuse
	}
	if startup && r.newLife(n, tag) {
		return acceptNewLife
	}
	return refuse
}

// plausible judges a number above the top while a new life catches up with the old one, whose recorded messages have such numbers too:
// the sender goes on step by step, or starts again.
func (r *replay) plausible(n, tag uint64, startup bool) bool {
	if startup && r.known(n, tag) {
		return false
	}
	return n < r.w.top+max(r.reach, windowSize) || startup && (n > r.high || r.newLife(n, tag))
}

// newLife reports whether a startup message with an old number proves that the sender's counter went back.
func (r *replay) newLife(n, tag uint64) bool {
	if n <= r.floor {
		return false
	}
	for _, m := range r.marks {
		if n >= m.from && n < m.at || n == m.at && tag == m.tag {
			return false
		}
	}
	return true
}

// take records an accepted message.
func (r *replay) take(n, tag uint64, startup bool) {
	r.knocks = knocks{} // the sender is at work
	if startup {
		from := n
		if n > r.w.top {
			from = r.w.top + 1
		}
		r.mark(mark{from, n, tag})
	}
	r.w.take(n)
	r.high = max(r.high, r.w.top)
}

// begin starts a new life of the counter at n. Startup messages of the new life may have been lost before this one, so numbers up to it
// prove nothing from now on.
func (r *replay) begin(n uint64) {
	r.knocks = knocks{}
	r.high = max(r.high, r.w.top)
	r.w.restart(n)
	r.raiseFloor(n)
}

// reset forgets everything: the sender has a new key, or the operator said so.
func (r *replay) reset() {
	r.w, r.high, r.floor, r.marks, r.knocks, r.spent = window{}, 0, 0, nil, knocks{}, nil
}

func (r *replay) mark(m mark) {
	at, _ := slices.BinarySearchFunc(r.marks, m, func(a, b mark) int {
		if a.at < b.at {
			return -1
		}
		if a.at > b.at {
			return 1
		}
		return 0
	})
	r.marks = slices.Insert(r.marks, at, m)
	if len(r.marks) > maxMarks {
		r.raiseFloor(r.marks[0].at)
	}
}

// raiseFloor forgets the marks up to n.
func (r *replay) raiseFloor(n uint64) {
	r.floor = max(r.floor, n)
	r.marks = slices.DeleteFunc(r.marks, func(m mark) bool { return m.at <= r.floor })
}

// record gives the state that the counter file has no room for as one line, without the agent's id.
func (r *replay) record() string {
	var b strings.Builder
	high := r.high
	if high <= r.w.top {
		high = 0 // the counter file says it
	}
	fmt.Fprintf(&b, "%d %d", high, r.floor)
	for _, m := range r.marks {
		fmt.Fprintf(&b, " %d:%d:%x", m.from, m.at, m.tag)
	}
	for _, tag := range r.spent {
		fmt.Fprintf(&b, " %x", tag)
	}
	return b.String()
}

// restore reads what record wrote.
func (r *replay) restore(s string) error {
	f := strings.Fields(s)
	if len(f) < 2 || len(f) > 2+maxMarks+maxSpent {
		return fmt.Errorf("%d fields", len(f))
	}
	high, err := strconv.ParseUint(f[0], 10, 64)
	if err != nil {
		return err
	}
	floor, err := strconv.ParseUint(f[1], 10, 64)
	if err != nil {
		return err
	}
	var marks []mark
	var spent []uint64
	for _, s := range f[2:] {
		var m mark
		if !strings.Contains(s, ":") {
			tag, err := strconv.ParseUint(s, 16, 64)
			if err != nil {
				return err
			}
			spent = append(spent, tag)
			continue
		}
		if _, err := fmt.Sscanf(s, "%d:%d:%x", &m.from, &m.at, &m.tag); err != nil {
			return fmt.Errorf("mark %q: %w", s, err)
		}
		marks = append(marks, m)
	}
	r.high, r.floor, r.marks, r.spent = high, floor, marks, spent
	return nil
}
