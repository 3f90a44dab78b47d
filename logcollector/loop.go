package logcollector

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/vedette-hids/vedette/event"
)

// Times of the loop.
const (
	gather    = 5 * time.Millisecond // events are collected for so long before files are read: writers write in bursts
	saveEvery = time.Second
	savePer   = 2 * time.Millisecond // of pause for every position stored, so that thousands of busy files do not keep the disk busy
)

// loop reads until ctx ends or a delivery fails.
func (c *Collector) loop(ctx context.Context) error {
	tick := time.NewTicker(c.opts.Poll)
	defer tick.Stop()
	save := time.NewTimer(saveEvery)
	defer save.Stop()
	// Open events of joining formats are sent when nothing follows; that needs a look without a file event.
	quiet := time.NewTicker(settle / 2)
	defer quiet.Stop()
	burst := time.NewTimer(0)
	defer burst.Stop()
	gathering := true
	always := make(chan struct{})
	close(always)
	for {
		var turn <-chan struct{}
		if len(c.ready) > 0 && !gathering {
			turn = always
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-c.failed:
			return err
		case <-turn:
			c.round()
		case <-tick.C:
			c.tick()
		case <-save.C:
			n, err := c.save()
			if err != nil {
				c.log.Every("save", time.Hour).Error("%v", err)
			}
			save.Reset(max(saveEvery, time.Duration(n)*savePer))
		case <-quiet.C:
			c.quietAll()
		case <-burst.C:
			gathering = false
		case err := <-c.watch.errors():
			// An overflow of the kernel's queue: every file has to be looked at.
			c.log.Every("watch", time.Hour).Warn("file events: %v", err)
			c.wakeAll()
		case ev := <-c.watch.events():
			c.batch(ev)
			if !gathering {
				gathering = true
				burst.Reset(gather)
			}
		}
		if c.err != nil {
			return c.err
		}
	}
}

// maxBatch is how many file events are taken before something else has its turn.
const maxBatch = 4096

// batch takes the events that are there now.
func (c *Collector) batch(ev fsnotify.Event) {
	for range maxBatch {
		c.happened(ev)
		select {
		case ev = <-c.watch.events():
		default:
			return
		}
	}
}

// happened wakes the files that an event is about, and looks whether a new name is one that a glob is waiting for.
func (c *Collector) happened(ev fsnotify.Event) {
	for _, w := range c.watch.files[ev.Name] {
		w.calm = false
		c.wake(w)
	}
	if ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
		c.watch.lost(ev.Name)
	}
	if !ev.Has(fsnotify.Create) || c.byPath[ev.Name] != nil {
		return
	}
	for _, e := range c.entries {
		if e.glob && e.matches(ev.Name) {
			c.discover(e, ev.Name, c.opts.Now())
		}
	}
}

// wake gives a file a turn.
func (c *Collector) wake(w *follower) {
	if !w.ready {
		w.ready = true
		c.ready = append(c.ready, w)
	}
}

func (c *Collector) wakeAll() {
	for _, w := range c.order {
		c.wake(w)
	}
}

// tick is what a pass of OSSEC's loop is: it looks at all names and files, starts commands and counts to the keepalive.
func (c *Collector) tick() {
	now := c.opts.Now()
	c.rounds++
	c.names(now)
	c.watchAll()
	c.wakeAll()
	c.turn++
	if c.turn%2 == 1 {
		for _, k := range c.commands {
			k.start(now)
		}
	}
	if c.turn >= c.opts.CheckEvery {
		c.turn = 0
		c.deliver(event.Message{Kind: event.KindLog, Location: "ossec-keepalive", Text: keepalive()})
	}
}

// watchAll brings the watches up to date.
func (c *Collector) watchAll() {
	if c.watch == nil {
		return
	}
	c.watch.refresh(c.order)
	for _, w := range c.order {
		if _, known := c.watch.real[w]; !known {
			c.watch.add(w)
		}
	}
	for _, e := range c.entries {
		if e.glob {
			if dir := filepath.Dir(e.pattern); !hasMeta(dir) {
				c.watch.directory(dir)
			}
		}
	}
}

// round gives every file that is ready one turn, in the order in which they were woken; those that have more to read stay ready.
func (c *Collector) round() {
	c.rounds++
	turns := c.ready
	c.ready = c.spare[:0]
	defer func() { c.spare = turns[:0] }()
	now := c.opts.Now()
	for i, w := range turns {
		w.ready = false
		if w.dropped {
			continue
		}
		was := w.id
		more := c.look(w, now)
		switch {
		case c.err != nil || c.ctx.Err() != nil:
			for _, w := range turns[i:] {
				c.wake(w)
			}
			return
		case more:
			c.wake(w)
		case w.retired:
			c.retire(w, now)
		}
		if w.id != was {
			c.watch.add(w)
		}
	}
}

// quietAll looks for events that have waited long enough.
func (c *Collector) quietAll() {
	now := c.opts.Now()
	for _, w := range c.order {
		if !w.ready && (w.partial || w.asm.Open()) {
			c.quiet(w, now)
		}
		if c.err != nil {
			return
		}
	}
}

// pass does at once what the loop does between two ticks: everything there is to read is read.
func (c *Collector) pass() error {
	c.tick()
	for len(c.ready) > 0 && c.err == nil {
		c.round()
	}
	return c.err
}
