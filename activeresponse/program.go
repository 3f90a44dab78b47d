package activeresponse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/responders"
)

// program is what stands behind the executable of a response: a compiled-in responder or a file to start.
type program struct {
	path    string                // "<root>/active-response/bin/<executable>", as it is logged and compared
	builtin *responders.Responder // nil: start the file
}

// resolver finds programs in active-response/bin.
type resolver struct {
	bin     string
	own     []string // programs that contain the compiled-in responders; a link to one of them means the responder of the link's name
	builtin func(name string) (*responders.Responder, bool)
}

// resolve gives the program of an executable. The file must lie in active-response/bin itself and must not be writable for others.
// A name that we have compiled in needs no file. Errors wrap fs.ErrNotExist, or say what is wrong with the file.
func (r *resolver) resolve(executable string) (program, error) {
	p := program{path: r.bin + "/" + executable}
	name := strings.TrimPrefix(executable, "./")
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return p, fmt.Errorf("'%s' is not a file name: %w", executable, fs.ErrNotExist)
	}
	st, err := os.Lstat(p.path)
	if b, ok := r.builtin(name); ok && (errors.Is(err, fs.ErrNotExist) || err == nil && r.isOurs(p.path, st)) {
		p.builtin = b
		return p, nil
	}
	if err != nil {
		return p, err
	}
	return p, r.trusted(p.path)
}

// isOurs reports a symbolic link to one of our own programs.
func (r *resolver) isOurs(path string, st fs.FileInfo) bool {
	if st.Mode()&fs.ModeSymlink == 0 {
		return false
	}
	target, err := os.Readlink(path)
	if err != nil {
		return false
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = target // the link is ours even while the program is being replaced
	}
	for _, own := range r.own {
		if filepath.Clean(target) == own || real == own {
			return true
		}
	}
	return false
}

// trusted refuses files that lie outside of active-response/bin, are no regular files or could have been changed by others.
func (r *resolver) trusted(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	bin, err := filepath.EvalSymlinks(r.bin)
	if err != nil {
		return err
	}
	if filepath.Dir(real) != bin {
		return fmt.Errorf("'%s' leads out of %s", path, r.bin)
	}
	st, err := os.Stat(real)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("'%s' is not a regular file", path)
	}
	if why := exposed(st); why != "" {
		return fmt.Errorf("'%s' %s", path, why)
	}
	return nil
}

// startError is returned when a file could not be started at all.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// outcome of one started file.
type outcome struct {
	pid    int
	exit   int
	output string
	err    error // startError, a time limit, a signal
}

// maxOutput is how much of a program's output is kept for the log, in bytes.
const maxOutput = 1024

// start runs a file with an argument vector, a fixed environment and no input, and waits for it. The program and its children are
// killed when ctx ends. A detached program is left alone from the start.
func start(ctx context.Context, argv []string, detached bool) outcome {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = responders.Environ(), "/"
	var out head
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 2 * time.Second
	isolate(cmd, detached)
	if detached {
		cmd.Stdout, cmd.Stderr = nil, nil
	}
	if err := cmd.Start(); err != nil {
		return outcome{err: &startError{err}}
	}
	o := outcome{pid: cmd.Process.Pid}
	if detached {
		go cmd.Wait() //nolint:errcheck // only to reap it; it restarts us and so outlives us
		return o
	}
	err := cmd.Wait()
	o.output = strings.TrimSpace(out.String())
	var ee *exec.ExitError
	switch {
	case ctx.Err() != nil:
		o.err = fmt.Errorf("killed: %w", context.Cause(ctx))
	case errors.As(err, &ee) && ee.ExitCode() >= 0:
		o.exit = ee.ExitCode()
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		o.err = err
	}
	return o
}

// head keeps the first maxOutput bytes.
type head struct{ bytes.Buffer }

func (h *head) Write(p []byte) (int, error) {
	if room := maxOutput - h.Len(); room > 0 {
		h.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
