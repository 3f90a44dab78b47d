package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/agent/spool"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
)

// Counters numbers the messages that are sent and refuses those that were seen (keys.Counters).
type Counters interface {
	Next() (keys.Counter, error)
	Accept(key *keys.Key, o keys.Opened) error
	Resync(key *keys.Key, o keys.Opened) error
}

// Options of New. Root, Client, Key and Counters are required.
type Options struct {
	Root     string // install root
	Client   config.Client
	Key      *keys.Key
	Counters Counters
	Log      *olog.Logger // lines of "ossec-agentd"; nil discards

	// Command is called with each command of the manager, one at a time, in order. It may block for a while: later commands wait.
	Command func(ctx context.Context, c event.Command)

	LocalQueue bool   // read queue/ossec/queue for users' tools
	LocalGID   int    // group of that socket, 0 = leave
	NoSpool    bool   // keep nothing on disk: senders wait while no manager answers
	SpoolDir   string // "" = queue/spool below Root
	RootText   string // install root as written in integrity messages; "" = Root
	System     string // uname text of keepalives; "" = of this host
	Timing     Timing

	Names config.Resolver // looks up the managers' names at the start, to warn of those that do not resolve; nil = this host's

	// Dial connects to a server; nil means the network. Only tests set it.
	Dial func(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error)
}

// Timing holds the waits that are not configured. The zero value is right outside of tests.
type Timing struct {
	Second     time.Duration // unit of the start exchange's schedule; 0 = 1 s
	AckTimeout time.Duration // how long a keepalive's acknowledgement may take before the agent asks again; 0 = 10 s, negative = OSSEC's rule only
	Retransmit time.Duration // first wait for a Vedette manager's receipt; 0 = 1 s
	Decide     time.Duration // how long after the first keepalive a manager may take to show that it is Vedette; 0 = 2 s
	Sync       time.Duration // how often the disk is asked to keep what was spooled; 0 = 1 s
	PaceEvery  time.Duration // one burst of spooled events per this time to an OSSEC manager; 0 = 10 ms
	PaceBurst  int           // events per burst; 0 = 20
	LogEvery   time.Duration // at most one line per kind of bad packet in this time; 0 = 10 s, negative = no limit
}

func (t *Timing) defaults() {
	setDefault(&t.Second, time.Second)
	setDefault(&t.AckTimeout, 10*time.Second)
	setDefault(&t.Retransmit, time.Second)
	setDefault(&t.Decide, 2*time.Second)
	setDefault(&t.Sync, time.Second)
	setDefault(&t.PaceEvery, 10*time.Millisecond)
	setDefault(&t.LogEvery, 10*time.Second)
	if t.PaceBurst <= 0 {
		t.PaceBurst = 20
	}
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d == 0 {
		*d = v
	}
}

// Forwarder is the network half of one agent. Make it with New, then call Run once.
type Forwarder struct {
	o     Options
	log   *olog.Log
	codec keys.Codec
	with  keys.Cipher
	queue *spool.Queue                // nil: none, or none yet because it cannot be opened
	seen  atomic.Pointer[spool.Queue] // the same, for Stats

	running string // MD5 of the agent.conf that was there when this program started, "" = none

	in       chan string  // payloads of events, from Send and the local queue
	received chan inbound // what the connection's reader brought
	commands chan event.Command
	done     chan struct{} // closed when Run returns

	state atomic.Int32 // State
	probe atomic.Bool  // the server's acknowledgement is awaited in the cipher that is not configured
	stats stats

	// owned by the goroutine of Run
	ending       <-chan struct{} // closed when Run is to end
	server       int             // index of the current one
	conn         *connection
	started      bool // the start event was sent
	refusals     int  // errors of the connection during this start exchange
	window       window
	windowServer int // server that the numbers in the window were made for
	session
	lastValid time.Time // last control message or file data from the manager
	files     fileReceiver
	held      []string  // events that could not be stored: disk full
	damaged   int64     // bytes of the spool that were unreadable when it was opened, until the manager is told
	opened    time.Time // last try to open the spool
	packet    []byte    // scratch
}

// State tells whether a manager answers.
type State int32

// The states of a Forwarder.
const (
	Idle       State = iota // Run was not called, or has returned
	Connecting              // no manager answers; events go to the spool
	Connected
)

// ErrClosed is returned by Send when Run has returned.
var ErrClosed = errors.New("forwarder is closed")

// queueLength is the number of events that wait in memory between senders and Run.
const queueLength = 256

// New checks the options and opens the spool.
func New(o Options) (*Forwarder, error) {
	if len(o.Client.Servers) == 0 {
		return nil, errors.New("no manager is configured: <client> needs a <server-ip> or <server-hostname>")
	}
	if o.Key == nil || o.Counters == nil {
		return nil, errors.New("forwarder without agent key or message counters")
	}
	o.Timing.defaults()
	o.clientDefaults()
	if o.RootText == "" {
		o.RootText = o.Root
	}
	if o.System == "" {
		o.System = System()
	}
	if o.Dial == nil {
		o.Dial = dial
	}
	f := &Forwarder{o: o, log: o.Log.Prog("ossec-agentd"), with: keys.Blowfish, done: make(chan struct{}),
		in: make(chan string, queueLength), received: make(chan inbound), commands: make(chan event.Command, 64)}
	if o.Client.AES {
		f.with = keys.AES
	}
	f.files = fileReceiver{dir: filepath.Join(o.Root, "etc", "shared"), log: f.log}
	f.running = fileMD5(filepath.Join(f.files.dir, "agent.conf"))
	f.openSpool()
	return f, nil
}

func (o *Options) clientDefaults() {
	c := &o.Client
	if c.NotifyTime <= 0 {
		c.NotifyTime = 600
	}
	if c.TimeReconnect <= 0 {
		c.TimeReconnect = 1800
	}
	if c.TimeReconnect <= c.NotifyTime {
		o.Log.Prog("ossec-agentd").Info("Max time to reconnect can't be less than notify_time(%d), using notify_time*3 (%d)", c.NotifyTime, 3*c.NotifyTime)
		c.TimeReconnect = 3 * c.NotifyTime
	}
}

// openSpool opens the spool, if there is to be one. An agent whose disk is full does its work without; senders wait while no manager answers.
func (f *Forwarder) openSpool() {
	if f.o.NoSpool || f.queue != nil {
		return
	}
	f.opened = time.Now()
	dir := f.o.SpoolDir
	if dir == "" {
		dir = filepath.Join(f.o.Root, "queue", "spool")
	}
	q, err := spool.Open(spool.Options{Dir: dir, MaxBytes: f.o.Client.SpoolSize})
	if err != nil {
		f.log.Every("spool", time.Minute).Error("Events cannot be kept while no server answers: %v", err)
		return
	}
	if f.damaged = q.Damaged(); f.damaged > 0 {
		f.log.Warn("%d bytes of the event spool '%s' were unreadable and are left out.", f.damaged, dir)
	}
	f.queue = q
	f.seen.Store(q)
}

// reopenEvery is how often a spool that could not be opened is tried again, in seconds.
const reopenEvery = 10

// reopen does that.
func (f *Forwarder) reopen(now time.Time) {
	if f.queue == nil && !f.o.NoSpool && now.Sub(f.opened) >= f.seconds(reopenEvery) {
		f.openSpool()
	}
}

// Send implements event.Sink: it hands an event to Run and waits while the queue is full. Messages longer than a packet can carry are cut.
func (f *Forwarder) Send(ctx context.Context, m event.Message) error {
	s := m.String()
	if len(s) > agentwire.MaxPayload {
		s = s[:agentwire.MaxPayload]
	}
	return f.enqueue(ctx, s)
}

func (f *Forwarder) enqueue(ctx context.Context, payload string) error {
	select {
	case <-f.done:
		return ErrClosed
	default:
	}
	select {
	case f.in <- payload:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
		return ErrClosed
	}
}

// State tells whether a manager answers.
func (f *Forwarder) State() State { return State(f.state.Load()) }

// Run connects and forwards until ctx ends. Then it stores what has not arrived in the spool and returns nil; any other return is a
// failure that a restart cannot mend (the local queue is taken).
func (f *Forwarder) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f.ending = ctx.Done()
	var wg sync.WaitGroup
	defer f.state.Store(int32(Idle))
	defer func() { cancel(); wg.Wait() }()
	if err := f.prepare(); err != nil {
		f.finish()
		return err
	}
	if f.o.LocalQueue {
		q, err := f.openLocal()
		if err != nil {
			f.finish()
			return err
		}
		wg.Go(func() { f.readLocal(ctx, q) })
	}
	wg.Go(func() { f.runCommands(ctx) })
	wg.Go(func() { f.checkNames(ctx) })
	for ctx.Err() == nil {
		f.state.Store(int32(Connecting))
		if !f.connect(ctx) {
			break
		}
		f.state.Store(int32(Connected))
		f.serve(ctx)
		if ctx.Err() == nil {
			f.log.Warn("Server unavailable. Setting lock.")
			f.lock()
		}
	}
	f.drain()
	f.finish()
	return nil
}

// prepare writes what other programs read at the start.
func (f *Forwarder) prepare() error {
	for _, dir := range []string{"queue/ossec", "etc/shared"} {
		if err := os.MkdirAll(filepath.Join(f.o.Root, filepath.FromSlash(dir)), 0o770); err != nil {
			return fmt.Errorf("starting the forwarder: %w", err)
		}
	}
	if err := f.writeAgentInfo(); err != nil {
		return err
	}
	f.log.Info("Using notify time: %d and max time to reconnect: %d", f.o.Client.NotifyTime, f.o.Client.TimeReconnect)
	f.logServers()
	return nil
}

func (f *Forwarder) logServers() {
	for i, s := range f.o.Client.Servers {
		f.log.Info("Server %d: %s", i+1, s.Host)
	}
}

// checkNames warns of managers' names that do not resolve (spec protocol.md, section 17). They are looked up again at each attempt to connect.
func (f *Forwarder) checkNames(ctx context.Context) {
	const tries, pause = 5, 3
	for n := 1; ; n++ {
		problems := config.CheckNames(ctx, &config.Config{Client: &f.o.Client}, f.o.Names)
		if len(problems) == 0 || ctx.Err() != nil {
			return
		}
		if n == tries {
			for _, p := range problems {
				level, text, _ := strings.Cut(p.Text, ": ")
				f.log.Code(p.Code, level, "%s", text)
			}
			return
		}
		select {
		case <-time.After(f.seconds(pause)):
		case <-ctx.Done():
			return
		}
	}
}

// finish stores what is left and releases everything.
func (f *Forwarder) finish() {
	close(f.done)
	f.disconnect()
	f.unlock()
	f.files.abort()
	f.opened = time.Time{}
	if f.reopen(time.Now()); f.queue == nil {
		if n := len(f.window.live()) + len(f.held) + len(f.in); n > 0 {
			f.log.Error("%d events are lost at the end: there is no event spool.", n)
		}
		return
	}
	f.storeRest()
	if err := f.queue.Close(); err != nil {
		f.log.Error("Closing the event spool: %v", err)
	}
}

// storeRest puts unconfirmed events back in front of the spool, and those that wait in memory behind it.
func (f *Forwarder) storeRest() {
	var front [][]byte
	for _, e := range f.window.live() {
		front = append(front, []byte(e.payload))
	}
	err := f.queue.Rewind()
	if len(front) > 0 {
		err = errors.Join(err, f.queue.Prepend(front))
	}
	rest := f.held
	for more := true; more; {
		select {
		case p := <-f.in:
			rest = append(rest, p)
		default:
			more = false
		}
	}
	lost := 0
	if err != nil {
		lost = len(front)
	}
	for _, p := range rest {
		if e := f.queue.Append([]byte(p)); e != nil {
			err = e
			lost++
		}
	}
	if err != nil {
		f.log.Error("%d events are lost at the end: %v", lost, errors.Join(err, f.queue.AddBroken(lost)))
	}
}

// runCommands calls the host half, apart from the connection so that keepalives go on.
func (f *Forwarder) runCommands(ctx context.Context) {
	for {
		select {
		case c := <-f.commands:
			if f.o.Command != nil {
				f.o.Command(ctx, c)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Stats is the state of a Forwarder's counters at one moment.
type Stats struct {
	Sent       uint64 // events sent for the first time
	Spooled    uint64 // events that went to the spool
	Resent     uint64 // events sent again because no receipt came
	Confirmed  uint64 // events that a Vedette manager acknowledged
	Refused    uint64 // packets that were not accepted
	Connects   uint64 // times a manager answered
	SpoolLen   int    // events in the spool
	SpoolBytes int64
}

type stats struct{ sent, spooled, resent, confirmed, refused, connects atomic.Uint64 }

// Stats gives the counters.
func (f *Forwarder) Stats() Stats {
	s := Stats{Sent: f.stats.sent.Load(), Spooled: f.stats.spooled.Load(), Resent: f.stats.resent.Load(), Confirmed: f.stats.confirmed.Load(),
		Refused: f.stats.refused.Load(), Connects: f.stats.connects.Load()}
	if q := f.seen.Load(); q != nil {
		s.SpoolLen, s.SpoolBytes = q.Len(), q.Bytes()
	}
	return s
}

// System describes this host as keepalives do: "<sysname> <nodename> <release> <version> <machine> - OSSEC HIDS v4.2.0". Blocks of
// agent.conf with an os attribute match against it (spec configuration.md, section 4).
func System() string {
	return unameText() + " - " + version.Product + " " + version.Compat
}
