// Package localscan compares the files of this machine with the baseline of file integrity monitoring, once and for the operator's eyes:
// nothing is sent, and the baseline stays as it is, so that the agent reports every change all the same.
package localscan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

// The kinds of a Change.
const (
	New     = "new"
	Changed = "changed"
	Deleted = "deleted"
)

// Change is one file that differs from the baseline.
type Change struct {
	Path   string   `json:"path"`
	Kind   string   `json:"kind"`
	What   []string `json:"what,omitempty"` // "size", "mode", "uid", "gid", "md5", "sha1", "sha256" of a changed file
	Before string   `json:"before,omitempty"`
	After  string   `json:"after,omitempty"` // checksum texts
	Diff   string   `json:"diff,omitempty"`
}

// Result is the outcome of Run.
type Result struct {
	Baseline bool          `json:"baseline"` // there was a baseline to compare with; else the changes are left out, since all is new
	Changes  []Change      `json:"changes"`
	Files    int64         `json:"files"`
	Bytes    int64         `json:"bytes"`  // read
	Errors   int64         `json:"errors"` // files that could not be looked at
	Took     time.Duration `json:"took_ns"`
}

// Options of Run.
type Options struct {
	Root     string // install root, whose baseline is used
	Config   *config.Syscheck
	Progress func(syscheck.Progress) // nil = none
}

// Run scans everything that the configuration names. When ctx ends it returns its error with what was found so far.
func Run(ctx context.Context, o Options) (*Result, error) {
	dir, err := os.MkdirTemp("", "vedette-scan-")
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the system cleans its temporary files
	res := &Result{Changes: []Change{}}
	if res.Baseline, err = copyBaseline(filepath.Join(o.Root, "queue", "syscheck"), dir); err != nil {
		return nil, fmt.Errorf("scan: reading the baseline: %w", err)
	}
	cfg := *o.Config
	cfg.Directories = slices.Clone(cfg.Directories)
	for i := range cfg.Directories {
		cfg.Directories[i].Realtime = false
	}
	sink := &collector{res: res}
	m, err := syscheck.New(&cfg, sink, nil, syscheck.Options{Root: o.Root, StateDir: dir, DiffDir: filepath.Join(dir, "diff"), NoForward: true,
		Progress: o.Progress, Scanned: func(r syscheck.Result) {
			res.Files, res.Bytes, res.Errors, res.Took = r.Files, r.Bytes, r.Errors, r.Took
		}})
	if err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	sink.monitor = m
	err = m.Scan(ctx)
	sort.Slice(res.Changes, func(i, j int) bool { return res.Changes[i].Path < res.Changes[j].Path })
	return res, errors.Join(err, m.Close())
}

// copyBaseline copies the baseline, which the agent may be changing; a copy during which it changed is made again. It reports false when
// there is none.
func copyBaseline(from, to string) (bool, error) {
	path := filepath.Join(from, syscheck.BaselineFile)
	for range 5 {
		before, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := copyFile(path, filepath.Join(to, syscheck.BaselineFile)); err != nil {
			return false, err
		}
		after, err := os.Stat(path)
		if err == nil && before.ModTime().Equal(after.ModTime()) && before.Size() == after.Size() {
			return true, nil
		}
	}
	return false, errors.New("it changes all the time: a scan of the agent is going on; try again when it has ended")
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// collector takes the messages of the scan.
type collector struct {
	monitor *syscheck.Monitor
	mu      sync.Mutex
	res     *Result
}

// Send takes one message. Scan marks and, without a baseline, new files are left out.
func (c *collector) Send(_ context.Context, m event.Message) error {
	if m.Kind != event.KindSyscheck || m.Text == sum.Completed {
		return nil
	}
	msg, err := sum.ParseMessage(m.Text)
	if err != nil {
		return err
	}
	before, known := c.monitor.Recorded(msg.Path)
	change := Change{Path: msg.Path, Before: before, After: msg.Sum, Diff: msg.Diff}
	switch {
	case msg.Sum == sum.Deleted:
		change.Kind, change.After = Deleted, ""
	case known:
		change.Kind, change.What = Changed, differences(before, msg.Sum)
	default:
		change.Kind = New
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.res.Baseline {
		c.res.Changes = append(c.res.Changes, change)
	}
	return nil
}

// differences names the fields in which two checksum texts differ.
func differences(before, after string) (out []string) {
	a, b := sum.Split(before), sum.Split(after)
	for _, f := range [...]struct{ name, a, b string }{{"size", a.Size, b.Size}, {"mode", a.Mode, b.Mode}, {"uid", a.UID, b.UID}, {"gid", a.GID, b.GID},
		{"md5", a.MD5, b.MD5}, {"sha1", a.SHA1, b.SHA1}, {"sha256", a.SHA256, b.SHA256}} {
		if f.a != f.b {
			out = append(out, f.name)
		}
	}
	return out
}
