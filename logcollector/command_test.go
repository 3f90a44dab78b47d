//go:build unix

package logcollector

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
)

func commandDesk(t *testing.T, format, command string) *desk {
	d := newDesk(t, "syslog")
	d.cfg = []config.Localfile{{Format: format, Command: command, Location: command, Alias: "n"}}
	return d
}

func TestCommandThatHangsIsStoppedWithItsChildren(t *testing.T) {
	d := commandDesk(t, "command", "")
	pid := d.path("pid")
	d.cfg[0].Command = `echo before; sleep 600 & echo $! >` + pid + `; wait`
	d.opts.CommandLimit = time.Second
	d.start()
	d.expect("ossec: output: 'n': before")
	data, err := os.ReadFile(pid)
	d.ok(err)
	child, err := strconv.Atoi(strings.TrimSpace(string(data)))
	d.ok(err)
	for limit := time.Now().Add(5 * time.Second); syscall.Kill(child, 0) == nil && !zombie(child); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the child lives on")
		}
	}
	if !strings.Contains(d.log.String(), "did not end within") {
		t.Errorf("log %q", d.log.String())
	}
}

// zombie reports whether a process has ended and only waits to be collected by whoever inherited it.
func zombie(pid int) bool {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(data), ") Z ")
}

func TestCommandDoesNotHoldFiles(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	gate := d.path("gate")
	d.ok(syscall.Mkfifo(gate, 0o640))
	d.cfg = append(d.cfg, config.Localfile{Format: "command", Command: "cat " + gate, Location: "x", Alias: "n"})
	put(t, d.path("a.log"), "")
	d.start()
	put(t, d.path("a.log"), "line\n")
	d.now = d.now.Add(2 * time.Second)
	d.ok(d.c.pass()) // the command waits for a writer
	if len(d.got) != 1 {
		t.Errorf("%q", d.got)
	}
	d.ok(d.c.pass())
	d.ok(d.c.pass()) // it is not started a second time
	put(t, gate, "out\n")
	d.c.work.Wait()
	if got := texts(d.got); len(got) != 2 || got[1] != "ossec: output: 'n': out" {
		t.Errorf("%q", got)
	}
}

func TestCommandWithMuchOutputIsBounded(t *testing.T) {
	d := commandDesk(t, "command", "yes | head -c 6000000")
	d.start()
	if n := len(d.pass()); n != maxOutput/2 {
		t.Errorf("%d events, want %d", n, maxOutput/2)
	}
	if !strings.Contains(d.log.String(), "were left out") {
		t.Errorf("log %q", d.log.String())
	}
	d = commandDesk(t, "full_command", "yes | head -c 6000000")
	d.start()
	if got := d.pass(); len(got) != 1 || len(got[0]) > maxEvent {
		t.Errorf("%d events", len(got))
	}
}

func TestCommandWithoutNewlineOrWithNUL(t *testing.T) {
	d := commandDesk(t, "command", `printf 'a\000b\n\nc'`)
	d.start()
	d.expect("ossec: output: 'n': a b", "ossec: output: 'n': ", "ossec: output: 'n': c")
}
