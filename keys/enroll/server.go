package enroll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// Defaults of Server.
const (
	DefaultTimeout        = 30 * time.Second
	DefaultWorkers        = 8
	DefaultMaxConnections = 256
	DefaultGrace          = 60 * time.Second
	DefaultErrorDelay     = time.Second
)

// Server answers agents that ask for a key. Fields must not change while Serve runs; zero durations and numbers mean the defaults.
type Server struct {
	TLS       *tls.Config
	Registrar *Registrar
	Password  *string   // what agents must send; nil = nothing
	Log       *olog.Log // lines of ossec-authd

	Timeout        time.Duration // for one connection, from accept to close
	ErrorDelay     time.Duration // before an error goes out, to slow guessing; negative = none
	Grace          time.Duration // how long Serve waits for connections when its context ends
	Workers        int           // requests that are carried out at a time
	MaxConnections int           // connections open at a time; from one address a quarter of that

	// OnAgent, if not nil, is called after an agent's key was written and before the agent gets it.
	OnAgent func(keys.Entry)
}

// Serve answers connections of l until ctx ends, closes l, and waits for the connections that are open. It returns nil when ctx ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	r := &serving{Server: s, slots: make(chan struct{}, or(s.MaxConnections, DefaultMaxConnections)), work: make(chan struct{}, or(s.Workers, DefaultWorkers)), from: map[netip.Addr]int{}}
	connCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err := r.accept(connCtx, l)
	l.Close()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	grace := time.NewTimer(or(s.Grace, DefaultGrace))
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		cancel()
		<-done
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("enrolment listener: %w", err)
}

// serving is one call of Serve.
type serving struct {
	*Server
	slots chan struct{}
	work  chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex
	from  map[netip.Addr]int
	lines [lineKinds]lineBudget
}

// Kinds of lines that strangers cause. Each kind has its budget, so that a storm leaves traces but does not fill the disk.
const (
	lineConnection = iota
	linePassword
	lineRequest
	lineName
	lineRefusal
	lineCertificate
	lineKinds
)

const (
	linePeriod = 10 * time.Second
	lineBurst  = 100 // lines of a kind in a period
)

type lineBudget struct {
	since   time.Time
	written int
}

// line gives the log for a line of a kind, nil (which discards) when the budget is spent; the last line before that says so.
func (r *serving) line(kind int) *olog.Log {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &r.lines[kind]
	if now.Sub(b.since) >= linePeriod {
		*b = lineBudget{since: now}
	}
	b.written++
	switch {
	case b.written == lineBurst:
		r.Log.Warn("Many enrolment requests: further lines like the next one are left out for up to %d seconds.", int(linePeriod.Seconds()))
	case b.written > lineBurst:
		return nil
	}
	return r.Log
}

func or[T ~int | ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func (r *serving) accept(ctx context.Context, l net.Listener) error {
	wait := time.Millisecond
	for {
		conn, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors, or a connection that was gone before it was taken: try again, not in a tight loop.
			r.Log.Every("accept", time.Minute).Error("Unable to accept a connection: %v", err)
			if !sleep(ctx, wait) {
				return err
			}
			wait = min(2*wait, time.Second)
			continue
		}
		wait = time.Millisecond
		src := address(conn)
		if !r.enter(src) {
			r.Log.Every("queue", time.Second).Error("Unable to queue auth connection from %s", src)
			conn.Close()
			continue
		}
		r.wg.Go(func() {
			defer r.leave(src)
			r.serve(ctx, conn, src)
		})
	}
}

func address(conn net.Conn) netip.Addr {
	a, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}

func (r *serving) enter(src netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from[src] >= max(1, cap(r.slots)/4) {
		return false
	}
	select {
	case r.slots <- struct{}{}:
		r.from[src]++
		return true
	default:
		return false
	}
}

func (r *serving) leave(src netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	<-r.slots
	if r.from[src]--; r.from[src] == 0 {
		delete(r.from, src)
	}
}

// serve answers one connection. It closes without a TLS farewell, as agents know it.
func (r *serving) serve(ctx context.Context, raw net.Conn, src netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, or(r.Timeout, DefaultTimeout))
	defer cancel()
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // the connection is closed next
	defer stop()
	r.Log.Debug2("Connection from %s taken, TLS begins.", src)
	conn := tls.Server(raw, r.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		r.notAgreed(ctx, raw, src, err)
		return
	}
	r.line(lineConnection).Info("New connection from %s", src)
	if r.Log.Debugging(1) {
		r.Log.Debug("Connection from %s: %s", src, described(conn.ConnectionState()))
	}
	request, err := read(conn)
	if err != nil && len(request) == 0 {
		r.failed(ctx, "SSL read (unable to receive message)", src, err)
		return
	}
	r.Log.Debug("Connection from %s: request of %d bytes.", src, len(request))
	name, err := ParseRequest(request, r.Password)
	switch {
	case errors.Is(err, ErrPassword):
		r.line(linePassword).Error("Invalid password provided by %s. Closing connection.", src)
		sleep(ctx, r.delay())
	case err != nil:
		r.line(lineRequest).Error("Invalid request for new agent from: %s", src)
		r.Log.Debug("Connection from %s: %v", src, err)
		sleep(ctx, r.delay())
	default:
		r.line(lineName).Info("Received request for a new agent (%s) from: %s", name, src)
		r.enrol(ctx, conn, name, src)
	}
}

// notAgreed logs a TLS handshake that failed. Where certificates are asked for, the usual reason is the agent's, and the operator has to know whose.
func (r *serving) notAgreed(ctx context.Context, raw net.Conn, src netip.Addr, err error) {
	var bad *tls.CertificateVerificationError
	if r.TLS.ClientAuth < tls.RequireAnyClientCert || !errors.As(err, &bad) && !strings.Contains(err.Error(), "client didn't provide a certificate") {
		r.failed(ctx, "SSL Error (-1)", src, err)
		return
	}
	r.line(lineCertificate).Error("SSL Error (-1): agent at %s has no certificate of the authority in ssl_agent_ca (-v): %v", src, err)
	r.hearOut(raw)
}

// hearOut reads what a refused agent has sent already (in TLS 1.3 its request comes with the certificate), so that closing the connection does not take the
// reason away from it.
func (r *serving) hearOut(raw net.Conn) {
	if half, ok := raw.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if raw.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = io.CopyN(io.Discard, raw, 2*MaxRequest) // whatever comes: the connection is closed next
	}
}

// described names what a handshake agreed on.
func described(s tls.ConnectionState) string {
	text := tls.VersionName(s.Version) + ", " + tls.CipherSuiteName(s.CipherSuite)
	if len(s.PeerCertificates) > 0 {
		c := s.PeerCertificates[0]
		text += fmt.Sprintf(", certificate of '%s' by '%s', good until %s", c.Subject, c.Issuer, c.NotAfter.UTC().Format(time.DateOnly))
	}
	return text + "."
}

func (r *serving) failed(ctx context.Context, text string, src netip.Addr, err error) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		text = fmt.Sprintf("SSL I/O timed out after %d seconds.", int(or(r.Timeout, DefaultTimeout).Seconds()))
	}
	log := r.Log.Every("tls "+src.String(), time.Second)
	log.Error("%s", text)
	r.Log.Debug("Connection from %s: %v", src, err)
}

func (r *serving) delay() time.Duration {
	if r.ErrorDelay < 0 {
		return 0
	}
	return or(r.ErrorDelay, DefaultErrorDelay)
}

// enrol carries out a request and writes the answer, each line a TLS record of its own.
func (r *serving) enrol(ctx context.Context, conn *tls.Conn, name string, src netip.Addr) {
	select {
	case r.work <- struct{}{}:
	case <-ctx.Done():
		return
	}
	e, err := r.Registrar.Enrol(name, src)
	<-r.work
	if err != nil {
		r.refuse(ctx, conn, err)
		return
	}
	r.Log.Info("Agent key generated for %s (requested by %s)", e.Name, src)
	if e.Name != name {
		r.Log.Debug("The name %s is taken: the agent at %s is called %s.", name, src, e.Name)
	}
	r.Log.Debug("Agent %s has id %s and address %s in client.keys.", e.Name, e.ID, e.IP)
	if r.OnAgent != nil {
		r.OnAgent(e)
	}
	if _, err := conn.Write([]byte(FormatKey(e))); err != nil {
		r.Log.Error("SSL write error: agent %s (%s) has a key but did not get it: %v", e.Name, e.ID, err)
		return
	}
	r.Log.Info("Agent key created for %s (requested by %s)", e.Name, src)
}

func (r *serving) refuse(ctx context.Context, conn *tls.Conn, err error) {
	var no *Refusal
	if !errors.As(err, &no) {
		no = &Refusal{Reply: "Internal manager error adding agent", Log: "Unable to add agent (internal error)", Err: err}
	}
	r.line(lineRefusal).Error("%s", no.Log)
	if no.Err != nil {
		r.Log.Error("%v", no.Err)
	}
	for _, line := range []string{"ERROR: " + no.Reply + "\n\n", "ERROR: Unable to add agent.\n\n"} {
		if _, err := conn.Write([]byte(line)); err != nil {
			return
		}
	}
	sleep(ctx, r.delay())
}

// read takes a request of any number of records.
func read(conn *tls.Conn) ([]byte, error) {
	buf := make([]byte, 0, MaxRequest)
	for !complete(buf) {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// sleep waits, and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
