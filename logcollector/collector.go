package logcollector

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Options of a Collector. The zero value works.
type Options struct {
	PositionFile string           // where read positions are stored, "" = in memory only
	Poll         time.Duration    // pause between passes (logcollector.loop_timeout); default 2 s
	CheckEvery   int              // passes between keepalives (logcollector.vcheck_files + 1); default 65
	Hostname     string           // for formats whose lines lack one; default this host's, up to the first dot
	Now          func() time.Time // default time.Now
	CommandLimit time.Duration    // how long a command may run; default 60 s
	PartialAfter time.Duration    // a begun last line is sent when its end does not come for so long; default 60 s
	StartAtEnd   bool             // OSSEC's behaviour: ignore stored positions
	Started      func()           // called when every file has been opened for the first time; nil = nobody asks
}

func (o *Options) defaults() {
	if o.Poll <= 0 {
		o.Poll = 2 * time.Second
	}
	if o.CheckEvery <= 0 {
		o.CheckEvery = 65
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CommandLimit <= 0 {
		o.CommandLimit = time.Minute
	}
	if o.PartialAfter <= 0 {
		o.PartialAfter = time.Minute
	}
	if o.Hostname == "" {
		o.Hostname = "unknown"
		if h, err := os.Hostname(); err == nil {
			o.Hostname, _, _ = strings.Cut(h, ".")
		}
	}
}

// Collector collects everything that the configuration names. It belongs to the goroutine of Run.
type Collector struct {
	opts     Options
	sink     event.Sink
	log      *olog.Log
	entries  []*entry
	commands []*command
	journals []config.Localfile
	store    *positions
	cut      atomic.Uint64 // lines that were too long
	leftover map[string][]byte

	// Of one run; a run that failed leaves nothing behind but the store.
	order     []*follower // in configuration order, as far as they were there from the start
	byPath    map[string]*follower
	ready     []*follower // have a turn coming
	spare     []*follower // memory for the next ready
	finished  map[identity]position
	refused   map[string]bool // paths that do not suit their format
	waiting   map[*entry]bool // globs with a match that is followed under another name
	elsewhere map[string]map[identity]string
	listings  map[string]*listing // directories in which rotated files were looked for
	rounds    int
	watch     *watcher
	turn      int             // passes since the last keepalive
	ctx       context.Context // of the run; deliveries need it
	work      sync.WaitGroup  // commands and journals
	failed    chan error      // first failed delivery of a command or a journal
	err       error           // first failed delivery of the files
	cur       *follower       // whose lines are being read
	emit      emitFunc        // delivers for cur
	buf       []byte
	scratch   []byte
}

// New checks the entries and prepares collection; nothing is opened yet. Entries that cannot work are logged and left out. The error is
// reserved: it is always nil now.
func New(files []config.Localfile, sink event.Sink, log *olog.Log, opts Options) (*Collector, error) {
	opts.defaults()
	c := &Collector{opts: opts, sink: sink, log: log, leftover: map[string][]byte{}, waiting: map[*entry]bool{}, listings: map[string]*listing{}, failed: make(chan error, 1)}
	c.emit = func(kind event.Kind, text string) { c.deliver(c.cur.message(kind, text)) }
	var err error
	if c.store, err = loadPositions(opts.PositionFile); err != nil {
		log.Warn("%v", err)
	}
	if len(files) == 0 {
		log.Code(1905, "INFO", "No file configured to monitor.")
	}
	size := readSize
	onlyNew, given := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		c.configure(f, given)
		if f.Format == "docker" || f.Format == "cri" {
			size = maxContainer + readSize
		}
		onlyNew[f.Location] = f.OnlyFutureEvents
	}
	c.buf = make([]byte, size)
	c.store.forgetAll(func(entry string) bool { return opts.StartAtEnd || onlyNew[entry] })
	return c, nil
}

// configure takes one <localfile>; given holds the locations before it.
func (c *Collector) configure(f config.Localfile, given map[string]bool) {
	switch f.Format {
	case "eventlog", "eventchannel":
		return // nothing to read on this system
	case "command", "full_command":
		if f.Command == "" {
			c.log.Error("Missing command argument. Ignoring it.")
			return
		}
		c.commands = append(c.commands, newCommand(f, c))
		return
	}
	if given[f.Location] {
		c.log.Warn("Duplicated log file given: '%s'.", f.Location)
		return
	}
	given[f.Location] = true
	if f.Format == "journald" {
		c.journals = append(c.journals, f)
		return
	}
	e := newEntry(f)
	if e.dated && len(f.Location) < 256 && strftime(f.Location, c.opts.Now()) == f.Location {
		c.log.Code(1906, "ERROR", "Error parsing file: '%s'.", f.Location)
		return
	}
	c.entries = append(c.entries, e)
}

// deliver hands a message to the sink; after a failure it discards, as nothing may come out of order.
func (c *Collector) deliver(m event.Message) {
	if c.err == nil {
		c.err = c.sink.Send(c.ctx, m)
	}
}

// Cut tells how many lines were longer than an event may be, and were sent in pieces or cut.
func (c *Collector) Cut() uint64 { return c.cut.Load() }

const keepaliveAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$%^&*()_+-=;'[],./?"

// keepalive is the text of spec section 19: of random length and content.
func keepalive() string {
	b := []byte("--MARK--: ")
	for range rand.IntN(680) {
		b = append(b, keepaliveAlphabet[rand.IntN(len(keepaliveAlphabet))])
	}
	return string(b)
}

// Run collects until ctx ends; then it stores the positions and returns nil. When the sink fails for another reason, Run ends with that
// error and can be called again: it goes on after the last event that was delivered.
func (c *Collector) Run(ctx context.Context) error {
	work, stop := context.WithCancel(ctx)
	defer stop()
	c.ctx, c.err = work, nil
	select {
	case <-c.failed:
	default:
	}
	watch, err := newWatcher()
	if err != nil {
		c.log.Warn("file events are not available (%v); files are polled every %s.", err, c.opts.Poll)
	}
	c.watch = watch
	c.begin()
	c.watchAll()
	if c.opts.Started != nil {
		c.opts.Started()
		c.opts.Started = nil
	}
	c.startJournals(work)
	err = c.loop(ctx)
	watch.close()
	stop()
	c.work.Wait()
	err = errors.Join(err, c.end())
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// end stores the positions and closes everything.
func (c *Collector) end() error {
	_, err := c.save()
	for _, w := range c.order {
		if w.stream && len(w.rest) > 0 {
			c.leftover[w.path] = w.rest
		}
		w.close()
	}
	c.order, c.byPath, c.ready, c.watch = nil, nil, nil, nil
	return err
}

// save stores what has changed and reports how many positions that were.
func (c *Collector) save() (int, error) {
	for _, w := range c.order {
		if pos, ok := w.position(); ok {
			c.store.put(w.key, pos)
		}
	}
	return c.store.flush()
}
