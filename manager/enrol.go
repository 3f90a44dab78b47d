package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-hids/vedette/keys/enroll"
)

// enrolAddr is where agents ask for keys (spec protocol.md, section 19).
const enrolAddr = ":1515"

// enrolment is the key server inside the manager. It runs when the operator has set a password in etc/authd.pass; an open server, or one
// with client certificates, is ossec-authd's.
func (a *App) enrolment(ctx context.Context) error {
	log := a.o.Log.Prog("ossec-authd")
	path := filepath.Join(a.o.Root, "etc", "authd.pass")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	password, err := enroll.ReadPassword(path)
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	if password == "" {
		log.Warn("%s is empty; agents cannot enrol.", path)
		return nil
	}
	cert, key := filepath.Join(a.o.Root, "etc", "sslmanager.cert"), filepath.Join(a.o.Root, "etc", "sslmanager.key")
	made, err := enroll.MakeCertificate(cert, key, time.Now())
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	if made {
		log.Info("Made a certificate of its own for enrolment: %s", cert)
	}
	tls, err := enroll.ServerTLS(cert, key, "")
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", enrolAddr)
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	log.Info("Accepting connections. Using password specified on file: %s", path)
	server := &enroll.Server{TLS: tls, Registrar: &enroll.Registrar{Path: a.keys.Path()}, Password: &password, Log: log, Grace: sinkGrace}
	return server.Serve(ctx, l)
}
