package keys

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// SenderFile is the name of the file in queue/rids that holds the counter of what this installation sends.
const SenderFile = "sender_counter"

// CountersOptions says how Counters behave. The zero value is right for an agent.
type CountersOptions struct {
	// Manager lets an authentic startup message of an agent set that agent's counter back when it proves that the agent lost its counter.
	// An agent lets its manager do that only by Resync.
	Manager bool
	// NoVerify accepts every counter, and stores it: internal option remoted.verify_msg_id=0.
	NoVerify bool
	// FromStored starts sending at the stored counter, as OSSEC does. By default the first global counter is at least the present
	// time in seconds, so that an installation whose files were lost or restored never sends a number that it has sent before.
	FromStored bool
	// Clock is the time; nil means time.Now.
	Clock func() time.Time
	// OnReset, if not nil, is told when a peer's counter was set back. It must not call Counters.
	OnReset func(k *Key, from, to Counter)
}

// Counters is queue/rids of one installation: the counter of what it sends and, for each key, which numbers have been received
// (spec protocol.md, section 7). Files keep OSSEC's format. They are read when a key is first used, and written by Flush and Close;
// no file stays open. All methods are safe for concurrent use.
type Counters struct {
	dir string
	opt CountersOptions

	mu      sync.Mutex
	dirty   []*Key
	journal *journal

	send     sync.Mutex
	last     Counter // last number given out
	reserved Counter // numbers up to here are covered by the file
	sendErr  error   // why the file could not be written, until Flush reports it
}

// reserve is how many globals ahead of the last number the file is written: a crash then never makes a number be used again, and
// the file is written once in ten thousand messages.
const reserve = 1

// OpenCounters uses the directory dir, queue/rids, which must exist.
func OpenCounters(dir string, opt CountersOptions) (*Counters, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	st, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening message counters: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("opening message counters: %s is not a directory", dir)
	}
	c := &Counters{dir: dir, opt: opt}
	if c.journal, err = openJournal(filepath.Join(dir, journalFile)); err != nil {
		return nil, err
	}
	stored, _, err := c.read(SenderFile)
	if err != nil {
		return nil, err
	}
	c.last = stored
	if now := (Counter{Global: uint32(opt.Clock().Unix())}); !opt.FromStored && c.last.Less(now) {
		c.last = now
	}
	c.reserved = c.last
	return c, nil
}

// Next gives the number of the next message to send. It fails only with ErrCounterExhausted; a file that cannot be written does
// not keep messages from being sent and is reported by Flush.
func (c *Counters) Next() (Counter, error) {
	c.send.Lock()
	defer c.send.Unlock()
	n, err := c.last.Next()
	if err != nil {
		return n, err
	}
	if c.reserved.Less(n) {
		n = c.reserveFrom(n)
	}
	c.last = n
	return n, nil
}

// Raise makes the next number at least the present time in seconds. A manager does that when an agent starts anew, because the agent may
// come from another manager with the same keys: for the agent the numbers of both are one sequence, and whoever speaks later must have
// the higher ones. With FromStored it does nothing.
func (c *Counters) Raise() {
	if c.opt.FromStored {
		return
	}
	now := Counter{Global: uint32(c.opt.Clock().Unix())}
	c.send.Lock()
	defer c.send.Unlock()
	if c.last.Less(now) {
		c.last = now
	}
}

// reserveFrom covers n and what follows by the file. If another process moved the file ahead, it goes on from there.
func (c *Counters) reserveFrom(n Counter) Counter {
	if stored, ok, err := c.read(SenderFile); err == nil && ok && n.Less(stored) {
		if next, err := stored.Next(); err == nil {
			n = next
		}
	}
	upto := Counter{n.Global, lastLocal}
	if uint64(n.Global)+reserve <= 1<<32-1 {
		upto.Global += reserve
	}
	if err := c.write(SenderFile, upto); err != nil {
		c.sendErr = err
	}
	c.reserved = upto
	return n
}

// Accept checks the counter of an opened message and records it. A refusal is an *Error with CodeDuplicate or CodeWrongKey.
func (c *Counters) Accept(k *Key, o Opened) error {
	r, err := c.lock(k)
	if err != nil {
		return err
	}
	defer r.mu.Unlock()
	n := o.Counter.index()
	startup := string(o.Payload) == StartupPayload
	switch r.decide(n, o.Tag, startup && c.opt.Manager) {
	case accept:
		r.take(n, o.Tag, startup)
	case acceptNewLife:
		c.newLife(k, r, o.Counter)
		r.spend(o.Tag)
	case refuse:
		switch {
		case c.opt.NoVerify:
			r.w.restart(n)
		case startup && c.opt.Manager && r.exists && !c.exists(k.ID):
			r.reset() // the operator deleted the file, to let this agent in
			r.begin(n)
		case startup && c.opt.Manager:
			e := refusal(k, r, o.Counter)
			e.Answer = r.knock(n, o.Tag)
			c.markDirty(k, r)
			return e
		case c.opt.Manager && r.follows(n):
			c.newLife(k, r, counterAt(r.knocks.last))
			r.take(n, o.Tag, false)
		default:
			r.knocks = knocks{}
			return refusal(k, r, o.Counter)
		}
	}
	c.markDirty(k, r)
	return nil
}

// managerReach is how far a manager's number may jump while it has not passed the old ones: it counts the messages to all its agents.
const managerReach = 1 << 20

// Resync sets the counter back to an acknowledgement that Accept refused, because the sender is known to have made it now: it answers a
// question that could not be answered with a recording (see forward.Forwarder). A copy of an earlier such answer is refused like any number
// that was seen.
func (c *Counters) Resync(k *Key, o Opened) error {
	r, err := c.lock(k)
	if err != nil {
		return err
	}
	defer r.mu.Unlock()
	if r.known(o.Counter.index(), o.Tag) {
		return refusal(k, r, o.Counter)
	}
	c.newLife(k, r, o.Counter)
	r.spend(o.Tag)
	c.markDirty(k, r)
	return nil
}

func (c *Counters) newLife(k *Key, r *replay, to Counter) {
	from := counterAt(r.w.top)
	r.begin(to.index())
	if c.opt.OnReset != nil {
		c.opt.OnReset(k, from, to)
	}
}

// refusal makes OSSEC's error of a number that was not accepted.
func refusal(k *Key, r *replay, got Counter) *Error {
	saved := counterAt(r.w.top)
	e := &Error{Code: CodeDuplicate, Who: k.Name}
	if got.Global != saved.Global {
		e = &Error{Code: CodeWrongKey}
	}
	e.Detail = fmt.Sprintf("Duplicate error:  global: %d, local: %d, saved global: %d, saved local:%d", got.Global, got.Local, saved.Global, saved.Local)
	return e
}

func counterAt(n uint64) Counter { return Counter{uint32(n / locals), uint16(n % locals)} }

func (k *Key) replayState() *replay {
	if r := k.replay.Load(); r != nil {
		return r
	}
	k.replay.CompareAndSwap(nil, new(replay))
	return k.replay.Load()
}

// lock gives what is known of a sender, with its mutex held.
func (c *Counters) lock(k *Key) (*replay, error) {
	r := k.replayState()
	r.mu.Lock()
	if !r.loaded {
		if err := c.load(k, r); err != nil {
			r.mu.Unlock()
			return nil, err
		}
	}
	return r, nil
}

// load reads what is stored about a sender.
func (c *Counters) load(k *Key, r *replay) error {
	if !c.opt.Manager {
		r.reach = managerReach
	}
	c.mu.Lock()
	line, known := c.journal.get(k.ID)
	c.mu.Unlock()
	rest, same := strings.CutPrefix(line, fingerprint(k)+" ")
	if known && !same || k.newSecret {
		r.loaded = true // the key changed, so nothing recorded can be authentic
		return nil
	}
	pair, ok, err := c.read(k.ID)
	if err != nil {
		return err
	}
	r.exists = ok
	top := pair.index()
	if known && ok {
		if err := r.restore(rest); err != nil {
			r.floor = top
		}
	} else {
		r.floor = top // nothing is known about startup messages up to here
	}
	r.w.restart(top)
	r.high = max(r.high, top)
	r.loaded = true
	return nil
}

// fingerprint tells keys of the same id apart, without telling anything about the key.
func fingerprint(k *Key) string {
	derived := DeriveKey(k.ID, "", k.secret)
	sum := sha256.Sum256(derived[:])
	return hex.EncodeToString(sum[:4])
}

func (c *Counters) markDirty(k *Key, r *replay) {
	if r.dirty {
		return
	}
	r.dirty = true
	c.mu.Lock()
	c.dirty = append(c.dirty, k)
	c.mu.Unlock()
}

// Forget drops what is not yet written about a key that was removed from client.keys, so that its file is not made again.
func (c *Counters) Forget(k *Key) {
	r := k.replayState()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reset()
	r.dirty, r.loaded, r.exists = false, true, false
}

// Saved gives the highest number received from the owner of a key since it was last loaded or reset.
func (c *Counters) Saved(k *Key) Counter {
	r := k.replayState()
	r.mu.Lock()
	defer r.mu.Unlock()
	return counterAt(r.w.top)
}

// Flush writes the counters that changed since the last call. It goes on after an error; what could not be written is tried again at the
// next call.
func (c *Counters) Flush() error {
	c.mu.Lock()
	keys := c.dirty
	c.dirty = nil
	c.mu.Unlock()
	var errs []error
	for _, k := range keys {
		if err := c.flushKey(k); err != nil {
			if len(errs) == 0 {
				errs = append(errs, err) // one disk gives the same error for every agent
			}
		}
	}
	c.mu.Lock()
	err := c.journal.flush()
	c.mu.Unlock()
	c.send.Lock()
	errs = append(errs, err, c.sendErr)
	c.sendErr = nil
	c.send.Unlock()
	return errors.Join(errs...)
}

func (c *Counters) flushKey(k *Key) error {
	r := k.replayState()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dirty {
		return nil
	}
	r.dirty = false
	if err := c.write(k.ID, counterAt(r.w.top)); err != nil {
		c.markDirty(k, r)
		return err
	}
	r.exists = true
	line := fingerprint(k) + " " + r.record()
	c.mu.Lock()
	c.journal.put(k.ID, line)
	c.mu.Unlock()
	return nil
}

// Close writes everything, the exact number of the last message sent included. Counters must not be used after it.
func (c *Counters) Close() error {
	err := c.Flush()
	c.send.Lock()
	defer c.send.Unlock()
	c.reserved = c.last
	return errors.Join(err, c.write(SenderFile, c.last))
}

// Run calls Flush each interval until ctx ends, then Close. Errors go to report (nil: nowhere), at most one for each interval.
func (c *Counters) Run(ctx context.Context, every time.Duration, report func(error)) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return c.Close()
		case <-t.C:
			if err := c.Flush(); err != nil && report != nil {
				report(err)
			}
		}
	}
}

// file gives the path of a counter file; ids with anything but letters, digits, '_' and '-' have none.
func (c *Counters) file(name string) (string, error) {
	for _, b := range []byte(name) {
		if (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') && b != '_' && b != '-' {
			return "", fmt.Errorf("agent id %q cannot be a file name", name)
		}
	}
	if name == "" {
		return "", errors.New("empty agent id")
	}
	return filepath.Join(c.dir, name), nil
}

func (c *Counters) exists(name string) bool {
	path, err := c.file(name)
	if err != nil {
		return true
	}
	_, err = os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// read returns the stored counter; ok is false when there is no file or nothing readable in it.
func (c *Counters) read(name string) (n Counter, ok bool, err error) {
	path, err := c.file(name)
	if err != nil {
		return Counter{}, false, nil // cannot be stored, so was not
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Counter{}, false, nil
	}
	if err != nil {
		return Counter{}, false, fmt.Errorf("reading message counter: %w", err)
	}
	defer f.Close()
	var buf [64]byte
	m, _ := f.Read(buf[:])
	n, ok = ParseCounter(buf[:m])
	return n, ok, nil
}

// write stores a counter over the old text first and cuts the rest after that, so that a crash in between leaves a counter, not an empty
// file, which would count as 0:0.
func (c *Counters) write(name string, n Counter) error {
	path, err := c.file(name)
	if err != nil {
		return fmt.Errorf("storing message counter: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("storing message counter: %w", err)
	}
	text := n.String()
	_, err = f.WriteAt([]byte(text), 0)
	if err == nil {
		err = f.Truncate(int64(len(text)))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("storing message counter: %w", err)
	}
	return nil
}
