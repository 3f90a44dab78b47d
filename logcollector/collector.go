package logcollector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Options of a Collector.
type Options struct {
	PositionFile string           // where read positions are stored, "" = not at all
	Poll         time.Duration    // pause between passes (logcollector.loop_timeout); default 2 s
	CheckEvery   int              // passes between keepalives (logcollector.vcheck_files + 1); default 65
	Hostname     string           // for formats whose lines lack one
	Now          func() time.Time // default time.Now
	CommandLimit time.Duration    // how long a command may run; default 60 s
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
	if o.Hostname == "" {
		o.Hostname = "unknown"
		if h, err := os.Hostname(); err == nil {
			o.Hostname, _, _ = strings.Cut(h, ".")
		}
	}
}

// entry is one <localfile> of the configuration.
type entry struct {
	cfg      config.Localfile
	glob     bool
	dated    bool
	follower *follower // of a plain or dated name
}

// Collector collects everything that the configuration names.
type Collector struct {
	opts     Options
	sink     event.Sink
	log      *olog.Log
	entries  []*entry
	commands []*command
	journals []config.Localfile
	order    []*follower // followers in configuration order
	byPath   map[string]*follower
	store    *positions
	buf      []byte
	passes   int
	ctx      context.Context // of the running pass; emit functions need it
	err      error           // first delivery error of the running pass
}

// New checks the entries and prepares collection; nothing is opened yet. Entries that cannot work are logged and left out.
func New(files []config.Localfile, sink event.Sink, log *olog.Log, opts Options) (*Collector, error) {
	opts.defaults()
	c := &Collector{opts: opts, sink: sink, log: log, byPath: map[string]*follower{}, buf: make([]byte, readSize)}
	var err error
	if c.store, err = loadPositions(opts.PositionFile); err != nil {
		log.Warn("%v; files are followed from their ends", err)
	}
	if opts.StartAtEnd {
		c.store.known = map[string]position{}
	}
	if len(files) == 0 {
		log.Code(1905, "INFO", "No file configured to monitor.")
	}
	for _, f := range files {
		c.add(f)
	}
	return c, nil
}

func (c *Collector) add(f config.Localfile) {
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
	case "journald":
		c.journals = append(c.journals, f)
		return
	}
	for _, e := range c.entries {
		if e.cfg.Location == f.Location {
			c.log.Warn("Duplicated log file given: '%s'.", f.Location)
			return
		}
	}
	e := &entry{cfg: f, glob: strings.ContainsAny(f.Location, "*?[")}
	e.dated = !e.glob && strings.Contains(f.Location, "%")
	c.entries = append(c.entries, e)
}

// follow makes the follower of a path; nil when another entry follows it already or the format refuses the path.
func (c *Collector) follow(path string, f config.Localfile) *follower {
	if c.byPath[path] != nil {
		return nil
	}
	asm, err := assemblerFor(f.Format, f.Lines, path, c.opts.Hostname, c.log, c.opts.Now)
	if err != nil {
		return nil
	}
	w := &follower{path: path, location: location(path), asm: asm, log: c.log}
	c.byPath[path] = w
	c.order = append(c.order, w)
	return w
}

// location is the path as the queue wants it: the receiver splits at the first colon.
func location(path string) string { return strings.ReplaceAll(path, ":", `\`) }

// begin opens everything for the first time: where an earlier run left off, else at the end.
func (c *Collector) begin() {
	now := c.opts.Now()
	for _, e := range c.entries {
		for _, path := range c.paths(e, now) {
			w := c.follow(path, e.cfg)
			if w == nil {
				continue
			}
			e.follower = w
			c.log.Code(1950, "INFO", "Analyzing file: '%s'.", path)
			if e.cfg.OnlyFutureEvents || !c.store.resume(w, c) {
				w.open(atEnd, 0, now) //nolint:errcheck // logged; a missing file is waited for
			}
		}
	}
}

// paths gives the names that an entry stands for at a time.
func (c *Collector) paths(e *entry, now time.Time) []string {
	switch {
	case e.glob:
		names, err := filepath.Glob(e.cfg.Location)
		if err != nil || (len(names) == 0 && e.follower == nil) {
			c.log.Every("glob "+e.cfg.Location, 24*time.Hour).Code(1121, "ERROR", "Glob error. Invalid pattern: '%s'.", e.cfg.Location)
		}
		var files []string
		for _, n := range names {
			if st, err := os.Stat(n); err == nil && !st.IsDir() {
				files = append(files, n)
			}
		}
		return files
	case e.dated:
		path := strftime(e.cfg.Location, now)
		if e.follower == nil || e.follower.path != path {
			c.log.Code(1952, "INFO", "Monitoring variable log file: '%s'.", path)
		}
		return []string{path}
	}
	return []string{e.cfg.Location}
}

// emitter gives the function that delivers events of a follower. After a failed delivery it discards: the position has not moved, so
// that the events are read again.
func (c *Collector) emitter(w *follower) emitFunc {
	return func(kind event.Kind, text string) { c.deliver(w.message(kind, text)) }
}

func (c *Collector) deliver(m event.Message) {
	if c.err != nil {
		return
	}
	if err := c.sink.Send(c.ctx, m); err != nil {
		c.err = err
	}
}

func (c *Collector) tell(n notice, path string) {
	text := fmt.Sprintf(string(n), path)
	if len(text) > 511 {
		text = text[:511]
	}
	c.deliver(event.Message{Kind: event.KindLog, Location: "ossec-logcollector", Text: text})
}

// rename looks for what dated names and globs stand for now.
func (c *Collector) rename(now time.Time) {
	for _, e := range c.entries {
		if !e.glob && !e.dated {
			continue
		}
		if e.dated && e.follower != nil && e.follower.path == strftime(e.cfg.Location, now) {
			continue
		}
		for _, path := range c.paths(e, now) {
			w := c.follow(path, e.cfg)
			if w == nil {
				continue
			}
			w.late = true
			if e.dated && e.follower != nil {
				c.retire(e.follower, now)
			}
			e.follower = w
		}
	}
}

// retire reads a file to its end for the last time.
func (c *Collector) retire(w *follower, now time.Time) {
	if w.f != nil {
		w.read(c.buf, now, c.emitter(w)) //nolint:errcheck // delivery errors are kept in c.err
		w.finish(c.emitter(w))
	}
	delete(c.byPath, w.path)
	for i, o := range c.order {
		if o == w {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

// pass reads all files once, in configuration order, and looks at their names again. It returns the first delivery error.
func (c *Collector) pass(ctx context.Context) error {
	c.ctx, c.err = ctx, nil
	now := c.opts.Now()
	c.rename(now)
	for _, w := range c.order {
		c.look(w, now)
		if c.err != nil {
			return c.err
		}
	}
	if c.passes++; c.passes%c.opts.CheckEvery == 0 {
		c.deliver(event.Message{Kind: event.KindLog, Location: "ossec-keepalive", Text: keepalive()})
	}
	return c.err
}

func (c *Collector) look(w *follower, now time.Time) {
	if w.f != nil {
		w.read(c.buf, now, c.emitter(w)) //nolint:errcheck // delivery errors are kept in c.err
	}
	if c.err == nil {
		w.check(c.buf, now, c.emitter(w), c.tell) //nolint:errcheck // as above
	}
}

const keepaliveAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$%^&*()_+-=;'[],./?"

// keepalive is the text of spec section 19: of random length and content.
func keepalive() string {
	b := []byte("--MARK--: ")
	for range rand.IntN(680) {
		b = append(b, keepaliveAlphabet[rand.IntN(len(keepaliveAlphabet))])
	}
	return string(b)
}

// Run collects until ctx ends; then it stores the positions and returns nil. A Sink that fails for another reason ends it with that error.
func (c *Collector) Run(ctx context.Context) error {
	c.ctx = ctx
	c.begin()
	if c.opts.Started != nil {
		c.opts.Started()
	}
	watch, err := newWatcher()
	if err != nil {
		c.log.Warn("file events are not available (%v); files are polled every %s.", err, c.opts.Poll)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	work, stop := context.WithCancel(ctx)
	defer stop()
	for _, cmd := range c.commands {
		wg.Go(func() { cmd.run(work) })
	}
	for _, j := range c.journals {
		wg.Go(func() { c.journal(work, j) })
	}
	err = c.loop(ctx, watch)
	watch.close()
	stop()
	for _, w := range c.order {
		if err == nil || errors.Is(err, context.Canceled) {
			w.settle()
		}
	}
	err = errors.Join(err, c.store.save(c.order))
	for _, w := range c.order {
		w.close()
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// saveEvery is how often positions are stored while there is something new.
const saveEvery = time.Second

func (c *Collector) loop(ctx context.Context, watch *watcher) error {
	tick := time.NewTicker(c.opts.Poll)
	defer tick.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	// Open events of joining formats are sent when nothing follows; that needs a look without a file event.
	quiet := time.NewTicker(settle)
	defer quiet.Stop()
	if err := c.pass(ctx); err != nil {
		return err
	}
	for {
		watch.follow(c.order)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.pass(ctx); err != nil {
				return err
			}
		case <-save.C:
			if err := c.store.save(c.order); err != nil {
				c.log.Every("save", time.Hour).Error("%v", err)
			}
		case <-quiet.C:
			if err := c.some(ctx, func(w *follower) bool { return w.asm.Open() }); err != nil {
				return err
			}
		case err := <-watch.errors():
			// An overflow of the kernel's queue: the next pass looks at every file anyway.
			c.log.Every("watch", time.Hour).Warn("file events: %v", err)
		case ev := <-watch.events():
			changed := watch.batch(ev)
			if err := c.some(ctx, func(w *follower) bool { return changed[w.path] }); err != nil {
				return err
			}
		}
	}
}

// some reads the files that fit.
func (c *Collector) some(ctx context.Context, fits func(*follower) bool) error {
	c.ctx, c.err = ctx, nil
	now := c.opts.Now()
	for _, w := range c.order {
		if fits(w) {
			c.look(w, now)
		}
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

// watcher follows the directories of the files: one watch serves all files of a directory, and sees new ones.
type watcher struct {
	w    *fsnotify.Watcher
	dirs map[string]bool
	n    int // followers when the directories were last looked at
}

func newWatcher() (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &watcher{w: w, dirs: map[string]bool{}}, nil
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w == nil {
		return nil
	}
	return w.w.Events
}

func (w *watcher) errors() <-chan error {
	if w == nil {
		return nil
	}
	return w.w.Errors
}

// follow watches the directories of new followers. A directory that cannot be watched is left to polling.
func (w *watcher) follow(files []*follower) {
	if w == nil || w.n == len(files) {
		return
	}
	w.n = len(files)
	for _, f := range files {
		dir := filepath.Dir(f.path)
		if !w.dirs[dir] {
			w.dirs[dir] = true
			w.w.Add(dir) //nolint:errcheck // polling is the net
		}
	}
}

// batch takes the events that are there now and gives the paths they name.
func (w *watcher) batch(first fsnotify.Event) map[string]bool {
	changed := map[string]bool{first.Name: true}
	for range 4096 {
		select {
		case ev, ok := <-w.w.Events:
			if !ok {
				return changed
			}
			changed[ev.Name] = true
		default:
			return changed
		}
	}
	return changed
}

func (w *watcher) close() {
	if w != nil {
		w.w.Close()
	}
}
