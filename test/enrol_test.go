//go:build linux

package test

import (
	"maps"
	"strings"
	"testing"
	"time"
)

// TestEnrolment lets a new agent fetch its key from a running manager that has a password, and connect, without a restart of the manager. With
// another password there is no key.
func TestEnrolment(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("enrm"), n.host("enra")
	n.link(m, "10.78.5.1", a, "10.78.5.2")
	manager := linkManager(m)
	manager.write("etc/client.keys", "")
	manager.write("etc/authd.pass", "swordfish and more\n")
	agent := linkAgent(a, 1, client("10.78.5.1"))
	agent.write("etc/client.keys", "")
	manager.control("start")
	pids := pidsOf(manager)
	manager.eventually("the manager takes enrolments", 30*time.Second, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "ossec-authd: INFO: Accepting connections. Using password specified on file: ")
	})

	agent.write("etc/authd.pass", "swordfish\n")
	out, err := agent.try("", agent.bin("agent-auth"), "-m", "10.78.5.1", "-A", "intruder")
	if strings.Contains(agent.read("etc/client.keys")+manager.read("etc/client.keys"), "intruder") {
		t.Errorf("a key for a wrong password: %v\n%s", err, out)
	}
	manager.eventually("the wrong password is logged", 10*time.Second, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "Invalid password provided by 10.78.5.2. Closing connection.")
	})

	agent.write("etc/password", "swordfish and more\n")
	out = agent.run("", agent.bin("agent-auth"), "-m", "10.78.5.1", "-A", "new-host", "-P", agent.path("etc/password"))
	if !strings.Contains(out, "Valid key created. Finished.") {
		t.Errorf("agent-auth says\n%s", out)
	}
	key := agent.read("etc/client.keys")
	if !strings.HasPrefix(key, "1024 new-host any ") || manager.read("etc/client.keys") != key {
		t.Errorf("agent has %q, manager has %q", key, manager.read("etc/client.keys"))
	}
	agent.agentIsUp()
	agent.say("enrolled", 0, 10)
	manager.awaitMarks("enrolled", 10, 30*time.Second)
	if now := pidsOf(manager); len(pids) == 0 || !maps.Equal(now, pids) {
		t.Errorf("the manager was restarted: %v, then %v", pids, now)
	}
	agent.control("stop")
	manager.control("stop")
	manager.expectOnce("enrolled", 10, true)
	manager.expectNoRefusals()
}
