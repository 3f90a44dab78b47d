package listen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// SyslogOptions of NewSyslog.
type SyslogOptions struct {
	Remotes []config.Remote // those with connection "syslog" count
	Deliver Deliver
	Log     *olog.Log // of "ossec-remoted"

	MaxDatagram int           // bytes of a datagram that are used; 0 = 1024, as OSSEC
	MaxClients  int           // simultaneous TCP clients; 0 = 1024
	IdleTimeout time.Duration // a TCP client that is silent for this long is disconnected; 0 = 1 hour
	LogEvery    time.Duration // as Options.LogEvery
}

// Syslog receives syslog lines (spec protocol.md, section 18).
type Syslog struct {
	o      SyslogOptions
	access accessList
	lines  refusals
	udp    []*udpSocket
	tcp    []net.Listener

	mu    sync.Mutex
	conns map[net.Conn]struct{}

	received, refused, tooLong, lost atomic.Uint64
}

var (
	// ErrNoSyslog is returned by NewSyslog when no <remote> block has connection "syslog".
	ErrNoSyslog = errors.New("no syslog <remote> is configured")
	// ErrNobodyAllowed is returned by NewSyslog without any allowed-ips (log message 1501).
	ErrNobodyAllowed = errors.New("no IP or network allowed in the access list for syslog")
)

// maxLine is the longest line of a TCP client in bytes.
const maxLine = 6144

// NewSyslog binds every syslog address.
func NewSyslog(ctx context.Context, o SyslogOptions) (*Syslog, error) {
	o.defaults()
	s := &Syslog{o: o, lines: refusals{log: o.Log, every: o.LogEvery}, conns: map[net.Conn]struct{}{}}
	n := 0
	for i := range o.Remotes {
		if r := &o.Remotes[i]; !r.Secure {
			n++
			s.access.denied = append(s.access.denied, r.Denied...)
			s.access.allowed = append(s.access.allowed, r.Allowed...)
		}
	}
	if n == 0 {
		return nil, ErrNoSyslog
	}
	if len(s.access.allowed) == 0 {
		o.Log.Code(1501, "ERROR", "No IP or network allowed in the access list for syslog. No reason for running it. Exiting.")
		return nil, ErrNobodyAllowed
	}
	for i := range o.Remotes {
		if r := &o.Remotes[i]; !r.Secure {
			if err := s.bind(ctx, r); err != nil {
				o.Log.Code(1206, "ERROR", "Unable to Bind port '%d'", r.Port)
				s.closeSockets()
				return nil, fmt.Errorf("listening for syslog on port %d: %w", r.Port, err)
			}
		}
	}
	return s, nil
}

func (o *SyslogOptions) defaults() {
	if o.MaxDatagram <= 0 {
		o.MaxDatagram = 1024
	}
	if o.MaxClients <= 0 {
		o.MaxClients = 1024
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = time.Hour
	}
	switch {
	case o.LogEvery == 0:
		o.LogEvery = 10 * time.Second
	case o.LogEvery < 0:
		o.LogEvery = 0
	}
}

func (s *Syslog) bind(ctx context.Context, r *config.Remote) error {
	if !r.TCP {
		sock, err := listenUDP(ctx, r.LocalIP, r.Port)
		if err == nil {
			s.udp = append(s.udp, sock)
		}
		return err
	}
	host := ""
	if r.LocalIP.IsValid() {
		host = r.LocalIP.String()
	}
	tl, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, fmt.Sprint(r.Port)))
	if err == nil {
		s.tcp = append(s.tcp, tl)
	}
	return err
}

// Addrs lists the bound addresses, UDP first.
func (s *Syslog) Addrs() []netip.AddrPort {
	var out []netip.AddrPort
	for _, u := range s.udp {
		out = append(out, u.addr)
	}
	for _, t := range s.tcp {
		out = append(out, t.Addr().(*net.TCPAddr).AddrPort())
	}
	return out
}

// Run serves until ctx ends; what a client sent before that is delivered.
func (s *Syslog) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	work, end := afterlife(ctx)
	defer end()
	for _, u := range s.udp {
		rd, err := newBatchReader(u.conn, s.o.MaxDatagram)
		if err != nil {
			s.closeSockets()
			wg.Wait()
			return err
		}
		wg.Go(func() { s.serveUDP(ctx, work, rd) })
		wg.Go(func() { u.watchLoss(ctx, s.lostMore) })
	}
	for _, tl := range s.tcp {
		wg.Go(func() { s.serveTCP(ctx, work, tl, &wg) })
	}
	<-ctx.Done()
	s.closeSockets()
	wg.Wait()
	return nil
}

// Close releases the sockets of a Syslog that will not be run.
func (s *Syslog) Close() { s.closeSockets() }

func (s *Syslog) closeSockets() {
	for _, u := range s.udp {
		u.conn.Close()
	}
	for _, t := range s.tcp {
		t.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Counts gives the numbers of messages delivered, of senders' messages or connections refused, of lines over the limit, and of datagrams that
// the kernel threw away.
func (s *Syslog) Counts() (received, refused, tooLong, lost uint64) {
	return s.received.Load(), s.refused.Load(), s.tooLong.Load(), s.lost.Load()
}

func (s *Syslog) serveUDP(ctx, work context.Context, rd batchReader) {
	failed := func(err error) { s.o.Log.Every("syslog receive", time.Minute).Error("Receiving syslog: %v", err) }
	readLoop(ctx, rd, failed, func(in []datagram) {
		now := time.Now()
		for i := range in {
			if !s.admit(in[i].src.Addr()) {
				continue
			}
			text := bytes.TrimSuffix(in[i].data, []byte{'\n'})
			s.deliver(work, in[i].src.Addr(), stripPriority(text), now)
		}
	})
}

func (s *Syslog) lostMore(more uint32) {
	n := s.lost.Add(uint64(more))
	s.o.Log.Every("syslog lost", time.Minute).Warn("%d datagrams of syslog senders were lost: the receive buffer was full.", n)
}

// admit applies the access list and logs a refusal.
func (s *Syslog) admit(src netip.Addr) bool {
	if s.access.admits(src) {
		return true
	}
	s.refused.Add(1)
	s.lines.add(&keys.Error{Code: keys.CodeNotAllowed}, src, time.Now())
	return false
}

func (s *Syslog) deliver(ctx context.Context, src netip.Addr, text []byte, at time.Time) {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	location := src.String()
	if n := event.MaxMessage - len("2::") - len(location); len(text) > n {
		text = text[:n]
	}
	s.received.Add(1)
	s.o.Deliver(ctx, event.NewEvent(event.Message{Kind: event.KindSyslog, Location: location, Text: string(text)}, at))
}

// stripPriority removes a leading "<...>".
func stripPriority(text []byte) []byte {
	if len(text) > 0 && text[0] == '<' {
		if i := bytes.IndexByte(text, '>'); i > 0 {
			return text[i+1:]
		}
	}
	return text
}

// accessList is the pair of lists that all syslog blocks share.
type accessList struct{ allowed, denied []config.AddressSpec }

func (a *accessList) admits(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	return !listed(a.denied, ip) && listed(a.allowed, ip)
}

// listed searches a list: the first entry whose address or network holds ip decides, a negated one against. Without such an entry the
// result is false, unless the last entry is negated.
func listed(list []config.AddressSpec, ip netip.Addr) bool {
	for i := range list {
		e := &list[i]
		if e.Any || e.Prefix.Bits() == 0 || e.Prefix.Contains(ip) {
			return !e.Negate
		}
	}
	return len(list) > 0 && list[len(list)-1].Negate
}
