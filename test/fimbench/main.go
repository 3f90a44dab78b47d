//go:build linux

// Command fimbench measures file integrity and prints a table: the first scan of a tree with three digests beside AIDE's on the same tree,
// scans of an unchanged tree, and the memory of agent and manager. Each measurement is a process of its own, so that its peak memory
// counts. Without AIDE its lines are left out.
//
//	go run ./test/fimbench                        # /usr, and made trees of 128,000 and of a million files
//	go run ./test/fimbench -tree /opt -million 0  # another tree, without the million
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// result of one measured process.
type result struct {
	Took  time.Duration
	CPU   time.Duration // user and system
	Peak  int64         // bytes: highest resident memory
	Anon  int64         // bytes: resident memory at the end that is not file cache
	Files int64
	Read  int64 // files read
}

const (
	usualFiles = 128_000
	firstLimit = 5 // the first scan takes at most this part of AIDE's time
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "measure" {
		measure(os.Args[2:])
		return
	}
	tree := flag.String("tree", "/usr", "tree for the first scan and for AIDE")
	million := flag.Int("million", 1_000_000, "files of the largest tree, 0 = leave it out")
	dir := flag.String("dir", "", "`directory` for made trees and state; default: a temporary one")
	flag.Parse()
	if err := run(*tree, *million, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "fimbench:", err)
		os.Exit(1)
	}
}

type bench struct {
	dir string
	out *tabwriter.Writer
}

func run(tree string, million int, dir string) error {
	tmp, err := os.MkdirTemp(dir, "fimbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b := &bench{dir: tmp, out: tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	files, bytes, err := warm(tree)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d files, %.1f GB, read once before so that both find it in the cache; %d processors\n\n", tree, files, float64(bytes)/1e9, runtime.NumCPU())
	fmt.Fprintln(b.out, "what\ttime\tCPU\tpeak memory\tgoal\t")
	if err := b.realTree(tree); err != nil {
		return err
	}
	if err := b.madeTree(usualFiles); err != nil {
		return err
	}
	if million > 0 {
		if err := b.madeTree(million); err != nil {
			return err
		}
	}
	r, err := child("baseline", b.dir, strconv.Itoa(usualFiles))
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("manager: baseline of %d files", usualFiles), r, verdict(r.Took < 3*time.Second && r.Peak < 64<<20, "< 3 s, < 64 MB"))
	return b.out.Flush()
}

func (b *bench) row(what string, r result, goal string) {
	fmt.Fprintf(b.out, "%s\t%s\t%s\t%.0f MB\t%s\t\n", what, seconds(r.Took), seconds(r.CPU), float64(r.Peak)/(1<<20), goal)
}

// compare is the verdict on a first scan beside AIDE's.
func compare(aide, ours result) string {
	goal := fmt.Sprintf("1/%d of AIDE's time", firstLimit)
	if aide.Took == 0 {
		return goal + ": AIDE is not installed"
	}
	return verdict(ours.Took*firstLimit <= aide.Took, goal) + fmt.Sprintf(" (1/%.1f)", float64(aide.Took)/float64(ours.Took))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func verdict(met bool, goal string) string {
	if met {
		return goal + ": met"
	}
	return goal + ": MISSED"
}

// realTree compares with AIDE.
func (b *bench) realTree(tree string) error {
	first, err := child("scan", b.dir, tree)
	if err != nil {
		return err
	}
	second, err := child("scan", b.dir, tree)
	if err != nil {
		return err
	}
	a, err := b.aide(tree)
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("agent: first scan of %s, %d files", tree, first.Files), first, compare(a.first, first))
	b.row(fmt.Sprintf("agent: second scan of it, %d files read", second.Read), second, "")
	if a.first.Took > 0 {
		b.row("AIDE: the same tree, as it comes", a.first, "")
		b.row("AIDE: with a worker per processor", a.spread, "")
		b.row("AIDE: check of the unchanged tree, with a worker per processor", a.second, "")
	}
	return os.RemoveAll(filepath.Join(b.dir, "state"))
}

// madeTree scans a tree of small files twice.
func (b *bench) madeTree(files int) error {
	tree := filepath.Join(b.dir, "tree")
	if err := plant(tree, files); err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	time.Sleep(5 * time.Second) // a file that changed just now is read again: its times have to age
	for _, name := range []string{"first", "second"} {
		r, err := child("scan", b.dir, tree)
		if err != nil {
			return err
		}
		goal := ""
		switch {
		case files > usualFiles:
			goal = verdict(r.Peak < 64<<20, "< 64 MB")
		case name == "second":
			goal = verdict(r.Took < 3*time.Second, "< 3 s")
		}
		b.row(fmt.Sprintf("agent: %s scan of %d small files, %d read", name, r.Files, r.Read), r, goal)
	}
	return os.RemoveAll(filepath.Join(b.dir, "state"))
}

// plant makes files of a few bytes in directories of 200.
func plant(tree string, files int) error {
	for i := range files {
		dir := filepath.Join(tree, fmt.Sprintf("d%03d", i/200/100), fmt.Sprintf("some-directory-%d", i/200))
		if i%200 == 0 {
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
