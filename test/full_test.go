//go:build linux

package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/smalldisk"
)

// smallDisk mounts a small file system over a directory of an install.
func (in install) smallDisk(p string, size int) {
	in.t.Helper()
	path := in.path(p)
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		in.t.Fatal(err)
	}
	opts := fmt.Sprintf("size=%d,mode=%o,uid=%d,gid=%d", size, st.Mode&0o7777, st.Uid, st.Gid)
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, opts); err != nil {
		in.t.Skip("no mounts here: ", err)
	}
	in.t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			in.t.Error(err)
		}
	})
}

// TestManagerOnAFullDisk fills the disk of a manager's archives. What it cannot write it does not confirm: the agent keeps it, and when the
// manager is killed, or stopped in order, and comes back with room on its disk it gets all of it.
func TestManagerOnAFullDisk(t *testing.T) {
	t.Run("killed", func(t *testing.T) { managerEndsOnAFullDisk(t, "fk", func(m install) { kill(t, m) }) })
	t.Run("stopped", func(t *testing.T) { managerEndsOnAFullDisk(t, "fs", func(m install) { m.control("stop") }) })
}

func managerEndsOnAFullDisk(t *testing.T, host string, end func(install)) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host(host+"m"), n.host(host+"a")
	n.link(m, "10.78.9.1", a, "10.78.9.2")
	manager := linkManager(m)
	manager.smallDisk("logs/archives", 4<<20)
	agent := linkAgent(a, 1, client("10.78.9.1"))
	manager.control("start")
	agent.agentIsUp()
	agent.say("full", 0, 500)
	manager.awaitMarks("full", 500, 2*time.Minute)

	filler := smalldisk.Fill(t, manager.path("logs/archives"))
	agent.say("full", 500, 3000)
	manager.eventually("the manager says that the disk is full", time.Minute, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "ERROR: writing archives.log: write ") && strings.Contains(manager.read("logs/ossec.log"), "no space left on device")
	})
	agent.eventually("the agent keeps what is not confirmed", time.Minute, func() bool { return agent.spooled() > 2000*50 })
	end(manager)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	manager.control("start")
	complete := func() bool {
		got := manager.marks("full")
		slices.Sort(got)
		return len(slices.Compact(got)) == 3000
	}
	manager.eventually("every line is in the archives", 3*time.Minute, complete)

	// The same without an end: the disk has room again, and nothing was lost or doubled meanwhile.
	filler = smalldisk.Fill(t, manager.path("logs/archives"))
	agent.say("again", 0, 2000)
	agent.eventually("the agent keeps what is not confirmed", time.Minute, func() bool { return agent.spooled() > 1200*50 })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	manager.awaitMarks("again", 2000, 3*time.Minute)
	agent.control("stop")
	manager.control("stop")
	manager.expectOnce("again", 2000, false)
	manager.expectNoRefusals()
}
