// Package agentauth is the command agent-auth: it asks a manager for this agent's key over TLS and writes etc/client.keys (spec protocol.md,
// section 20). Standard output is OSSEC's, line by line, because installers read it.
package agentauth

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	ver "github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/enroll"
)

const (
	defaultPort = 1515
	timeout     = 60 * time.Second // for the whole exchange; the manager gives up after 30
	maxReply    = 4096
)

// Env is the world of one run.
type Env struct {
	Root     string   // install root, changed by -D
	Args     []string // without the program's name
	Prog     string   // name in messages about options; "" = agent-auth
	Stdout   io.Writer
	Stderr   io.Writer
	Hostname func() (string, error) // nil = os.Hostname
}

type command struct {
	Env
	logger                *olog.Logger
	log                   *olog.Log
	manager, name         string
	port                  int
	ca, cert, key, pwFile string
	password              string
	test                  bool
	pool                  *x509.CertPool // nil: do not verify
	raw                   *watched
}

// errSaid ends a run whose reason was printed already.
var errSaid = errors.New("reason was printed")

// Run does what the arguments say; it returns 0 when the agent has a key, else 1.
func Run(ctx context.Context, env Env) int {
	if env.Hostname == nil {
		env.Hostname = os.Hostname
	}
	if env.Prog == "" {
		env.Prog = "agent-auth"
	}
	c := &command{Env: env, port: defaultPort, logger: olog.New("", env.Stderr)}
	c.log = c.logger.Prog("ossec-authd")
	if done, code := c.parse(); done {
		return code
	}
	if err := c.run(ctx); err != nil {
		if !errors.Is(err, errSaid) {
			c.log.Error("%v", err)
		}
		return 1
	}
	return 0
}

func (c *command) parse() (done bool, code int) {
	debug := 0
	opts, _, err := getopt.Parse(c.Args, "Vhdtg:D:m:p:A:c:v:x:k:P:")
	for _, o := range opts {
		switch o.Flag {
		case 'h':
			c.help()
			return true, 0
		case 'V':
			fmt.Fprint(c.Stderr, ver.Banner())
			return true, 0
		case 't':
			c.test = true
		case 'd':
			debug++
		case 'D':
			c.Root = o.Value
		case 'm':
			c.manager = o.Value
		case 'p':
			port, err := strconv.Atoi(o.Value)
			if err != nil || port < 1 || port > 65535 {
				c.log.Text("Invalid port: %s", o.Value)
				return true, 1
			}
			c.port = port
		case 'A':
			c.name = o.Value
		case 'v':
			c.ca = o.Value
		case 'x':
			c.cert = o.Value
		case 'k':
			c.key = o.Value
		case 'P':
			c.pwFile = o.Value
		}
	}
	if err != nil {
		fmt.Fprintf(c.Stderr, "%s: %v\n", c.Prog, err)
		c.help()
		return true, 1
	}
	c.logger.SetDebug(debug)
	return c.test, 0
}

func (c *command) help() {
	fmt.Fprint(c.Stderr, ` 
agent-auth (compatible with OSSEC HIDS v4.2.0): asks a manager for this agent's key and writes etc/client.keys.

  -m <manager>  address or name of the manager
  -p <port>     its port (default 1515)
  -A <name>     name of this agent (default: the host's name)
  -P <file>     file whose first line is the password
  -v <file>     certificate of an authority (or the manager's own): verify the manager with it
  -x <file>     this agent's certificate
  -k <file>     key of that certificate
  -D <dir>      install root
  -d            show each step
  -g <group>    ignored, for old command lines; so is -c <ciphers>
  -t            check the arguments only
  -h, -V        this help, version
`)
}

func (c *command) run(ctx context.Context) error {
	c.log.Info("Started (pid: %d).", os.Getpid())
	if c.manager == "" {
		c.log.Error("Manager IP not set.")
		return errSaid
	}
	if err := c.setPassword(); err != nil {
		return err
	}
	cfg, err := c.tlsConfig()
	if err != nil {
		return err
	}
	if c.name == "" {
		if c.name, err = c.Hostname(); err != nil {
			return fmt.Errorf("finding this host's name (give one with -A): %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := c.connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // the connection is closed next
	defer stop()
	return c.ask(conn)
}

func (c *command) setPassword() error {
	if c.pwFile == "" {
		fmt.Fprintln(c.Stdout, "WARN: No authentication password provided. Insecure mode started.")
		return nil
	}
	f, err := os.Open(c.pwFile)
	if err != nil {
		fmt.Fprintf(c.Stderr, "Cannot open %s: %s\n", c.pwFile, reason(err))
		return errSaid
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, enroll.MaxRequest)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: %w", c.pwFile, err)
	}
	if c.password = strings.TrimRight(line, "\r\n"); c.password == "" {
		return fmt.Errorf("the first line of %s is empty", c.pwFile)
	}
	fmt.Fprintln(c.Stdout, "INFO: Using specified password.")
	return nil
}

// reason gives the system's words with a capital letter, as the C library does.
func reason(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	s := no.Error()
	return strings.ToUpper(s[:1]) + s[1:]
}

func (c *command) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // verify does it before anything is sent; without -v nothing does, as ever
	if c.cert != "" || c.key != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return nil, fmt.Errorf("reading certificate %s and key %s: %w", c.cert, c.key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if c.ca == "" {
		c.log.Warn("The manager's certificate is not verified; use -v to verify it.")
		return cfg, nil
	}
	var err error
	c.pool, err = enroll.Authorities(c.ca)
	return cfg, err
}

func (c *command) connect(ctx context.Context, cfg *tls.Config) (*tls.Conn, error) {
	addr := net.JoinHostPort(c.manager, strconv.Itoa(c.port))
	shown := fmt.Sprintf("%s:%d", c.manager, c.port)
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		c.log.Text("Unable to connect to %s", shown)
		c.log.Debug("%v", err)
		return nil, errSaid
	}
	cfg.ServerName = c.manager
	c.raw = &watched{Conn: raw}
	conn := tls.Client(c.raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("SSL error (%w)", err)
	}
	fmt.Fprintf(c.Stdout, "INFO: Connected to %s\n", shown)
	state := conn.ConnectionState()
	c.log.Debug("%s, %s, at address %s.", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), raw.RemoteAddr())
	for _, cert := range state.PeerCertificates {
		c.log.Debug("The manager shows a certificate of '%s' by '%s', good until %s.", cert.Subject, cert.Issuer, cert.NotAfter.UTC().Format(time.DateOnly))
	}
	c.log.Debug("This agent shows %d certificate(s), if the manager asks for one.", len(cfg.Certificates))
	if c.pool == nil {
		return conn, nil
	}
	fmt.Fprintln(c.Stdout, "INFO: Verifying manager's certificate")
	if err := verify(conn.ConnectionState().PeerCertificates, c.pool, c.manager); err != nil {
		raw.Close()
		return nil, err
	}
	return conn, nil
}

// ask sends the request and reads lines until one gives the key.
func (c *command) ask(conn *tls.Conn) error {
	fmt.Fprintf(c.Stdout, "INFO: Using agent name as: %s\n", c.name)
	if strings.ContainsAny(c.name+c.password, "\n\x00") {
		return errors.New("name or password with a line break")
	}
	c.log.Debug("Asking for the key of '%s', password: %t.", c.name, c.password != "")
	if _, err := io.WriteString(conn, enroll.FormatRequest(c.name, c.password)); err != nil {
		return fmt.Errorf("SSL write error (unable to send message): %w", err)
	}
	fmt.Fprintln(c.Stdout, "INFO: Send request to manager. Waiting for reply.")
	sc := bufio.NewScanner(conn)
	sc.Buffer(nil, maxReply)
	for sc.Scan() {
		line := strings.TrimRight(sc.Text(), "\r\x00")
		if strings.HasPrefix(line, "ERROR") {
			fmt.Fprintf(c.Stdout, "%s (from manager)\n", printable(line))
			continue
		}
		e, ok, err := enroll.ParseReply(line)
		if !ok {
			continue
		}
		return c.accept(e, err)
	}
	c.turnedAway(sc.Err())
	if sc.Err() != nil || c.raw.ended {
		fmt.Fprintln(c.Stdout, "ERROR: SSL read (unable to receive message)")
	} else {
		fmt.Fprintln(c.Stdout, "ERROR: Connection closed by server before key creation.")
	}
	return errSaid
}

// turnedAway says when the manager ended the connection for this agent's certificate, which in TLS 1.3 shows only after the request was sent.
func (c *command) turnedAway(err error) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		c.log.Debug("Reading the reply: %v", err)
		return
	}
	if c.cert == "" {
		c.log.Error("The manager wants a certificate (-x, -k): %v", op.Err)
	} else {
		c.log.Error("The manager does not take the certificate %s: %v", c.cert, op.Err)
	}
}

// watched notes whether the connection ended under TLS, without its farewell, which crypto/tls does not tell from a farewell.
type watched struct {
	net.Conn
	ended bool
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.ended = true
	}
	return n, err
}

// printable keeps a manager from writing control sequences to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

func (c *command) accept(e keys.Entry, err error) error {
	switch {
	case errors.Is(err, enroll.ErrReplyForm):
		fmt.Fprintln(c.Stdout, "ERROR: Invalid key received. Closing connection.")
		return errSaid
	case err != nil:
		fmt.Fprintln(c.Stdout, "ERROR: Invalid key received (2). Closing connection.")
		return errSaid
	}
	path := filepath.Join(c.Root, "etc", "client.keys")
	if err := keys.Edit(path, 0o640, func(f *keys.File) error { f.SetOnly(e); return nil }); err != nil {
		return err
	}
	c.log.Debug("Key of agent %s, id %s, address %s, written to %s.", e.Name, e.ID, e.IP, path)
	fmt.Fprintln(c.Stdout, "INFO: Valid key created. Finished.")
	return nil
}

// verify checks the chain, then the name. Unlike Go's own check it falls back to the common name, which certificates made after
// OSSEC's instructions rely on.
func verify(chain []*x509.Certificate, pool *x509.CertPool, host string) error {
	if len(chain) == 0 {
		return errors.New("the manager shows no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("the manager's certificate is not of this authority: %w", err)
	}
	if !nameMatches(chain[0], host) {
		return fmt.Errorf("the manager's certificate is not for %q", host)
	}
	return nil
}

func nameMatches(cert *x509.Certificate, host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		for _, have := range cert.IPAddresses {
			if have.Equal(ip) {
				return true
			}
		}
		return false
	}
	for _, have := range append(cert.DNSNames, cert.Subject.CommonName) {
		if labelsMatch(have, host) {
			return true
		}
	}
	return false
}

// labelsMatch compares label by label without case; the pattern's first label may be "*". Labels begin with a letter.
func labelsMatch(pattern, host string) bool {
	p, h := strings.Split(strings.TrimSuffix(pattern, "."), "."), strings.Split(strings.TrimSuffix(host, "."), ".")
	if len(p) != len(h) {
		return false
	}
	for i := range p {
		if h[i] == "" || h[i][0]|0x20 < 'a' || h[i][0]|0x20 > 'z' {
			return false
		}
		if p[i] == "*" && i == 0 && len(p) > 2 {
			continue
		}
		if !strings.EqualFold(p[i], h[i]) {
			return false
		}
	}
	return true
}
