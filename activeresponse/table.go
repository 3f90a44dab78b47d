package activeresponse

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/olog"
)

// maxSeconds bounds a timeout: a hundred years.
const maxSeconds = 100 * 365 * 24 * 3600

// arTable is the content of ar.conf as the executor last read it.
type arTable struct {
	path    string // of ar.conf
	bin     string // active-response/bin
	log     *olog.Log
	resolve func(executable string) (program, error)

	read    bool // was read at least once
	entries map[string]config.ResponseEntry
	absent  map[string]bool // names whose programs are not on this system
	stamp   fs.FileInfo     // of the file that was read; nil = none

	rereads int // re-readings caused by unknown names since window
	window  time.Time
}

// maxRereads is how often in a minute an unknown name makes the file be read again although it did not change.
const maxRereads = 60

// lookup finds a name. known is false for a name that the file does not have, here for one whose program this system has.
func (t *arTable) lookup(name string, now time.Time) (e config.ResponseEntry, known, here bool) {
	fresh := false
	if !t.read || t.changed() {
		t.load()
		fresh = true
	}
	if e, ok := t.entries[name]; ok {
		return e, true, true
	}
	if t.absent[name] {
		return e, true, false
	}
	if now.Sub(t.window) >= time.Minute {
		t.window, t.rereads = now, 0
	}
	if !fresh && t.rereads < maxRereads {
		t.rereads++
		t.load()
	}
	e, ok := t.entries[name]
	return e, ok || t.absent[name], ok
}

// all gives the entries whose programs are here.
func (t *arTable) all() []config.ResponseEntry {
	if !t.read || t.changed() {
		t.load()
	}
	return slices.SortedFunc(maps.Values(t.entries), func(a, b config.ResponseEntry) int { return a.Line - b.Line })
}

// changed reports whether the file is another one than the one that was read.
func (t *arTable) changed() bool {
	now, err := os.Stat(t.path)
	if err != nil || t.stamp == nil {
		return err == nil || t.stamp != nil
	}
	return !os.SameFile(now, t.stamp) || now.Size() != t.stamp.Size() || !now.ModTime().Equal(t.stamp.ModTime())
}

// load reads the file. A missing file leaves an empty table.
func (t *arTable) load() {
	first := !t.read
	t.entries, t.absent = map[string]config.ResponseEntry{}, map[string]bool{}
	t.stamp, _ = os.Stat(t.path)
	data, err := os.ReadFile(t.path)
	if err != nil {
		t.log.Code(1103, "ERROR", "Could not open file '%s' due to [%s].", t.path, errno(err))
		return
	}
	t.read = true
	entries, problems := config.ParseARConf(t.path, data)
	for _, e := range entries {
		problems = t.report(problems, e.Line)
		t.add(e, first)
	}
	t.report(problems, math.MaxInt)
}

// report logs the problems up to a line and gives the rest.
func (t *arTable) report(ps config.Problems, line int) config.Problems {
	for len(ps) > 0 && ps[0].Pos.Line <= line {
		if level, text, ok := strings.Cut(ps[0].Text, ": "); ok && ps[0].Code != 0 {
			t.log.Code(ps[0].Code, level, "%s", text)
		} else {
			t.log.Text("%s", ps[0].Text)
		}
		ps = ps[1:]
	}
	return ps
}

func (t *arTable) add(e config.ResponseEntry, first bool) {
	_, err := t.resolve(e.Executable)
	switch {
	case err == nil || !first || e.Executable == "":
	case errors.Is(err, fs.ErrNotExist):
		t.log.Info("Active response command not present: '%s'. Not using it on this system.", t.bin+"/"+e.Executable)
	default:
		t.log.Error("Active response command not used: %v.", err)
	}
	if _, dup := t.entries[e.Name]; dup {
		return
	}
	if err != nil {
		t.absent[e.Name] = true
		return
	}
	delete(t.absent, e.Name)
	e.Timeout = min(max(e.Timeout, -maxSeconds), maxSeconds)
	t.entries[e.Name] = e
}

// errno writes an error of the system as OSSEC does: "(2)-(No such file or directory)".
func errno(err error) string {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err.Error()
	}
	return fmt.Sprintf("(%d)-(%s)", int(no), strerror(no))
}

// strerror gives the C library's spelling of the common errors.
func strerror(no syscall.Errno) string {
	s := no.Error()
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// cause gives the system's word for an error, without what we put around it.
func cause(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return strerror(no)
	}
	return err.Error()
}
