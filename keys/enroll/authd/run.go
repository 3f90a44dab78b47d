// Package authd is the command ossec-authd: the enrolment server of package enroll with OSSEC's options (spec protocol.md, section 19).
package authd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vedette-hids/vedette/internal/getopt"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/pidfile"
	ver "github.com/vedette-hids/vedette/internal/version"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/enroll"
	"github.com/vedette-hids/vedette/keys/manageagents"
)

const defaultPort = 1515

// Options are those of ossec-authd, and -F of Vedette.
const Options = "Vhdtfinu:g:D:p:c:v:x:k:F:"

// Env is the world of one run.
type Env struct {
	Root   string   // install root, changed by -D
	Args   []string // without the program's name
	Prog   string   // name in messages about options; "" = ossec-authd
	Stderr io.Writer
	Log    *olog.Logger // nil: logs/ossec.log below the root, and Stderr with -d or -f

	// Server limits of internal_options.conf: authd.worker_pool and authd.max_connections; 0 = default.
	Workers, MaxConnections int

	Debug int // debug level without -d: authd.debug

	// Drop gives up root for a user and group, after the port is bound and the certificate read. nil = do not.
	Drop func(user, group string) error
	// Ready, if not nil, gets the address that is listened on.
	Ready func(net.Addr)
}

type command struct {
	Env
	log                 *olog.Log
	port                int
	fixedIP, noPassword bool
	foreground, test    bool
	debug               int
	user, group         string
	ca, cert, key       string
	force               *time.Duration
}

// Run serves until ctx ends and returns the exit code.
func Run(ctx context.Context, env Env) int {
	c := &command{Env: env, port: defaultPort, user: "ossec", group: "ossec"}
	if done, code := c.parse(); done {
		return code
	}
	logger := c.Log
	if logger == nil {
		var also io.Writer
		if c.debug > 0 || c.foreground {
			also = c.Stderr
		}
		logger = olog.New(filepath.Join(c.Root, "logs", "ossec.log"), also)
	}
	logger.SetDebug(c.debug)
	logger.SetLevels(map[string]int{"ossec-authd": c.Debug})
	c.log = logger.Prog("ossec-authd")
	if err := c.serve(ctx); err != nil {
		if !errors.Is(err, errSaid) {
			c.log.Error("%v", err)
		}
		return 1
	}
	return 0
}

// errSaid ends a run whose reason was logged already.
var errSaid = errors.New("reason was logged")

func (c *command) parse() (done bool, code int) {
	if c.Prog == "" {
		c.Prog = "ossec-authd"
	}
	early := olog.New("", c.Stderr).Prog("ossec-authd")
	opts, _, err := getopt.Parse(c.Args, Options)
	for _, o := range opts {
		switch o.Flag {
		case 'h':
			c.help()
			return true, 0
		case 'V':
			fmt.Fprint(c.Stderr, ver.Banner())
			return true, 0
		case 'd':
			c.debug++
		case 't':
			c.test = true
		case 'f':
			c.foreground = true
		case 'i':
			c.fixedIP = true
		case 'n':
			c.noPassword = true
		case 'p':
			port, err := strconv.Atoi(o.Value)
			if err != nil || port < 0 || port > 65535 {
				early.Text("Invalid port: %s", o.Value)
				return true, 1
			}
			c.port = port
		case 'F':
			seconds, err := strconv.ParseUint(o.Value, 10, 31)
			if err != nil {
				early.Text("Invalid number of seconds: %s", o.Value)
				return true, 1
			}
			silent := time.Duration(seconds) * time.Second
			c.force = &silent
		default:
			*map[byte]*string{'u': &c.user, 'g': &c.group, 'D': &c.Root, 'c': new(string), 'v': &c.ca, 'x': &c.cert, 'k': &c.key}[o.Flag] = o.Value
		}
	}
	if err != nil {
		fmt.Fprintf(c.Stderr, "%s: %v\n", c.Prog, err)
		c.help()
		return true, 1
	}
	return c.test, 0
}

func (c *command) help() {
	fmt.Fprint(c.Stderr, ` 
ossec-authd (compatible with OSSEC HIDS v4.2.0): gives agents their keys over TLS.

  -p <port>    port (default 1515)
  -n           ask for no password; by default the first line of etc/authd.pass, or a random one
  -i           write the agent's address in its key line instead of 'any'
  -F <sec>     an agent takes the place of one with its name or address that was silent for so long
  -x <file>    certificate (default etc/sslmanager.cert; made when it and the key are missing)
  -k <file>    its key (default etc/sslmanager.key)
  -v <file>    ask agents for a certificate of this authority
  -D <dir>     install root
  -f           stay in the foreground, log to the terminal too
  -d           debug lines, -d -d more of them (or authd.debug in internal_options.conf)
  -u, -g, -c   ignored, for old command lines: who starts it must be able to write client.keys; TLS 1.2 and 1.3 choose the cipher
  -t           check the arguments only
  -h, -V       this help, version
`)
}

func (c *command) serve(ctx context.Context) error {
	cfg, err := c.certificate()
	if err != nil {
		return err
	}
	password, err := c.password()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", ":"+strconv.Itoa(c.port))
	if err != nil {
		return fmt.Errorf("binding to port %d: %w", c.port, err)
	}
	defer l.Close()
	if c.Drop != nil {
		if err := c.Drop(c.user, c.group); err != nil {
			return err
		}
	}
	if err := pidfile.Write(c.Root, "ossec-authd"); err != nil {
		return err
	}
	defer func() {
		if err := pidfile.Remove(c.Root, "ossec-authd"); err != nil {
			c.log.Warn("removing pid file: %v", err)
		}
	}()
	c.log.Info("Started (pid: %d).", os.Getpid())
	if c.Ready != nil {
		c.Ready(l.Addr())
	}
	s := &enroll.Server{
		TLS: cfg, Password: password, Log: c.log, Workers: c.Workers, MaxConnections: c.MaxConnections,
		Registrar: &enroll.Registrar{Path: filepath.Join(c.Root, "etc", "client.keys"), FixedIP: c.fixedIP},
	}
	if c.force != nil {
		s.Registrar.Displace = func(owner keys.Entry) bool {
			gone, err := manageagents.RemoveSilent(c.Root, owner, *c.force, time.Now())
			if err != nil {
				c.log.Error("Agent '%s' keeps its place: %v", owner.ID, err)
			}
			return gone
		}
	}
	err = s.Serve(ctx, l)
	c.log.Info("Exiting...")
	return err
}

// certificate reads the server's certificate, or makes one when none was given and none is there.
func (c *command) certificate() (*tls.Config, error) {
	cert, key := c.cert, c.key
	if cert == "" {
		cert = filepath.Join(c.Root, "etc", "sslmanager.cert")
	}
	if key == "" {
		key = filepath.Join(c.Root, "etc", "sslmanager.key")
	}
	if c.cert == "" && c.key == "" {
		made, err := enroll.MakeCertificate(cert, key, time.Now())
		if err != nil {
			return nil, err
		}
		if made {
			c.log.Info("Made a self-signed certificate: %s", cert)
		}
	}
	cfg, err := enroll.ServerTLS(cert, key, c.ca)
	if errors.Is(err, enroll.ErrNoCertificate) {
		c.log.Error("Unable to read certificate file (not found): %s", missing(cert, key))
		c.log.Error("SSL error. Exiting.")
		return nil, errSaid
	}
	return cfg, err
}

func missing(paths ...string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return p
		}
	}
	return paths[0]
}

// password gives what agents must send, nil for nothing, and logs which.
func (c *command) password() (*string, error) {
	if c.noPassword {
		c.log.Info("Accepting connections. No password required (not recommended)")
		return nil, nil
	}
	p, line, err := enroll.ServerPassword(c.Root, c.debug > 0 || c.foreground)
	if err != nil {
		return nil, err
	}
	c.log.Info("%s", line)
	return &p, nil
}
