package mail

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// backend is a real SMTP server that wants a password.
type backend struct{ mails chan received }

type received struct {
	user string
	to   []string
	data string
}

func (b *backend) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{b: b}, nil }

type session struct {
	b *backend
	m received
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "u" || password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.m.user = user
		return nil
	}), nil
}
func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.m.user == "" {
		return smtp.ErrAuthRequired
	}
	return nil
}
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "gone@") {
		return &smtp.SMTPError{Code: 550, Message: "no such user"}
	}
	s.m.to = append(s.m.to, to)
	return nil
}
func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.m.data = string(b)
	s.b.mails <- s.m
	return err
}
func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// mailServer listens on the loopback address, with TLS from the first byte or STARTTLS.
func mailServer(t *testing.T, implicit, offerTLS bool) (*backend, int) {
	t.Helper()
	b := &backend{mails: make(chan received, 10)}
	s := smtp.NewServer(b)
	s.Domain, s.AllowInsecureAuth = "localhost", true
	cfg := &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	if offerTLS && !implicit {
		s.TLSConfig = cfg
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if implicit {
		l = tls.NewListener(l, cfg)
	}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-done })
	return b, port
}

func TestPasswordTravelsOnlyEncrypted(t *testing.T) {
	for _, c := range []struct {
		name               string
		implicit, offer    bool
		tls, verify        bool
		password           string
		want               string // part of the error; "" = delivered
		to, alsoTo, toList string
	}{
		{name: "STARTTLS", offer: true, password: "secret", to: "a@x", alsoTo: "gone@x", toList: "a@x"},
		{name: "TLS", implicit: true, tls: true, password: "secret", to: "a@x", alsoTo: "b@x", toList: "a@x b@x"},
		{name: "no TLS offered", password: "secret", to: "a@x", want: "offers no TLS"},
		{name: "certificate of a stranger", offer: true, verify: true, password: "secret", to: "a@x", want: "certificate"},
		{name: "wrong password", offer: true, password: "guess", to: "a@x", want: "authentication of u"},
		{name: "refused recipient", offer: true, password: "secret", to: "gone@x", want: "recipient gone@x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, port := mailServer(t, c.implicit, c.offer)
			s := &SMTP{Host: "127.0.0.1", Port: port, Auth: true, User: "u", Password: c.password, TLS: c.tls, NoVerify: !c.verify}
			env := Envelope{From: "o@x", Required: []string{c.to}}
			if c.alsoTo != "" {
				env.Optional = []string{c.alsoTo}
			}
			text := "Subject: s\r\n\r\n.dot\r\n..\r\nend\r\n"
			err := s.Deliver(t.Context(), env, []byte(text))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := <-b.mails
			if m.data != text || strings.Join(m.to, " ") != c.toList {
				t.Errorf("got %q for %q", m.data, m.to)
			}
		})
	}
}

func TestRefusalIsTold(t *testing.T) {
	_, port := mailServer(t, false, true)
	s := &SMTP{Host: "127.0.0.1", Port: port}
	err := s.Deliver(t.Context(), Envelope{From: "o@x", Required: []string{"a@x"}}, []byte("x"))
	if !errors.Is(err, ErrRefused) {
		t.Errorf("error %v", err)
	}
	s.Port = 1
	if err := s.Deliver(t.Context(), Envelope{}, nil); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("error %v", err)
	}
}

func TestSilentServerDoesNotHoldUsForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s := &SMTP{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	if err := s.Deliver(ctx, Envelope{From: "o@x", Required: []string{"a@x"}}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestProgramGetsTheMailAndNoShell(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	script := filepath.Join(dir, "program")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s\\n' \"$@\" > \""+out+"\"\ncat >> \""+out+"\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := NewProgram(script + " -t $(reboot);")
	if err := p.Deliver(t.Context(), Envelope{}, []byte("To: x\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil || string(got) != "-t\n$(reboot);\nTo: x\n\nbody\n" {
		t.Errorf("%q, %v", got, err)
	}
	if args := NewProgram("/usr/sbin/sendmail").Args; strings.Join(args, " ") != "-t -i" {
		t.Errorf("sendmail gets %q", args)
	}
	if err := NewProgram("/bin/false").Deliver(t.Context(), Envelope{}, nil); err == nil {
		t.Error("a failing program is no error")
	}
}

func TestEncodedMailReadsAsItWas(t *testing.T) {
	m := &message{from: "o@x", to: []string{"a@x"}, subject: "OSSEC Alert - h - Level 7 - Übergröße → 日本\r\nBcc: evil@x",
		body: "\r\nlog é " + strings.Repeat("x", 2000) + "\r\nb\xffd\r\n"}
	raw := m.bytes(time.Unix(0, 0))
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > maxLine {
			t.Errorf("line of %d bytes", len(line))
		}
	}
	msg, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject")); err != nil || got != "OSSEC Alert - h - Level 7 - Übergröße → 日本 Bcc: evil@x" {
		t.Errorf("subject %q, %v", got, err)
	}
	if msg.Header.Get("Bcc") != "" {
		t.Error("a text added a header")
	}
	body, err := io.ReadAll(quotedprintable.NewReader(msg.Body))
	if want := strings.ReplaceAll(m.body, "\xff", "\uFFFD"); err != nil || string(body) != want {
		t.Errorf("body %q, %v", body, err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("subject", "body\r\n", "a@x")
	f.Add("é\r\nX: y", "\x00\xff\r\n.\r\n", "a@x")
	f.Fuzz(func(t *testing.T, subject, body, to string) {
		m := &message{from: "o@x", to: []string{"a@x"}, subject: subject, body: body, again: true}
		m.to = append(m.to, safe([]string{to})...)
		msg, err := netmail.ReadMessage(bytes.NewReader(m.bytes(time.Unix(0, 0))))
		if err != nil {
			t.Fatal(err)
		}
		for name := range msg.Header {
			switch name {
			case "To", "From", "Date", "Subject", "Mime-Version", "Content-Type", "Content-Transfer-Encoding":
			default:
				t.Errorf("header %q", name)
			}
		}
	})
}
