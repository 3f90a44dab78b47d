package activeresponse

import (
	"os"
	"time"
)

// stop ends the work: waiting runs are dropped, blocks are taken back unless they are to be kept, and what was promised is saved.
func (e *Executor) stop(suspend bool) {
	deadline := time.NewTimer(e.o.StopTimeout)
	defer deadline.Stop()
	e.mu.Lock()
	suspended := e.dropWaiting()
	if !e.keeps() || !suspend {
		for _, b := range e.blocks {
			if !b.live() || suspend && b.Period == 0 {
				continue
			}
			if suspend {
				suspended = append(suspended, b)
			}
			e.release(b, "the program stops")
		}
	}
	e.flush()
	for e.inFlight > 0 || e.queued() > 0 {
		e.mu.Unlock()
		select {
		case t := <-e.finished:
			e.done(t)
		case <-deadline.C:
			e.mu.Lock()
			e.log.Error("%d responses still run at the end of the stop; the next start takes care of them.", e.inFlight+e.queued())
			e.finish(suspended)
			return
		}
		e.mu.Lock()
	}
	e.finish(suspended)
}

// finish saves the state for the next start. The caller holds the lock, which is released.
func (e *Executor) finish(suspended []*block) {
	defer e.mu.Unlock()
	for _, b := range suspended {
		if _, open := e.blocks[b.Key]; open {
			continue // its delete failed or is not over: the next start repeats it
		}
		b.State, b.Error = Suspended, ""
		e.blocks[b.Key] = b
	}
	e.dirty = true
	e.flush()
}

// dropWaiting forgets runs that did not begin. Blocks that were never made are given back, to be made at the next start.
func (e *Executor) dropWaiting() (never []*block) {
	dropped := 0
	for _, l := range e.lanes {
		for _, t := range l.waiting {
			if b := t.block; b != nil && t.do == doAdd && b.State == Planned && e.blocks[b.Key] == b && !l.busy[t.key] {
				delete(e.blocks, b.Key)
				never = append(never, b)
			}
		}
		n := len(l.waiting)
		l.waiting = keepDeletes(l.waiting)
		dropped += n - len(l.waiting)
	}
	if dropped > 0 {
		e.log.Warn("%d responses that waited for their turn are not run.", dropped)
	}
	return never
}

func keepDeletes(ts []*task) []*task {
	out := ts[:0]
	for _, t := range ts {
		if t.do == doDelete {
			out = append(out, t)
		}
	}
	return out
}

// recover takes over what an earlier run left behind.
func (e *Executor) recover(now time.Time) {
	s, err := loadState(e.o.StateFile)
	if err != nil {
		e.log.Error("Blocks of the last run are not known: %v.", err)
		os.Rename(e.o.StateFile, e.o.StateFile+".bad") //nolint:errcheck // it is only kept for people to look at
		return
	}
	rebooted := s.BootID != e.o.BootID
	for _, o := range s.Offenders {
		e.offenders.byKey[o.Key] = o
	}
	e.blocks = map[string]*block{}
	for i := range s.Blocks {
		b := &block{Block: s.Blocks[i]}
		over := !b.Until.IsZero() && !b.Until.After(now)
		if b.State == Suspended && (over || e.o.Config.Disabled) {
			e.dirty = true
			continue
		}
		e.blocks[b.Key] = b
		e.takeOver(b, over, rebooted)
	}
	e.flush()
}

// takeOver decides what an old block needs: nothing, its program again, or its end.
func (e *Executor) takeOver(b *block, over, rebooted bool) {
	b.made = b.State != Suspended
	switch {
	case over || b.State == Releasing || e.o.Config.Disabled:
		e.release(b, "its time was over while the program was down")
	case b.State == Suspended || rebooted:
		b.State = Planned
		e.dirty = true
		e.ready = append(e.ready, e.task(doAdd, b))
	case b.State == Planned:
		// Nobody knows whether the program had begun. Programs of others may count repeated adds, so the way back comes first.
		if t := e.task(doDelete, b); t.prog.builtin == nil {
			t.block = nil
			e.ready = append(e.ready, t)
		}
		e.ready = append(e.ready, e.task(doAdd, b))
	}
}
