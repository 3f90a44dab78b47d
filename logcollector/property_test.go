package logcollector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// history is a log that is written, rotated and truncated at random while a collector reads it, is stopped, fails or is killed.
type history struct {
	t     *testing.T
	r     *rand.Rand
	dir   string
	cfg   config.Localfile
	c     *Collector
	tick  time.Time // of the collector
	mtime time.Time // of the next change to a file
	got   []int     // numbers of the lines that arrived
	said  []string  // what happened, for failures

	wrote    int    // lines completed
	begun    string // unterminated line at the end of the log
	copies   int    // how often the log is copied and emptied
	killed   bool
	failNext int // sends until one fails; 0 = none does
}

func (h *history) Send(_ context.Context, m event.Message) error {
	if h.failNext > 0 {
		if h.failNext--; h.failNext == 0 {
			return errors.New("receiver gone")
		}
	}
	if m.Kind != event.KindLog || strings.HasPrefix(m.Location, "ossec-") {
		return nil
	}
	for _, w := range strings.Fields(m.Text) {
		if n, ok := strings.CutPrefix(w, "n="); ok {
			i, err := strconv.Atoi(n)
			if err != nil {
				h.t.Errorf("broken line %q", m.Text)
			}
			h.got = append(h.got, i)
		}
	}
	return nil
}

func (h *history) path() string { return filepath.Join(h.dir, "a.log") }

// touch gives every change its own time, as it has outside of tests.
func (h *history) touch(path string) {
	h.mtime = h.mtime.Add(time.Second)
	if err := os.Chtimes(path, h.mtime, h.mtime); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) append(text string) {
	f, err := os.OpenFile(h.path(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.touch(h.path())
}

func (h *history) write() {
	var b strings.Builder
	for range 1 + h.r.IntN(20) {
		line := h.begun
		h.begun = ""
		if line == "" {
			line = h.line()
		} else {
			line = line[1:] // what is left of it
		}
		b.WriteString(line + "\n")
		h.wrote++
	}
	if h.r.IntN(3) == 0 { // a line that is ended later
		line := h.line()
		cut := 1 + h.r.IntN(len(line)-1)
		b.WriteString(line[:cut])
		h.begun = "+" + line[cut:]
	}
	h.append(b.String())
}

func (h *history) line() string {
	return fmt.Sprintf("n=%d %s", h.wrote, strings.Repeat("x", h.r.IntN(300)))
}

// end ends a begun line, as programs do before they rotate.
func (h *history) end() {
	if h.begun != "" {
		h.append(h.begun[1:] + "\n")
		h.begun = ""
		h.wrote++
	}
}

func (h *history) shift() {
	for i := 8; i >= 1; i-- {
		os.Rename(h.path()+"."+strconv.Itoa(i), h.path()+"."+strconv.Itoa(i+1)) //nolint:errcheck // most do not exist
	}
}

func (h *history) rename() {
	h.end()
	h.shift()
	if err := os.Rename(h.path(), h.path()+".1"); err != nil {
		h.t.Fatal(err)
	}
	h.append("")
}

func (h *history) copyTruncate() {
	h.end()
	h.shift()
	data, err := os.ReadFile(h.path())
	if err == nil {
		err = os.WriteFile(h.path()+".1", data, 0o640)
	}
	if err == nil {
		h.touch(h.path() + ".1")
		err = os.Truncate(h.path(), 0)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.touch(h.path())
}

func (h *history) pass() {
	h.tick = h.tick.Add(2 * time.Second)
	err := h.c.pass()
	h.c.quietAll()
	for try := 0; err != nil && try < 3; try++ {
		h.said = append(h.said, "fails")
		h.c.end() //nolint:errcheck // a test directory
		h.c.err = nil
		h.c.begin()
		err = h.c.pass()
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) open() {
	c, err := New([]config.Localfile{h.cfg}, h, nil, Options{PositionFile: filepath.Join(h.dir, "positions"), Now: func() time.Time { return h.tick }})
	if err != nil {
		h.t.Fatal(err)
	}
	c.ctx = h.t.Context()
	c.begin()
	h.c = c
}

func (h *history) restart() {
	if err := h.c.end(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

// kill leaves the store as it was last saved.
func (h *history) kill() {
	h.killed = true
	for _, w := range h.c.order {
		w.close()
	}
	h.open()
}

func (h *history) step() {
	acts := []struct {
		name   string
		weight int
		do     func()
	}{
		{"write", 10, h.write},
		{"pass", 10, h.pass},
		{"rename", 2, h.rename},
		{"copytruncate", h.copies, h.copyTruncate},
		{"restart", 2, h.restart},
		{"kill", 1, h.kill},
		{"save", 2, func() { h.c.save() }}, //nolint:errcheck // a test directory
		{"fail soon", 1, func() { h.failNext = 1 + h.r.IntN(40) }},
		{"clean", 1, func() { // what is read may be deleted, and its inode used anew
			h.failNext = 0
			h.end()
			for range 3 { // files that were renamed are followed for a while under their old names first
				h.pass()
				h.tick = h.tick.Add(2 * goneAfter)
			}
			h.c.save() //nolint:errcheck // a test directory
			for i := 1; i < 10; i++ {
				os.Remove(h.path() + "." + strconv.Itoa(i)) //nolint:errcheck // may not exist
			}
		}},
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := h.r.IntN(total)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			h.said = append(h.said, a.name)
			a.do()
			return
		}
	}
}

func (h *history) check(ordered bool) {
	first := make([]int, 0, len(h.got))
	seen := map[int]bool{}
	for _, n := range h.got {
		if !seen[n] {
			seen[n] = true
			first = append(first, n)
		} else if !h.killed && (ordered || h.copies == 0) { // a copy with a name of its own may be taken for another log
			h.t.Errorf("line %d came twice", n)
		}
	}
	for i := range h.wrote {
		if !seen[i] {
			h.t.Errorf("line %d is lost", i)
		}
	}
	if ordered && !slices.IsSorted(first) {
		h.t.Errorf("order is broken: %v", first)
	}
}

func TestNoLineIsLostOrReordered(t *testing.T) {
	variants := []struct {
		name    string
		cfg     config.Localfile
		ordered bool // with one name; files that a glob names are read side by side
		copies  int
	}{
		{"plain", config.Localfile{Location: "a.log", Format: "syslog"}, true, 2},
		{"pairs", config.Localfile{Location: "a.log", Format: "multi-line", Lines: 2}, true, 2},
		{"indented", config.Localfile{Location: "a.log", Format: "multi-line_indented"}, true, 2},
		{"glob that matches rotated names", config.Localfile{Location: "a.log*", Format: "syslog"}, false, 0},
		{"glob that matches copies", config.Localfile{Location: "a.log*", Format: "syslog"}, false, 2},
	}
	runs := 60
	if testing.Short() {
		runs = 20
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			for seed := range runs {
				runHistory(t, v.cfg, uint64(seed), v.ordered, v.copies)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func runHistory(t *testing.T, cfg config.Localfile, seed uint64, ordered bool, copies int) {
	h := &history{t: t, r: rand.New(rand.NewPCG(seed, 1)), dir: t.TempDir(), cfg: cfg, copies: copies, tick: time.Now(), mtime: time.Now().Add(-time.Hour)}
	h.cfg.Location = filepath.Join(h.dir, cfg.Location)
	h.append("")
	h.open()
	for range 60 {
		h.step()
	}
	h.failNext = 0
	h.end()
	for range 3 {
		h.pass()
		h.tick = h.tick.Add(time.Minute)
		h.c.quietAll()
	}
	for _, w := range h.c.order {
		h.c.finish(w) // half of a pair
	}
	h.check(ordered)
	h.c.end() //nolint:errcheck // a test directory
	if t.Failed() {
		t.Errorf("seed %d: %s", seed, strings.Join(h.said, ", "))
	}
	os.RemoveAll(h.dir)
}
