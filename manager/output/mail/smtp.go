package mail

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
)

// Envelope says who gets a mail. A refused required recipient fails the mail, a refused optional one is logged.
type Envelope struct {
	From               string
	Required, Optional []string
}

// Transport delivers mails. An error means that the mail did not get through; when it wraps ErrRefused, the same mail is refused again.
type Transport interface {
	Deliver(ctx context.Context, env Envelope, data []byte) error
	String() string // the server, for messages
}

// ErrRefused is wrapped by errors that report a permanent refusal by the server (a reply of 500 or more).
var ErrRefused = errors.New("refused by the mail server")

// Time limits of one delivery.
const (
	dialTimeout = 30 * time.Second
	mailTimeout = 2 * time.Minute
)

// maxCommand is the length of a command line in bytes, without its end.
const maxCommand = 126

// SMTP delivers to a mail server. The zero value of every field but Host is usable.
type SMTP struct {
	Host string // name or address
	Port int    // 0 = 465 with TLS, 587 with a user, else 25
	Helo string // name to greet with; "" = notify.ossec.net

	Auth           bool
	User, Password string
	TLS            bool // TLS from the first byte
	NoVerify       bool // do not check the server's certificate
	Lenient        bool // a missing answer after the mail is no error (maild.strict_checking=0)

	Log  *olog.Log
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil = net.Dialer
}

func (s *SMTP) String() string { return s.Host }

func (s *SMTP) addr() string {
	port := s.Port
	switch {
	case port != 0:
	case s.TLS:
		port = 465
	case s.Auth:
		port = 587
	default:
		port = 25
	}
	return net.JoinHostPort(s.Host, strconv.Itoa(port))
}

// Deliver sends one mail.
func (s *SMTP) Deliver(ctx context.Context, env Envelope, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	dial := s.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	conn, err := dial(ctx, "tcp", s.addr())
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", s.addr(), err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	d := dialogue{smtp: s, conn: conn}
	if err := d.run(ctx, env, data); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return fmt.Errorf("mail server %s: %w", s.addr(), err)
	}
	return nil
}

func (s *SMTP) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.NoVerify}
}

// dialogue is one connection.
type dialogue struct {
	smtp *SMTP
	conn net.Conn
	text *textproto.Conn
}

func (d *dialogue) run(ctx context.Context, env Envelope, data []byte) error {
	if err := d.greet(ctx); err != nil {
		return err
	}
	if err := d.expect(250, "Mail From: <%s>", env.From); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	accepted := 0
	for _, to := range env.Required {
		if err := d.expect(250, "Rcpt To: <%s>", to); err != nil {
			return fmt.Errorf("recipient %s: %w", to, err)
		}
		accepted++
	}
	for _, to := range env.Optional {
		if err := d.expect(250, "Rcpt To: <%s>", to); err != nil {
			d.smtp.Log.Every("rcpt "+to, time.Minute).Warn("recipient %s: %v", to, err)
			continue
		}
		accepted++
	}
	if accepted == 0 {
		return fmt.Errorf("%w: no recipient was accepted", ErrRefused)
	}
	if err := d.expect(354, "DATA"); err != nil {
		return err
	}
	w := d.text.DotWriter()
	if _, err := w.Write(data); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := d.reply(250); err != nil {
		if d.smtp.Lenient && !errors.Is(err, ErrRefused) {
			return nil
		}
		return err
	}
	d.expect(221, "QUIT") // the mail is delivered already
	return nil
}

// greet goes up to the point where a mail can be given.
func (d *dialogue) greet(ctx context.Context) error {
	s := d.smtp
	if s.TLS {
		if err := d.secure(ctx); err != nil {
			return err
		}
	}
	d.text = textproto.NewConn(d.conn)
	if err := d.reply(220); err != nil {
		return err
	}
	helo := s.Helo
	if helo == "" {
		helo = "notify.ossec.net"
	}
	if !s.Auth && !s.TLS {
		return d.expect(250, "Helo %s", helo)
	}
	offers, err := d.extensions(helo)
	if err != nil {
		return err
	}
	if !s.TLS {
		if _, ok := offers["STARTTLS"]; !ok {
			return errors.New("the server offers no TLS; a password is not sent without it")
		}
		if err := d.expect(220, "STARTTLS"); err != nil {
			return err
		}
		if err := d.secure(ctx); err != nil {
			return err
		}
		d.text = textproto.NewConn(d.conn)
		if offers, err = d.extensions(helo); err != nil {
			return err
		}
	}
	if s.Auth {
		return d.login(offers["AUTH"])
	}
	return nil
}

func (d *dialogue) secure(ctx context.Context) error {
	c := tls.Client(d.conn, d.smtp.tlsConfig())
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	d.conn = c
	return nil
}

// extensions greets with EHLO and returns what the server offers, in upper case.
func (d *dialogue) extensions(helo string) (map[string]string, error) {
	if err := d.send("EHLO %s", helo); err != nil {
		return nil, err
	}
	_, text, err := d.text.ReadResponse(250)
	if err != nil {
		return nil, refusal(err)
	}
	offers := map[string]string{}
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			name, params, _ := strings.Cut(line, " ")
			offers[strings.ToUpper(name)] = strings.ToUpper(params)
		}
	}
	return offers, nil
}

// login authenticates with what the server offers; the connection is encrypted here.
func (d *dialogue) login(mechanisms string) error {
	s := d.smtp
	b64 := base64.StdEncoding.EncodeToString
	offered := " " + mechanisms + " "
	switch {
	case strings.Contains(offered, " PLAIN "):
		if err := d.expect(235, "AUTH PLAIN %s", b64([]byte("\x00"+s.User+"\x00"+s.Password))); err != nil {
			return fmt.Errorf("authentication of %s: %w", s.User, err)
		}
	case strings.Contains(offered, " LOGIN "):
		for _, step := range [...]struct {
			code int
			text string
		}{{334, "AUTH LOGIN"}, {334, b64([]byte(s.User))}, {235, b64([]byte(s.Password))}} {
			if err := d.expect(step.code, "%s", step.text); err != nil {
				return fmt.Errorf("authentication of %s: %w", s.User, err)
			}
		}
	default:
		return fmt.Errorf("the server offers neither AUTH PLAIN nor LOGIN (%q)", mechanisms)
	}
	return nil
}

func (d *dialogue) send(format string, args ...any) error {
	line := clean(fmt.Sprintf(format, args...))
	if !strings.HasPrefix(line, "AUTH") && len(line) > maxCommand && strings.HasSuffix(line, ">") {
		return fmt.Errorf("%w: address too long: %s", ErrRefused, line)
	}
	return d.text.PrintfLine("%s", line)
}

func (d *dialogue) expect(code int, format string, args ...any) error {
	if err := d.send(format, args...); err != nil {
		return err
	}
	return d.reply(code)
}

func (d *dialogue) reply(code int) error {
	_, _, err := d.text.ReadResponse(code)
	return refusal(err)
}

// refusal marks replies of 500 and more.
func refusal(err error) error {
	if te := (*textproto.Error)(nil); errors.As(err, &te) && te.Code >= 500 {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}
