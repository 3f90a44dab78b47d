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
func (a *App) enrolment(ctx context.Context) error {
	log := a.o.Log.Prog("ossec-authd")
	o := a.cfg.Auth
	if o == nil {
		path := filepath.Join(a.o.Root, "etc", "authd.pass")
		if st, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err == nil && st.Size() == 0 {
			log.Warn("%s is empty; agents cannot enrol.", path)
			return nil
		}
		o = &config.Auth{Port: 1515, UsePassword: true}
	}
	if o.Disabled {
		return nil
	}
	server, err := a.enrolServer(o, log)
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	host := ""
	if o.LocalIP.IsValid() {
		host = o.LocalIP.String()
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(o.Port)))
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	return server.Serve(ctx, l)
}

func (a *App) enrolServer(o *config.Auth, log *olog.Log) (*enroll.Server, error) {
	cert, key := a.under(o.Cert, "etc/sslmanager.cert"), a.under(o.Key, "etc/sslmanager.key")
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
		ca = a.under(o.AgentCA, "")
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
func (a *App) under(path, def string) string {
	if path == "" {
		path = def
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(a.o.Root, filepath.FromSlash(path))
}
