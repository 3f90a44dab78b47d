package syscheck

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// Options is what a Monitor needs besides the configuration. The zero value works, at full speed, with the state in the current directory.
type Options struct {
	Root     string // install root; state lies below it
	StateDir string // baseline file; "" = Root/queue/syscheck
	DiffDir  string // snapshots of report_changes; "" = Root/queue/diff/local

	Sleep      time.Duration // pause of a scan (syscheck.sleep); 0 = none
	SleepAfter int           // files read between two pauses (syscheck.sleep_after)
	StartDelay time.Duration // wait before the first scan

	Workers     int           // files hashed at once; 0 = one per processor, at most 4; throttled scans use one
	Settle      time.Duration // realtime: a path must be quiet this long before it is checked; 0 = 150 ms
	MaxFileSize int64         // larger files are not hashed, their hashes read "xxx"; 0 = 16 GiB
	MaxSnapshot int64         // larger files get no diff; 0 = 4 MiB
	KeepStates  int           // older contents kept per file of report_changes; 0 = 10

	NoForward bool // do not send the files that the baseline knows and that did not change when the program starts

	Now      func() time.Time // clock of the schedule; nil = time.Now
	Progress func(Progress)   // called now and then during a scan, from one goroutine at a time; nil = never
	OnRescan func()           // called when the file var/run/.syscheck_run asks for a scan, so that rootcheck can run too
	Scanned  func(Result)     // called after each full scan

	network func(dir string) bool // whether a directory is on a network file system; nil = as the system says
}

// Defaults of Options.
const (
	defaultSettle   = 150 * time.Millisecond
	defaultMaxFile  = 16 << 30
	defaultSnapshot = 4 << 20
	defaultStates   = 10
	maxWorkers      = 4
)

func (o *Options) fill() {
	if o.StateDir == "" {
		o.StateDir = filepath.Join(o.Root, "queue", "syscheck")
	}
	if o.DiffDir == "" {
		o.DiffDir = filepath.Join(o.Root, "queue", "diff", "local")
	}
	setDefault(&o.Settle, defaultSettle)
	setDefault(&o.MaxFileSize, defaultMaxFile)
	setDefault(&o.MaxSnapshot, defaultSnapshot)
	setDefault(&o.KeepStates, defaultStates)
	setDefault(&o.Workers, min(runtime.GOMAXPROCS(0), maxWorkers))
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.network == nil {
		o.network = network
	}
}

func setDefault[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// Progress is a running scan's state.
type Progress struct {
	Root  string // configured path that is being walked
	Path  string // directory that is being walked
	Files int64  // files seen
	Read  int64  // files read
	Bytes int64  // bytes read
	Known int64  // files in the baseline when the scan began, 0 in the first one
}

// Result says what a finished scan did.
type Result struct {
	Files, Read, Bytes    int64
	New, Changed, Deleted int64
	Errors                int64 // files that could not be looked at or read
	Took                  time.Duration
}

// BaselineFile is the name of the baseline in the state directory.
const BaselineFile = "vedette-host.db"

// Monitor watches the files of one host. Its methods are safe for concurrent use.
type Monitor struct {
	cfg      *config.Syscheck
	sink     event.Sink
	log      *olog.Log
	opts     Options
	roots    []*root
	ignore   filter
	nodiff   filter
	store    *store
	seen     *seen
	snaps    snapshots
	throttle *throttle

	scanning sync.Mutex    // one full scan at a time
	request  chan struct{} // a scan was asked for
	locks    pathLocks
	sending  sync.Mutex
	rt       *realtime // nil without realtime directories
	based    bool      // the base-line scan of this process is done; under scanning

	closing sync.Once
}

// New prepares a monitor and opens its baseline. cfg must not change afterwards. log may be nil.
func New(cfg *config.Syscheck, sink event.Sink, log *olog.Log, opts Options) (*Monitor, error) {
	if cfg == nil {
		cfg = &config.Syscheck{Frequency: 600, ScanOnStart: true}
	}
	if sink == nil {
		return nil, errors.New("syscheck: no sink")
	}
	opts.fill()
	m := &Monitor{
		cfg: cfg, sink: sink, log: log, opts: opts,
		ignore:  filter{cfg.Ignore, cfg.IgnoreMatch},
		nodiff:  filter{cfg.NoDiff, cfg.NoDiffMatch},
		snaps:   snapshots{dir: opts.DiffDir, max: opts.MaxSnapshot, keep: opts.KeepStates},
		request: make(chan struct{}, 1),
		seen:    newSeen(),
	}
	m.throttle = &throttle{sleep: opts.Sleep, after: opts.SleepAfter, rate: cfg.IOBudget * 1e6}
	if cfg.Disabled {
		return m, nil
	}
	m.roots = newRoots(cfg.Directories)
	if len(m.roots) == 0 {
		return m, nil
	}
	st, aside, err := openStore(filepath.Join(opts.StateDir, BaselineFile))
	if aside != nil {
		log.Warn("The file baseline was unreadable and begins anew (kept as '%s.corrupt'): %v", BaselineFile, aside)
	}
	if err != nil {
		return nil, fmt.Errorf("syscheck: %w", err)
	}
	m.store = st
	if err := m.prune(); err != nil {
		st.close()
		return nil, fmt.Errorf("syscheck: %w", err)
	}
	m.rt = newRealtime(m)
	return m, nil
}

// Close releases the baseline of a monitor that was not run; Run does so itself at its end.
func (m *Monitor) Close() error {
	var err error
	m.closing.Do(func() {
		if m.store != nil {
			err = m.store.close()
		}
	})
	return err
}

// ScanNow asks for a full scan as soon as possible; a request during a scan leads to another one after it.
func (m *Monitor) ScanNow() {
	select {
	case m.request <- struct{}{}:
	default:
	}
}

// active reports whether there is anything to monitor.
func (m *Monitor) active() bool { return m.store != nil }

// prune drops directories from the baseline that no configured path leads to any more.
func (m *Monitor) prune() error {
	for _, dir := range m.store.below("/") {
		if m.walked(dir) {
			continue
		}
		if err := m.forgetDir(dir); err != nil {
			return err
		}
	}
	return m.store.flush()
}

// walked reports whether the baseline may hold files of dir.
func (m *Monitor) walked(dir string) bool {
	for _, r := range m.roots {
		if r.enters(dir) {
			return true
		}
		if d, _ := split(r.path); d == dir { // a root that is a single file
			return true
		}
	}
	return false
}

// forgetDir drops the entries of one directory without messages.
func (m *Monitor) forgetDir(dir string) error {
	n := m.store.dir(dir)
	for from, more := "", true; more; more = from != "" {
		var list []named
		list, from = m.store.entries(nil, n, from, chunk)
		for i := range list {
			if err := m.store.remove(join(dir, list[i].name)); err != nil {
				return err
			}
		}
	}
	m.store.removeDir(dir)
	return nil
}

// rootOf finds the root that owns the file at path: the first one in the configuration that covers it.
func (m *Monitor) rootOf(path string) *root {
	for _, r := range m.roots {
		if r.covers(path) {
			return r
		}
	}
	return nil
}

// maxText bounds the text of a message, so that it still fits the manager's limit with the longest agent location in front.
const maxText = event.MaxMessage - 300

// send hands one integrity message on. It blocks while the receiver is busy.
func (m *Monitor) send(ctx context.Context, text string) error {
	m.sending.Lock()
	defer m.sending.Unlock()
	return m.sink.Send(ctx, event.Message{Kind: event.KindSyscheck, Location: "syscheck", Text: text})
}

// mark sends a scan marker, which travels on the rootcheck channel (spec section 5).
func (m *Monitor) mark(ctx context.Context, text string) error {
	m.sending.Lock()
	defer m.sending.Unlock()
	return m.sink.Send(ctx, event.Message{Kind: event.KindRootcheck, Location: "rootcheck", Text: text})
}

// text builds "SUM PATH" and, if there is one and it fits, "\nDIFF".
func message(checksum, path, diff string) string {
	text := checksum + " " + sum.EscapePath(path)
	if diff == "" {
		return text
	}
	if room := maxText - len(text) - 1 - len(cutText); len(diff) > room {
		if room < len(cutText) {
			return text
		}
		diff = diff[:room] + cutText
	}
	return text + "\n" + diff
}
