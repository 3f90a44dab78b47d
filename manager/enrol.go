package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
	"github.com/vedette-hids/vedette/keys/enroll"
	"github.com/vedette-hids/vedette/keys/manageagents"
)

// enrolment is the key server inside the manager (spec protocol.md, section 19). It runs as <auth> says, or without that section when the operator has
// set a password in etc/authd.pass.
type enrolment struct {
	log  *olog.Log
	addr string
	make func() (*enroll.Server, error)

	// Ready for the first run; later ones make them anew.
	server *enroll.Server
	l      net.Listener
}

// openEnrolment gives the key server, nil when there is none. What <auth> asks for must work from the start on; what only a password file asks for may
// not: an ossec-authd may have the port.
func (a *App) openEnrolment(ctx context.Context) (*enrolment, error) {
	log := a.o.Log.Prog("ossec-authd")
	o := a.cfg.Auth
	if o == nil {
		path := filepath.Join(a.o.Root, "etc", "authd.pass")
		if st, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err == nil && st.Size() == 0 {
			log.Warn("%s is empty; agents cannot enrol.", path)
			return nil, nil
		}
		o = &config.Auth{Port: 1515, UsePassword: true}
	}
	if o.Disabled {
		return nil, nil
	}
	host := ""
	if o.LocalIP.IsValid() {
		host = o.LocalIP.String()
	}
	e := &enrolment{log: log, addr: net.JoinHostPort(host, strconv.Itoa(o.Port)), make: func() (*enroll.Server, error) { return a.enrolServer(o, log) }}
	if err := e.open(ctx); err != nil && a.cfg.Auth != nil {
		return nil, err
	} else if err != nil {
		log.Error("%v; trying again.", err)
	}
	return e, nil
}

func (e *enrolment) open(ctx context.Context) (err error) {
	if e.server == nil {
		if e.server, err = e.make(); err != nil {
			return fmt.Errorf("enrolment: %w", err)
		}
	}
	if e.l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", e.addr); err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	e.log.Debug("Enrolment listens on %s.", e.l.Addr())
	return nil
}

// Run serves until ctx ends.
func (e *enrolment) Run(ctx context.Context) error {
	if e.l == nil {
		if err := e.open(ctx); err != nil {
			return err
		}
	}
	l := e.l
	e.l = nil
	return e.server.Serve(ctx, l)
}

// Close releases the port of a server that was not run.
func (e *enrolment) Close() error {
	if e.l == nil {
		return nil
	}
	return e.l.Close()
}

// checkAuth finds what would keep <auth> from working.
func checkAuth(root string, o *config.Auth) config.Problems {
	if o == nil || o.Disabled {
		return nil
	}
	var ps config.Problems
	add := func(err error) {
		ps = append(ps, config.Problem{Pos: o.Pos, Daemons: config.Authd, Text: "ERROR: " + err.Error()})
	}
	if o.AgentCA != "" {
		if _, err := enroll.Authorities(under(root, o.AgentCA, "")); err != nil {
			add(fmt.Errorf("ssl_agent_ca: %w", err))
		}
	}
	if o.Cert != "" || o.Key != "" {
		if _, err := enroll.ServerTLS(under(root, o.Cert, defaultCert), under(root, o.Key, defaultKey), ""); err != nil {
			add(err)
		}
	}
	return ps
}

const (
	defaultCert = "etc/sslmanager.cert"
	defaultKey  = "etc/sslmanager.key"
)

func (a *App) enrolServer(o *config.Auth, log *olog.Log) (*enroll.Server, error) {
	cert, key := under(a.o.Root, o.Cert, defaultCert), under(a.o.Root, o.Key, defaultKey)
	if o.Cert == "" && o.Key == "" {
		made, err := enroll.MakeCertificate(cert, key, time.Now())
		if err != nil {
			return nil, err
		}
		if made {
			log.Info("Made a certificate of its own for enrolment: %s", cert)
		}
	}
	ca := ""
	if o.AgentCA != "" {
		ca = under(a.o.Root, o.AgentCA, "")
	}
	tls, err := enroll.ServerTLS(cert, key, ca)
	if err != nil {
		return nil, err
	}
	s := &enroll.Server{TLS: tls, Registrar: &enroll.Registrar{Path: a.keys.Path(), FixedIP: o.UseSourceIP}, Log: log, Grace: sinkGrace,
		Workers: a.internal.Int("authd.worker_pool"), MaxConnections: a.internal.Int("authd.max_connections")}
	if o.ForceInsert {
		s.Registrar.Displace = func(owner keys.Entry) bool {
			gone, err := manageagents.RemoveSilent(a.o.Root, owner, time.Duration(o.ForceTime)*time.Second, time.Now())
			if err != nil {
				log.Error("Agent '%s' keeps its place: %v", owner.ID, err)
			} else if gone {
				log.Info("Agent '%s' (%s) gives way to a new one.", owner.ID, owner.Name)
			}
			return gone
		}
	}
	if !o.UsePassword {
		log.Info("Accepting connections. No password required (not recommended)")
		return s, nil
	}
	password, line, err := enroll.ServerPassword(a.o.Root, false)
	if err != nil {
		return nil, err
	}
	log.Info("%s", line)
	s.Password = &password
	return s, nil
}

// under gives a path of the configuration, or a default, below the install root unless it is absolute.
func under(root, path, def string) string {
	if path == "" {
		path = def
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, filepath.FromSlash(path))
}
