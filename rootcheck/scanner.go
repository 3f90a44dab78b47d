package rootcheck

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Options of New. The zero value is the real host.
type Options struct {
	Root   string        // install root, to which relative names of databases and policies belong
	Sleep  time.Duration // before a second look at something suspicious; at most maxSleep is used
	Settle time.Duration // between the last check and the end marker; 0 = 5 s, negative = none

	proc   string                                                                    // "/proc"
	run    func(ctx context.Context, program string, args ...string) (string, error) // runs a program, gives its output
	kernel kernel                                                                    // nil: the real one
	top    int                                                                       // highest port that is tried; 0 = 65535
	ports  portView                                                                  // nil: the real one
}

const (
	defaultSettle = 5 * time.Second
	// maxSleep bounds the pause before a second look. OSSEC pauses for each process; here only suspects cost time.
	maxSleep = 2 * time.Second
	// minSleep makes the second look a different moment even when the pause is set to nothing.
	minSleep = 10 * time.Millisecond
)

// Limits of texts in bytes (spec section 2).
const (
	maxText     = 1023
	maxHashText = 2047
)

// Scanner runs the checks. Its Scan must not run twice at the same time.
type Scanner struct {
	cfg  *config.Rootcheck
	sink event.Sink
	log  *olog.Log
	o    Options
	base string // prefix of paths, "" for the real root

	anywhere map[string]string // base names that the system check looks for, with the rootkit's name; set by the files check
}

// New makes a scanner. The databases and policies are read at each scan, as the manager may replace them.
func New(cfg *config.Rootcheck, sink event.Sink, log *olog.Log, opts Options) (*Scanner, error) {
	if cfg == nil || sink == nil {
		return nil, errors.New("rootcheck: no configuration or no sink")
	}
	if opts.proc == "" {
		opts.proc = "/proc"
	}
	if opts.run == nil {
		opts.run = runProgram
	}
	if opts.Settle == 0 {
		opts.Settle = defaultSettle
	}
	if opts.top == 0 {
		opts.top = 1<<16 - 1
	}
	opts.Sleep = max(minSleep, min(opts.Sleep, maxSleep))
	if opts.kernel == nil {
		opts.kernel = newKernel(opts.proc)
	}
	if opts.ports == nil {
		opts.ports = newPortView(opts.proc)
	}
	s := &Scanner{cfg: cfg, sink: sink, log: log, o: opts, base: strings.TrimRight(cfg.BaseDirectory, "/")}
	if cfg.CheckUnixAudit && len(cfg.SystemAudit) == 0 {
		log.Text("System audit file not configured.")
	}
	return s, nil
}

// Scan runs all enabled checks, between a start and an end marker. It returns the context's error when ctx ends, or the sink's; errors of
// single checks are logged.
func (s *Scanner) Scan(ctx context.Context) error {
	if err := s.mark(ctx, "Starting rootcheck scan."); err != nil {
		return err
	}
	s.anywhere = nil
	for _, c := range []struct {
		on    bool
		name  string
		check func(context.Context) error
	}{
		{s.cfg.CheckFiles, "files", s.checkFiles},
		{s.cfg.CheckTrojans, "trojans", s.checkTrojans},
		{s.cfg.CheckUnixAudit, "policies", s.checkPolicies},
		{s.cfg.CheckDev, "dev", s.checkDev},
		{s.cfg.CheckSys, "system", s.checkSys},
		{s.cfg.CheckPids, "processes", s.checkPids},
		{s.cfg.CheckPorts, "ports", s.checkPorts},
		{s.cfg.CheckIf, "interfaces", s.checkInterfaces},
	} {
		if !c.on {
			continue
		}
		err := c.check(ctx)
		var sent *sendError
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &sent):
			return fmt.Errorf("rootcheck: %w", err)
		default:
			s.log.Error("Check of %s not complete: %v", c.name, err)
		}
	}
	if err := s.pause(ctx, s.o.Settle); err != nil {
		return err
	}
	return s.mark(ctx, "Ending rootcheck scan.")
}

func (s *Scanner) mark(ctx context.Context, text string) error {
	s.log.Info("%s", text)
	return s.send(ctx, text)
}

// sendError is an error of the sink, which ends the scan.
type sendError struct{ err error }

func (e *sendError) Error() string { return "sending: " + e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// send sends one text as it is.
func (s *Scanner) send(ctx context.Context, text string) error {
	if err := s.sink.Send(ctx, event.Message{Kind: event.KindRootcheck, Location: "rootcheck", Text: text}); err != nil {
		return &sendError{err}
	}
	return nil
}

// report sends a finding.
func (s *Scanner) report(ctx context.Context, format string, args ...any) error {
	return s.send(ctx, cut(fmt.Sprintf(format, args...), maxText))
}

// reportFile sends a finding with the hashes of the file it is about.
func (s *Scanner) reportFile(ctx context.Context, path, format string, args ...any) error {
	return s.send(ctx, cut(fmt.Sprintf(format, args...), maxHashText)+hashSuffix(ctx, path))
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// pause waits for d, or less when ctx ends, which is an error.
func (s *Scanner) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// file gives the place of a configured database or policy.
func (s *Scanner) file(name string) string {
	if filepath.IsAbs(name) || s.o.Root == "" {
		return name
	}
	return filepath.Join(s.o.Root, name)
}

// runTimeout bounds the system's own tools, which may be the ones that are trojaned.
const runTimeout = 20 * time.Second

// runProgram runs the first of the usual places of a system tool that exists, with a fixed environment, and gives its output.
func runProgram(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	for _, dir := range []string{"/bin", "/usr/bin", "/sbin", "/usr/sbin"} {
		path := filepath.Join(dir, program)
		if !executable(path) {
			continue
		}
		cmd := exec.CommandContext(ctx, path, args...)
		cmd.Env = []string{"PATH=/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL=C"}
		cmd.WaitDelay = time.Second
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("running %s: %w", path, err)
		}
		return string(out), nil
	}
	return "", fmt.Errorf("%s: %w", program, exec.ErrNotFound)
}
