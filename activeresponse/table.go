package activeresponse

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
)

// entry is one line of ar.conf.
type entry struct {
	name       string
	executable string
	timeout    int // seconds
}

// maxName is the longest response name, in bytes (spec active-response.md, section 7).
const maxName = 256

// parseTable reads the lines of ar.conf; bad counts the lines that are none.
func parseTable(data []byte) (entries []entry, bad int) {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		name, rest, ok := strings.Cut(line, " - ")
		exe, timeout, ok2 := strings.Cut(rest, " - ")
		if !ok || !ok2 || len(name) > maxName {
			bad++
			continue
		}
		entries = append(entries, entry{name, exe, leadingInt(timeout)})
	}
	return entries, bad
}

// leadingInt reads a number at the start of the text, 0 if there is none. It is kept within a hundred years of seconds.
func leadingInt(s string) int {
	s = strings.TrimLeft(s, " \t")
	n := 0
	if n < len(s) && (s[n] == '-' || s[n] == '+') {
		n++
	}
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(s[:n], 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return int(min(max(v, -maxSeconds), maxSeconds))
}

const maxSeconds = 100 * 365 * 24 * 3600

// arTable is the content of ar.conf as the executor last read it.
type arTable struct {
	path    string // of ar.conf
	bin     string // active-response/bin
	log     *olog.Log
	resolve func(executable string) (program, error)

	read    bool // was read at least once
	entries map[string]entry
	absent  map[string]bool // names whose programs are not on this system
	stamp   fs.FileInfo     // of the file that was read; nil = none

	rereads int // re-readings caused by unknown names since window
	window  time.Time
}

// maxRereads is how often in a minute an unknown name makes the file be read again although it did not change.
const maxRereads = 60

// lookup finds a name. known is false for a name that the file does not have, here for one whose program this system has.
func (t *arTable) lookup(name string, now time.Time) (e entry, known, here bool) {
	fresh := false
	if !t.read || t.changed() {
		t.load()
		fresh = true
	}
	if e, ok := t.entries[name]; ok {
		return e, true, true
	}
	if t.absent[name] {
		return entry{}, true, false
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
	t.entries, t.absent = map[string]entry{}, map[string]bool{}
	t.stamp, _ = os.Stat(t.path)
	data, err := os.ReadFile(t.path)
	if err != nil {
		t.log.Code(1103, "ERROR", "Could not open file '%s' due to [%s].", t.path, errno(err))
		return
	}
	t.read = true
	for line := range strings.Lines(string(data)) {
		es, bad := parseTable([]byte(line))
		if bad > 0 {
			t.log.Code(1313, "ERROR", "Invalid active response config: '%s'.", t.path)
			continue
		}
		t.add(es[0], first)
	}
}

func (t *arTable) add(e entry, first bool) {
	_, err := t.resolve(e.executable)
	switch {
	case errors.Is(err, errTraversal):
		t.log.Text("Active response command '%s' vulnerable to directory transversal attack. Ignoring.", e.executable)
	case errors.Is(err, fs.ErrNotExist) && first:
		t.log.Info("Active response command not present: '%s'. Not using it on this system.", t.bin+"/"+e.executable)
	case err != nil && first:
		t.log.Error("Active response command not used: %v.", err)
	}
	if _, dup := t.entries[e.name]; dup {
		return
	}
	if err != nil {
		t.absent[e.name] = true
		return
	}
	delete(t.absent, e.name)
	t.entries[e.name] = e
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
