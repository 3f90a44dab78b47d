package activeresponse

import (
	"context"
	"net/netip"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/event"
)

// Blocked lists the blocks that are in force, oldest first, with those that are being taken back.
func (e *Executor) Blocked() []Block {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]Block, 0, len(e.blocks))
	for _, b := range e.blocks {
		out = append(out, b.Block)
	}
	sortBlocks(out)
	return out
}

// Unblock takes back every block of an address, network, host name or user, forgets its offences, and waits until that is done. It
// returns the blocks concerned; none is no error. For an address that the executor knows nothing of, each compiled-in responder of ar.conf
// that blocks addresses is asked to delete it all the same: an earlier program may have left it.
func (e *Executor) Unblock(ctx context.Context, who string) ([]Block, error) {
	if a, err := netip.ParseAddr(who); err == nil {
		who = a.Unmap().String()
	}
	found, err := e.unblock(ctx, func(b *Block) bool { return b.concerns(who) })
	if len(found) > 0 || err != nil {
		return found, err
	}
	e.adopt(who)
	return e.unblock(ctx, func(b *Block) bool { return b.concerns(who) })
}

// adopt makes blocks of what an earlier program may have done to an address.
func (e *Executor) adopt(who string) {
	addr, err := netip.ParseAddr(who)
	if err != nil || addr.Zone() != "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ent := range e.table.all() {
		prog, err := e.programs.resolve(ent.Executable)
		if err != nil || prog.builtin == nil || prog.builtin.Subject != responders.Address {
			continue
		}
		key := prog.path + " " + who
		if e.blocks[key] == nil {
			e.blocks[key] = &block{made: true, Block: Block{Key: key, Response: ent.Name, Executable: ent.Executable, Address: who,
				Pieces: []string{"-", who, "(from_the_server)", "(no_rule_id)"}, State: Active, Since: e.o.Now(), IPv6Prefix: addr.BitLen()}}
		}
	}
}

// UnblockAll takes back everything.
func (e *Executor) UnblockAll(ctx context.Context) ([]Block, error) {
	return e.unblock(ctx, func(*Block) bool { return true })
}

func (e *Executor) unblock(ctx context.Context, match func(*Block) bool) ([]Block, error) {
	e.mu.Lock()
	if !e.running {
		e.mu.Unlock()
		return nil, ErrNotRunning
	}
	var found []Block
	var waits []chan error
	for _, b := range e.blocks {
		if !match(&b.Block) {
			continue
		}
		w := make(chan error, 1)
		b.waiting = append(b.waiting, w)
		waits = append(waits, w)
		found = append(found, b.Block)
		e.offenders.pardon(b.Key)
		e.dirty = true
		if b.live() || !b.retry.IsZero() {
			b.retry = time.Time{}
			e.release(b, "an operator took it back")
		}
	}
	e.mu.Unlock()
	sortBlocks(found)
	e.nudge()
	return found, waitAll(ctx, waits)
}

func waitAll(ctx context.Context, waits []chan error) error {
	var first error
	for _, w := range waits {
		select {
		case err := <-w:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return first
}

func (e *Executor) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Block runs the response of a name ("firewall-drop600", as in ar.conf) for an address, as an operator asks for it. It returns the block
// once it is accepted, or why it was refused; a response without timeout of a file in active-response/bin gives no block.
func (e *Executor) Block(ctx context.Context, name, address string) (*Block, error) {
	e.mu.Lock()
	running := e.running
	e.mu.Unlock()
	if !running {
		return nil, ErrNotRunning
	}
	reply := make(chan submitReply, 1)
	r := event.Response{Name: name, User: "-", IP: address, AlertID: "(from_the_server)", RuleID: "(no_rule_id)"}
	if err := e.submit(submission{order: newOrder(r), reply: reply}); err != nil {
		return nil, err
	}
	select {
	case got := <-reply:
		return got.block, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
