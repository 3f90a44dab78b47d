//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck"
	"github.com/vedette-hids/vedette/syscheck/baseline"
)

// measure is the process that is measured. It prints its result.
func measure(args []string) {
	var r result
	var err error
	switch args[0] {
	case "scan":
		r, err = profiled(args[3], func() (result, error) { return scan(args[1], args[2], 0) })
	case "budget":
		r, err = budget(args[1], args[2], args[3])
	case "idle":
		r, err = idle(args[1], args[2], args[3])
	case "baseline":
		r, err = managerBaseline(args[1], args[2])
	default:
		err = fmt.Errorf("unknown measurement %q", args[0])
	}
	if err == nil {
		r.usage()
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fimbench:", err)
		os.Exit(1)
	}
}

// usage adds the memory and processor time of this process.
func (r *result) usage() {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmHWM:":
			r.Peak = kib << 10
		case "RssAnon:":
			r.Anon = kib << 10
		}
	}
	r.CPU = used()
}

// used is the processor time of this process.
func used() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// profiled writes a profile of f to a file if it has a name.
func profiled(name string, f func() (result, error)) (r result, err error) {
	if name == "" {
		return f()
	}
	out, err := os.Create(name)
	if err != nil {
		return r, err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return r, errors.Join(err, out.Close())
	}
	r, err = f()
	pprof.StopCPUProfile()
	return r, errors.Join(err, out.Close())
}

// everything asks for all attributes and three digests.
func everything(tree string) config.Directory {
	return config.Directory{Path: tree, Size: true, Perm: true, Owner: true, Group: true, MD5: true, SHA1: true, SHA256: true}
}

var nowhere = event.SinkFunc(func(context.Context, event.Message) error { return nil })

// scan is the agent's part: one full scan of a tree with all attributes and three digests, at full speed or with a budget, with the baseline
// that an earlier scan in the same directory left.
func scan(dir, tree string, rate float64) (r result, err error) {
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return r, err
	}
	cfg := &config.Syscheck{Directories: []config.Directory{everything(tree)}, IOBudget: rate}
	start := time.Now()
	m, err := syscheck.New(cfg, nowhere, nil, syscheck.Options{Root: state, Scanned: func(s syscheck.Result) {
		r.Files, r.Read, r.Bytes = s.Files, s.Read, s.Bytes
	}})
	if err != nil {
		return r, err
	}
	err = m.Scan(context.Background())
	err = errors.Join(err, m.Close())
	r.Took = time.Since(start)
	return r, err
}

// budget is a first scan with a budget.
func budget(dir, tree, rate string) (r result, err error) {
	mb, err := strconv.ParseFloat(rate, 64)
	if err != nil {
		return r, err
	}
	dir = filepath.Join(dir, "budget-state")
	r, err = scan(dir, tree, mb)
	return r, errors.Join(err, os.RemoveAll(dir))
}

// idle scans a tree, watches it in real time for a while, and gives the processor time of that while.
func idle(dir, tree, while string) (r result, err error) {
	d, err := time.ParseDuration(while)
	if err != nil {
		return r, err
	}
	real := everything(tree)
	real.Realtime = true
	scanned := make(chan syscheck.Result, 1)
	state := filepath.Join(dir, "idle")
	defer os.RemoveAll(state)
	m, err := syscheck.New(&config.Syscheck{Directories: []config.Directory{real}, ScanOnStart: true, Frequency: 43200}, nowhere, nil,
		syscheck.Options{Root: state, Scanned: func(s syscheck.Result) { scanned <- s }})
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	r.Files = (<-scanned).Files
	time.Sleep(5 * time.Second) // what the scan left to tidy up
	before := used()
	time.Sleep(d)
	r.Busy, r.Took = used()-before, d
	cancel()
	return r, <-ended
}

// managerBaseline is the manager's part: the first scan of an agent comes in.
func managerBaseline(dir, count string) (r result, err error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return r, err
	}
	state := filepath.Join(dir, "manager", "queue", "syscheck")
	if err := os.MkdirAll(state, 0o755); err != nil {
		return r, err
	}
	start := time.Now()
	s, err := baseline.Open(state, baseline.Options{AutoIgnore: true})
	if err != nil {
		return r, err
	}
	now := time.Unix(1800000000, 0)
	for i := range n {
		ev := event.Event{Kind: event.KindSyscheck, Location: "(web) 10.0.0.1->syscheck", Received: now, Raw: fmt.Sprintf(
			"%d:33188:0:0:%032x:%040x:%064x /usr/share/some/directory/%03d/file-%d", i, i, i, i, i%500, i)}
		if _, err := s.Apply(&ev); err != nil {
			return r, err
		}
	}
	err = s.Close()
	r.Took, r.Files = time.Since(start), int64(n)
	return r, err
}

// aideConf checks what scan checks. AIDE's default is one worker; it may also have one per processor.
const aideConf = `database_in=file:%[1]s/aide.db
database_out=file:%[1]s/aide.db.new
gzip_dbout=no
num_workers=%[3]s
report_url=file:%[1]s/aide.report
%[2]s f p+u+g+s+md5+sha1+sha256
`

// aide is what AIDE takes for a tree; zero results when it is not installed.
type aide struct {
	first  result // making the database, with one worker as it comes
	spread result // the same, with a worker per processor
	second result // checking against it, with a worker per processor
}

func (b *bench) aide(tree string) (a aide, err error) {
	if _, err := exec.LookPath("aide"); err != nil {
		return a, nil
	}
	conf := filepath.Join(b.dir, "aide.conf")
	for _, step := range []struct {
		workers, what string
		to            *result
	}{{"1", "--init", &a.first}, {"100%", "--init", &a.spread}, {"100%", "--check", &a.second}} {
		if err := os.WriteFile(conf, fmt.Appendf(nil, aideConf, b.dir, tree, step.workers), 0o600); err != nil {
			return a, err
		}
		if *step.to, err = aideRun(conf, step.what); err != nil {
			return a, err
		}
		if step.what == "--init" {
			if err := os.Rename(filepath.Join(b.dir, "aide.db.new"), filepath.Join(b.dir, "aide.db")); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

func aideRun(conf, what string) (r result, err error) {
	cmd := exec.Command("aide", "--config="+conf, what)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err = cmd.Run()
	r.Took = time.Since(start)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() < 8 {
		err = nil // 1, 2 and 4 say that files were added, removed or changed
	}
	if err != nil {
		return r, fmt.Errorf("aide %s: %w\n%s", what, err, out.String())
	}
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.Peak = ru.Maxrss << 10
		r.CPU = time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	}
	return r, nil
}
