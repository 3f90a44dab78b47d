package agentlink

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// newSimulated is an agent of OSSEC: its numbers begin at 0:1, whatever the manager remembers.
func newSimulated(t *testing.T, m *managerSide) *simulated {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return &simulated{conn: conn, to: m.addr, key: keys.Parse([]byte(keyLine)).First(), buf: make([]byte, 8192)}
}

// TestReinstalledAgentOfATakenOverManager installs an agent again whose old numbers the manager knows only from OSSEC's counter file, so that no single
// startup message proves that it is no recording. Nobody deletes files.
func TestReinstalledAgentOfATakenOverManager(t *testing.T) {
	root := newRoot(t, keyLine)
	must(t, os.MkdirAll(filepath.Join(root, "queue/rids"), 0o750))
	must(t, os.WriteFile(filepath.Join(root, "queue/rids/007"), []byte("999:9990:"), 0o640))
	m := startManager(t, managerOptions{root: root})
	for life := range 2 {
		s := newSimulated(t, m)
		isAck := func(answer string) bool { return answer == ackText }
		must(t, s.ask(agentwire.Header+agentwire.Startup, isAck))
		must(t, s.say("1:/log:"+numbered(life)))
		must(t, s.ask(agentwire.BuildKeepalive(agentwire.KeepaliveParts{System: "Linux"}), isAck))
		eventually(t, "the event", func() bool { return m.got.find(numbered(life)) != nil })
	}
	if n := len(m.got.texts("/log")); n != 2 {
		t.Errorf("%d events", n)
	}
	if log := m.logs.all(); !strings.Contains(log, "(1404): ERROR: Authentication error. Wrong key from '127.0.0.1'.") {
		t.Errorf("the first startup messages were not refused:\n%s", log)
	}
}
