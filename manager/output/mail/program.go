package mail

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Program delivers through a local program that reads the mail on standard input. It is run directly, never through a shell.
type Program struct {
	Path string
	Args []string
}

// NewProgram takes the value of smtp_server: a path, and arguments separated by blanks. A program named sendmail without arguments gets
// -t -i: it then takes the recipients from the headers, and no line ends the mail early.
func NewProgram(command string) *Program {
	parts := strings.Fields(command)
	p := &Program{Path: parts[0], Args: parts[1:]}
	if len(p.Args) == 0 && filepath.Base(p.Path) == "sendmail" {
		p.Args = []string{"-t", "-i"}
	}
	return p
}

func (p *Program) String() string { return p.Path }

// maxComplaint is how much of a program's output an error shows.
const maxComplaint = 500

// Deliver runs the program; its exit code must be 0. Line ends are local ones (LF).
func (p *Program) Deliver(ctx context.Context, _ Envelope, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")))
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mail program %s: %w: %s", p.Path, err, strings.TrimSpace(string(out.b)))
	}
	return nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ b []byte }

func (l *limited) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), maxComplaint-len(l.b))]...)
	return len(p), nil
}
