package syslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output"
)

const dialTimeout = 10 * time.Second

// Options are what every destination of a manager shares.
type Options struct {
	Hostname string // full host name; cut at the first dot unless use_fqdn
	Version  string // product version in CEF headers
	Exact    bool   // leave out the optional texts that OSSEC leaves out by mistake (ossec_exact)
	Log      *olog.Log
}

// Sink is one <syslog_output> destination.
type Sink struct {
	cfg  config.SyslogOutput
	opts Options
	host string
	conn net.Conn
	gone chan struct{} // closed when the peer of a TCP connection has closed it
	tls  *tls.Config
}

var _ output.Sink = (*Sink)(nil)

// New makes the sink of one destination. Connecting is left to Send, so that a collector that is down at start is no error.
func New(cfg config.SyslogOutput, opts Options) (*Sink, error) {
	s := &Sink{cfg: cfg, opts: opts, host: opts.Hostname}
	if !cfg.UseFQDN {
		s.host, _, _ = strings.Cut(opts.Hostname, ".")
	}
	if cfg.TLS {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.Server, InsecureSkipVerify: !cfg.TLSVerify}
		if cfg.TLSCA != "" {
			pem, err := os.ReadFile(cfg.TLSCA)
			if err != nil {
				return nil, fmt.Errorf("syslog_output to %s: reading tls_ca: %w", cfg.Server, err)
			}
			s.tls.RootCAs = x509.NewCertPool()
			if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("syslog_output to %s: %s holds no certificate", cfg.Server, cfg.TLSCA)
			}
		}
		if !cfg.TLSVerify {
			opts.Log.Info("syslog_output TLS certificate verification disabled (tls_verify=no).")
		}
	}
	opts.Log.Info("Forwarding alerts via syslog (%s) to: '%s:%d'.", s.proto(), cfg.Server, cfg.Port)
	return s, nil
}

func (s *Sink) proto() string {
	switch {
	case s.cfg.TLS:
		return "tcp+tls"
	case s.cfg.TCP:
		return "tcp"
	}
	return "udp"
}

// Name tells the destinations of one manager apart.
func (s *Sink) Name() string {
	return fmt.Sprintf("syslog_output to '%s:%d'", s.cfg.Server, s.cfg.Port)
}

// Wants applies the filters of the block; all that are given must match. Alerts that are not logged are not forwarded.
func (s *Sink) Wants(a *event.Alert) bool {
	c := &s.cfg
	return a.Rule.Log && a.Rule.Level >= c.Level &&
		(len(c.RuleIDs) == 0 || slices.Contains(c.RuleIDs, a.Rule.ID)) &&
		(c.Group == nil || c.Group.MatchString(" "+a.Rule.Groups)) &&
		(c.Location == nil || c.Location.MatchString(string(alert.AppendHL(nil, a.Event))))
}

// Format gives the message of an alert as it goes into a UDP packet.
func (s *Sink) Format(a *event.Alert) []byte {
	v := newView(a, s.host, s.opts.Exact)
	switch s.cfg.Format {
	case "cef":
		return clip(formatCEF(v, s.opts.Version))
	case "json":
		b, truncated := formatJSON(v)
		if truncated {
			s.opts.Log.Warn("syslog_output JSON alert truncated; sending compact stub (rule %d).", a.Rule.ID)
		}
		return b
	case "splunk":
		return clip(formatSplunk(v))
	}
	return clip(formatDefault(v))
}

// clip is for locations and users so long that no room is left for the message.
func clip(b []byte) []byte { return b[:min(len(b), maxPayload)] }

// Send writes one message. A failed connection is opened anew and the message sent again once before it reports the error.
func (s *Sink) Send(ctx context.Context, a *event.Alert) error {
	msg := s.Format(a)
	if s.cfg.TCP || s.cfg.TLS {
		msg = append(bytes.ReplaceAll(bytes.ReplaceAll(msg, []byte("\r"), []byte(" ")), []byte("\n"), []byte(" ")), '\n')
	}
	err := s.write(ctx, msg)
	if err != nil {
		s.Close()
		s.opts.Log.Every(s.Name(), time.Minute).Warn("syslog_output send to '%s:%d' failed; reconnecting.", s.cfg.Server, s.cfg.Port)
		err = s.write(ctx, msg)
	}
	if err != nil {
		s.Close()
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

func (s *Sink) write(ctx context.Context, msg []byte) error {
	select {
	case <-s.gone: // what is written now would be lost without an error
		s.Close()
	default:
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	conn := s.conn // the function below may run after the sink was closed
	stop := context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Now()) })
	defer stop()
	if err := conn.SetWriteDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	_, err := conn.Write(msg)
	return err
}

// watch notices that the peer closes the connection; collectors send nothing else. It ends with the connection.
func watch(conn net.Conn, gone chan<- struct{}) {
	io.Copy(io.Discard, conn)
	close(gone)
}

func (s *Sink) connect(ctx context.Context) error {
	network := "udp"
	if s.cfg.TCP || s.cfg.TLS {
		network = "tcp"
	}
	addr := net.JoinHostPort(s.cfg.Server, strconv.Itoa(s.cfg.Port))
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	var err error
	if s.tls != nil {
		s.conn, err = (&tls.Dialer{NetDialer: dialer, Config: s.tls}).DialContext(ctx, network, addr)
	} else {
		s.conn, err = dialer.DialContext(ctx, network, addr)
	}
	if err != nil {
		s.conn = nil
		s.opts.Log.Every("dial "+s.Name(), time.Minute).Code(1216, "ERROR", "Unable to connect to '%s'.", s.cfg.Server)
		return fmt.Errorf("connecting to %s: %w", addr, err)
	}
	s.gone = nil
	if network == "tcp" {
		s.gone = make(chan struct{})
		go watch(s.conn, s.gone)
	}
	return nil
}

// Close ends the connection.
func (s *Sink) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	if s.gone != nil {
		<-s.gone
	}
	s.conn, s.gone = nil, nil
	return err
}
