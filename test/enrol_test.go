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
	manager.eventually("the manager takes enrolments", 2*time.Minute, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "ossec-authd: INFO: Accepting connections. Using password specified on file: ")
	})

	agent.write("etc/authd.pass", "swordfish\n")
	out, err := agent.try("", agent.bin("agent-auth"), "-m", "10.78.5.1", "-A", "intruder")
	if strings.Contains(agent.read("etc/client.keys")+manager.read("etc/client.keys"), "intruder") {
		t.Errorf("a key for a wrong password: %v\n%s", err, out)
	}
	manager.eventually("the wrong password is logged", 2*time.Minute, func() bool {
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
	manager.awaitMarks("enrolled", 10, 2*time.Minute)
	if now := pidsOf(manager); len(pids) == 0 || !maps.Equal(now, pids) {
		t.Errorf("the manager was restarted: %v, then %v", pids, now)
	}
	agent.control("stop")
	manager.control("stop")
	manager.expectOnce("enrolled", 10, true)
	manager.expectNoRefusals()
}

// TestEnrolmentAsConfigured sets everything that <auth> has, and lets the same host enrol twice: the second time it takes its own place.
func TestEnrolmentAsConfigured(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("autm"), n.host("auta")
	n.link(m, "10.78.6.1", a, "10.78.6.2")
	manager := installOn(m, "manager", strings.Replace(linkManagerConf, "<alerts>", "<auth><port>1615</port><local_ip>10.78.6.1</local_ip><use_password>no</use_password>"+
		"<use_source_ip>yes</use_source_ip><force_insert>yes</force_insert><force_time>0</force_time></auth><alerts>", 1))
	t.Cleanup(func() { stopInstall(manager) })
	manager.write("etc/client.keys", "")
	agent := linkAgent(a, 1, client("10.78.6.1"))
	manager.control("start")
	manager.eventually("the manager takes enrolments", 2*time.Minute, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "ossec-authd: INFO: Accepting connections. No password required (not recommended)")
	})
	for _, want := range []string{"1024 new-host 10.78.6.2 ", "1025 new-host 10.78.6.2 "} {
		out := agent.run("", agent.bin("agent-auth"), "-m", "10.78.6.1", "-p", "1615", "-A", "new-host")
		if key := agent.read("etc/client.keys"); !strings.HasPrefix(key, want) || !strings.HasSuffix(manager.read("etc/client.keys"), key) {
			t.Fatalf("agent has %q, manager has %q\n%s", key, manager.read("etc/client.keys"), out)
		}
	}
	if all := manager.read("etc/client.keys"); !strings.HasPrefix(all, "1024 #*#") {
		t.Errorf("the old key is left: %q", all)
	}
	agent.agentIsUp()
	agent.control("stop")
	manager.control("stop")
}
