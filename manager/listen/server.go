package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// Deliver takes an event into the pipeline. It may block while the pipeline is busy.
type Deliver func(ctx context.Context, ev *event.Event)

// Controller handles what agents say about themselves. Server has already acknowledged the message. text is what follows "#!-", at least one
// byte, and valid only during the call. Calls for one key do not overlap and come in order; calls for different keys run in parallel.
type Controller interface {
	Control(key *keys.Key, with keys.Cipher, text []byte, at time.Time)
}

// Counters numbers the messages that are sent and refuses those that were seen (keys.Counters).
type Counters interface {
	Next() (keys.Counter, error)
	Raise() // an agent starts anew; see keys.Counters.Raise
	Accept(key *keys.Key, o keys.Opened) error
}

// Options of New.
type Options struct {
	Remotes  []config.Remote // the secure ones count
	Keys     *keys.Store
	Counters Counters
	Deliver  Deliver
	Settled  func() (delivered, settled uint64) // of Deliver; receipts wait until the events are settled. nil = they are when delivered
	Control  Controller
	Refresh  func() bool // looks for new keys when an unknown agent knocks, reports whether there are; nil = never
	Log      *olog.Log   // of "ossec-remoted"; nil discards

	Workers      int           // 0 = one per CPU
	Queue        int           // batches of up to 16 KiB that wait per worker; 0 = 256
	MaxTCP       int           // simultaneous TCP connections; 0 = 65536
	MaxStrangers int           // of one address, on which no agent has proved itself yet; 0 = 1024
	Prove        time.Duration // how long a TCP connection has for that; 0 = 30 s
	LogEvery     time.Duration // at most one line per kind and source in this time, and twenty per kind; 0 = 10 s, negative = no limit
	ReceiptDelay time.Duration // how long events of Vedette agents wait for their acknowledgement; 0 = 100 ms
	Now          func() time.Time
}

// Server is the manager's end of the secure channel.
type Server struct {
	o      Options
	codec  keys.Codec
	udp    []*listener
	tcp    []tcpListener
	shards []*shard
	policy policy
	lines  refusals
	stats  Stats

	mu        sync.Mutex
	conns     map[*tcpConn]struct{}
	strangers map[netip.Addr]int // connections that have not proved themselves, by address
}

// listener is one UDP address with the worker policy of its <remote> block.
type listener struct {
	sock *udpSocket
	rd   batchReader
	rule accept
}

// tcpListener is one TCP address of a block.
type tcpListener struct {
	net.Listener
	rule accept
}

// ErrNoRemote is returned by New when no <remote> block has connection "secure".
var ErrNoRemote = errors.New("no secure <remote> is configured")

// New binds every secure address. On an error nothing stays bound; the error names the address, and message 1206 has been logged.
func New(ctx context.Context, o Options) (*Server, error) {
	o.defaults()
	s := &Server{o: o, conns: map[*tcpConn]struct{}{}, strangers: map[netip.Addr]int{}}
	s.policy = policy{log: o.Log, now: o.Now}
	s.lines = refusals{log: o.Log, every: o.LogEvery}
	for range o.Workers {
		s.shards = append(s.shards, newShard(s))
	}
	for i := range o.Remotes {
		if r := &o.Remotes[i]; r.Secure {
			if err := s.bind(ctx, r); err != nil {
				o.Log.Code(1206, "ERROR", "Unable to Bind port '%d'", r.Port)
				s.closeSockets()
				return nil, fmt.Errorf("listening for agents on port %d: %w", r.Port, err)
			}
		}
	}
	if len(s.udp) == 0 {
		return nil, ErrNoRemote
	}
	return s, nil
}

func (o *Options) defaults() {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.MaxTCP <= 0 {
		o.MaxTCP = 1 << 16
	}
	if o.MaxStrangers <= 0 {
		o.MaxStrangers = 1024
	}
	if o.Prove <= 0 {
		o.Prove = 30 * time.Second
	}
	switch {
	case o.LogEvery == 0:
		o.LogEvery = 10 * time.Second
	case o.LogEvery < 0:
		o.LogEvery = 0
	}
	if o.Settled == nil {
		o.Settled = func() (delivered, settled uint64) { return 0, 0 }
	}
	if o.ReceiptDelay <= 0 {
		o.ReceiptDelay = 100 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Refresh == nil {
		o.Refresh = func() bool { return false }
	}
}

// bind opens the UDP socket of a block, and with <protocol>tcp</protocol> also TCP on the same port: agents that OSSEC would have served over
// UDP in spite of that setting go on working.
func (s *Server) bind(ctx context.Context, r *config.Remote) error {
	sock, err := listenUDP(ctx, r.LocalIP, r.Port)
	if err != nil {
		return err
	}
	l := &listener{sock: sock, rule: acceptRule(r)}
	s.udp = append(s.udp, l)
	if l.rd, err = newBatchReader(sock.conn, agentwire.MaxPacket); err != nil {
		return err
	}
	if !r.TCP {
		return nil
	}
	host := ""
	if r.LocalIP.IsValid() {
		host = r.LocalIP.String()
	}
	tl, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(sock.addr.Port())))
	if err != nil {
		return err
	}
	s.tcp = append(s.tcp, tcpListener{tl, l.rule})
	return nil
}

// Addrs lists the bound UDP addresses, in the order of the configuration.
func (s *Server) Addrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, l := range s.udp {
		out = append(out, l.sock.addr)
	}
	return out
}

// Run serves until ctx ends, then closes the sockets and returns when every packet that was received has been handled. A Server runs once.
func (s *Server) Run(ctx context.Context) error {
	var workers, readers sync.WaitGroup
	work, end := afterlife(ctx)
	defer end()
	for _, sh := range s.shards {
		workers.Go(func() { sh.run(work) })
	}
	for _, l := range s.udp {
		readers.Go(func() { s.serveUDP(ctx, work, l) })
		readers.Go(func() { l.sock.watchLoss(ctx, s.lost) })
	}
	for _, tl := range s.tcp {
		readers.Go(func() { s.serveTCP(ctx, work, tl, tl.rule, &readers) })
	}
	<-ctx.Done()
	s.stopReading()
	readers.Wait()
	for _, sh := range s.shards {
		close(sh.in)
	}
	workers.Wait() // they send the last receipts
	s.farewell()
	s.closeSockets()
	return nil
}

// farewell tells Vedette agents that they are no longer heard, so that they keep what they would send now, and its order.
func (s *Server) farewell() {
	for _, sh := range s.shards {
		sh.mu.Lock()
		var known []*keys.Key
		for key, p := range sh.peers {
			if p.ack.vedette && p.link != nil {
				known = append(known, key)
			}
		}
		sh.mu.Unlock()
		for _, key := range known {
			sh.say(key, agentwire.Header+agentwire.Bye)
		}
	}
}

// grace is how long what was received before the end may take to be delivered.
const grace = 10 * time.Second

// afterlife gives a context that ends a while after ctx, so that what was taken in (and acknowledged) still reaches the pipeline.
func afterlife(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var timer atomic.Pointer[time.Timer]
	stop := context.AfterFunc(ctx, func() { timer.Store(time.AfterFunc(grace, cancel)) })
	return work, func() {
		stop()
		if t := timer.Load(); t != nil {
			t.Stop()
		}
		cancel()
	}
}

// stopReading ends every reader. The sockets stay open for what is still to be said.
func (s *Server) stopReading() {
	past := time.Unix(1, 0)
	for _, l := range s.udp {
		l.sock.conn.SetReadDeadline(past) //nolint:errcheck // cannot fail on an open socket
	}
	for _, tl := range s.tcp {
		tl.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.stop()
	}
}

// Close releases the sockets of a Server that will not be run.
func (s *Server) Close() { s.closeSockets() }

func (s *Server) closeSockets() {
	for _, l := range s.udp {
		l.sock.conn.Close()
	}
	for _, tl := range s.tcp {
		tl.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.conn.Close()
	}
}

func (s *Server) serveUDP(ctx, work context.Context, l *listener) {
	d := dispatcher{s: s, link: l.sock, rule: l.rule, open: make([]*batch, len(s.shards))}
	failed := func(err error) {
		s.o.Log.Every("receive", time.Minute).Error("Receiving from agents: %v", err)
	}
	readLoop(ctx, l.rd, failed, func(in []datagram) {
		now := s.o.Now()
		for i := range in {
			d.add(work, in[i].data, in[i].src, now)
		}
		d.flush(work, len(in) == batchSize)
	})
}

// lost counts datagrams that the kernel threw away.
func (s *Server) lost(more uint32) {
	n := s.stats.kernelLost.Add(uint64(more))
	s.o.Log.Every("kernel lost", time.Minute).Warn("%d datagrams of agents were lost: the receive buffer was full.", n)
}
