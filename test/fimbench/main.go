//go:build linux

// Command fimbench measures file integrity and prints a table with the goal beside each figure: the first scan of a tree with three digests
// beside AIDE's on the same tree, scans of unchanged trees, memory, the I/O budget, idle time, and the manager's baseline. Each measurement
// is a process of its own, so that its peak memory counts. Without AIDE its lines are left out.
//
//	go run ./test/fimbench                        # /usr, and made trees of 128,000 and of a million files
//	go run ./test/fimbench -tree /opt -million 0  # another tree, without the million
//	go run ./test/fimbench -only tree,budget      # some of the parts
//	go run ./test/fimbench -strict                # exit code 1 if a goal is missed
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vedette-hids/vedette/syscheck/sum/lanes"
)

// result of one measured process.
type result struct {
	Took  time.Duration
	CPU   time.Duration // user and system
	Peak  int64         // bytes: highest resident memory
	Anon  int64         // bytes: resident memory at the end that is not file cache
	Files int64
	Read  int64 // files read
	Bytes int64
	Busy  time.Duration // processor time while idle
}

const (
	usualFiles  = 128_000
	firstLimit  = 5 // the first scan takes at most this part of AIDE's time
	secondLimit = 3 * time.Second
	memoryLimit = 64 << 20
)

// parts of the table, in order.
var parts = []string{"tree", "usual", "million", "flat", "budget", "idle", "manager"}

type settings struct {
	tree    string
	million int
	dir     string
	idle    time.Duration
	only    []string
	strict  bool
	profile string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		measure(os.Args[2:])
		return
	}
	var s settings
	flag.StringVar(&s.tree, "tree", "/usr", "tree for the first scan and for AIDE")
	flag.IntVar(&s.million, "million", 1_000_000, "files of the largest trees, 0 = leave them out")
	flag.StringVar(&s.dir, "dir", "", "`directory` for made trees and state; default: a temporary one")
	flag.DurationVar(&s.idle, "idle", time.Minute, "how long to watch without work")
	flag.StringVar(&s.profile, "cpuprofile", "", "`file` for a profile of the first scan")
	only := flag.String("only", strings.Join(parts, ","), "parts of the table")
	flag.BoolVar(&s.strict, "strict", false, "fail if a goal is missed")
	flag.Parse()
	s.only = strings.Split(*only, ",")
	missed, err := run(&s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "fimbench:", err)
		os.Exit(1)
	}
	if s.strict && missed > 0 {
		fmt.Fprintf(os.Stderr, "fimbench: %d goals missed\n", missed)
		os.Exit(1)
	}
}

type bench struct {
	*settings
	dir    string
	out    *tabwriter.Writer
	missed int
}

func run(s *settings) (missed int, err error) {
	for _, part := range s.only {
		if !slices.Contains(parts, part) {
			return 0, fmt.Errorf("no part %q; there are %s", part, strings.Join(parts, ", "))
		}
	}
	tmp, err := os.MkdirTemp(s.dir, "fimbench")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(tmp)
	b := &bench{settings: s, dir: tmp, out: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(b.out, "what\ttime\tCPU\tpeak memory\tgoal\t")
	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"tree", b.realTree},
		{"usual", func() error { return b.madeTree(usualFiles, 200) }},
		{"million", func() error { return b.madeTree(s.million, 200) }},
		{"flat", func() error { return b.madeTree(s.million, s.million) }},
		{"budget", b.budgets},
		{"idle", b.idling},
		{"manager", b.manager},
	} {
		if !slices.Contains(s.only, part.name) {
			continue
		}
		if err := part.run(); err != nil {
			return b.missed, errors.Join(err, b.out.Flush())
		}
		if err := b.out.Flush(); err != nil {
			return b.missed, err
		}
	}
	return b.missed, nil
}

func (b *bench) row(what string, r result, goal string) {
	fmt.Fprintf(b.out, "%s\t%s\t%s\t%.0f MB\t%s\t\n", what, seconds(r.Took), seconds(r.CPU), float64(r.Peak)/(1<<20), goal)
}

// compare is the verdict on a first scan beside AIDE's.
func (b *bench) compare(aide, ours result) string {
	goal := fmt.Sprintf("1/%d of AIDE's time", firstLimit)
	if aide.Took == 0 {
		return goal + ": AIDE is not installed"
	}
	return b.verdict(ours.Took*firstLimit <= aide.Took, goal) + fmt.Sprintf(" (1/%.1f)", float64(aide.Took)/float64(ours.Took))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func (b *bench) verdict(met bool, goal string) string {
	if met {
		return goal + ": met"
	}
	b.missed++
	return goal + ": MISSED"
}

// realTree compares with AIDE.
func (b *bench) realTree() error {
	files, bytes, err := warm(b.tree)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d files, %.1f GB, read once before so that both find it in the cache; %d processors; digests: %v\n",
		b.tree, files, float64(bytes)/1e9, runtime.NumCPU(), lanes.Best())
	first, err := child("scan", b.dir, b.tree, b.profile)
	if err != nil {
		return err
	}
	second, err := child("scan", b.dir, b.tree, "")
	if err != nil {
		return err
	}
	a, err := b.aide(b.tree)
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("agent: first scan of %s, %d files", b.tree, first.Files), first, b.compare(a.first, first))
	b.row(fmt.Sprintf("agent: second scan of it, %d files read", second.Read), second, b.verdict(second.Took < secondLimit, "< 3 s"))
	if a.first.Took > 0 {
		b.row("AIDE: the same tree, as it comes", a.first, "")
		b.row("AIDE: with a worker per processor", a.spread, "")
		b.row("AIDE: check of the unchanged tree, with a worker per processor", a.second, "")
	}
	return os.RemoveAll(filepath.Join(b.dir, "state"))
}

// madeTree scans a tree of small files twice.
func (b *bench) madeTree(files, perDir int) error {
	if files == 0 {
		return nil
	}
	tree := filepath.Join(b.dir, "tree")
	if err := plant(tree, files, perDir); err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	time.Sleep(5 * time.Second) // a file that changed just now is read again: its times have to age
	in := ""
	if perDir >= files {
		in = " in one directory"
	}
	for _, name := range []string{"first", "second"} {
		r, err := child("scan", b.dir, tree, "")
		if err != nil {
			return err
		}
		goal := b.verdict(r.Peak < memoryLimit, "< 64 MB")
		if name == "second" && files <= usualFiles {
			goal += ", " + b.verdict(r.Took < secondLimit, "< 3 s")
		}
		b.row(fmt.Sprintf("agent: %s scan of %d small files%s, %d read", name, r.Files, in, r.Read), r, goal)
	}
	if err := b.out.Flush(); err != nil { // removing a million files can take minutes
		return err
	}
	return os.RemoveAll(filepath.Join(b.dir, "state"))
}

// plant makes files of a few bytes in directories.
func plant(tree string, files, perDir int) error {
	dir := ""
	for i := range files {
		if i%perDir == 0 {
			dir = filepath.Join(tree, fmt.Sprintf("d%03d", i/perDir/100), fmt.Sprintf("some-directory-%d", i/perDir))
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d.conf", i)), []byte(fmt.Sprintf("setting %d\n", i)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// budgets scans files of two sizes under some budgets and compares the rate with the budget, from below and from above.
func (b *bench) budgets() error {
	const seconds = 5
	for _, size := range []int{8 << 10, 10 << 20} {
		for _, rate := range []int{2, 20, 50} {
			tree := filepath.Join(b.dir, "budget")
			if err := fill(tree, size, rate*1e6*seconds); err != nil {
				return err
			}
			r, err := child("budget", b.dir, tree, strconv.Itoa(rate))
			if err := errors.Join(err, os.RemoveAll(tree)); err != nil {
				return err
			}
			got := float64(r.Bytes) / 1e6 / r.Took.Seconds()
			b.row(fmt.Sprintf("agent: budget of %d MB/s, files of %d KiB: %.2f MB/s", rate, size>>10, got), r,
				b.verdict(got > 0.9*float64(rate) && got < 1.1*float64(rate), "within 10 %"))
		}
	}
	return nil
}

// fill makes files of one size, total bytes together.
func fill(tree string, size, total int) error {
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	content := make([]byte, size)
	for i := range max(total/size, 1) {
		if err := os.WriteFile(filepath.Join(tree, strconv.Itoa(i)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// idling watches the usual number of files in real time while nothing happens.
func (b *bench) idling() error {
	tree := filepath.Join(b.dir, "tree")
	if err := plant(tree, usualFiles, 200); err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	time.Sleep(5 * time.Second)
	r, err := child("idle", b.dir, tree, b.idle.String())
	if err != nil {
		return err
	}
	part := 100 * r.Busy.Seconds() / b.idle.Seconds()
	b.row(fmt.Sprintf("agent: watching %d files in real time, idle: %.3f %% of a processor", r.Files, part), r,
		b.verdict(part < 0.1, "< 0.1 %"))
	return nil
}

func (b *bench) manager() error {
	r, err := child("baseline", b.dir, strconv.Itoa(usualFiles))
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("manager: baseline of %d files", usualFiles), r, b.verdict(r.Took < 3*time.Second && r.Peak < memoryLimit, "< 3 s, < 64 MB"))
	return nil
}

// warm reads a tree, so that what is measured is not the disk.
func warm(tree string) (files, bytes int64, err error) {
	err = filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what cannot be read is left out by both
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		n, _ := io.Copy(io.Discard, f)
		files, bytes = files+1, bytes+n
		return nil
	})
	return files, bytes, err
}

// child runs one measurement in a process of its own.
func child(args ...string) (result, error) {
	var r result
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.Command(self, append([]string{"measure"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return r, json.Unmarshal(out, &r)
}
