package agentlink

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/agent/forward"
)

// TestThereAndBack is the shortest way through everything: start exchange, keepalive, event, shared files, command.
func TestThereAndBack(t *testing.T) {
	for _, c := range []struct {
		name     string
		tcp, aes bool
	}{{"udp aes", false, true}, {"udp blowfish", false, false}, {"tcp aes", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			mroot := newRoot(t, keyLine)
			big := strings.Repeat("a line of a shared file\n", 5000)
			must(t, os.WriteFile(filepath.Join(mroot, "etc/shared/agent.conf"), []byte("<agent_config></agent_config>\n"), 0o640))
			must(t, os.WriteFile(filepath.Join(mroot, "etc/shared/big list.txt"), []byte(big), 0o640))
			m := startManager(t, managerOptions{root: mroot, tcp: c.tcp})
			a := startAgent(t, newRoot(t, keyLine), []netip.AddrPort{m.addr}, func(o *forward.Options) {
				o.Client.AES = c.aes
				o.Client.Servers[0].TCP = c.tcp
				o.System = "Linux host 6.1 #1 x86_64 - OSSEC HIDS v4.2.0"
			})
			a.connected(t)
			a.send(t, "/var/log/auth.log", "Nov 23 02:00:00 web-01 sshd[99]: hello")
			eventually(t, "event arrives", func() bool { return m.got.find("sshd[99]: hello") != nil })

			ev := m.got.find("sshd[99]: hello")
			if ev.Agent == nil || ev.Agent.ID != "007" || ev.Location != "(web-01) any->/var/log/auth.log" {
				t.Errorf("event %+v", ev)
			}
			if ev := m.got.find("Agent started"); ev == nil || ev.Raw != "ossec: Agent started: 'web-01->any'." || ev.Source != "ossec" {
				t.Errorf("start event %+v", ev)
			}
			if got := m.got.texts("syscheck"); len(got) != 2 || !strings.HasSuffix(got[0], " /var/ossec/etc/ossec.conf") ||
				got[1] != "-1 /var/ossec/etc/internal_options.conf" {
				t.Errorf("integrity messages %q", got)
			}
			cipher := map[bool]string{true: "aes", false: "blowfish"}[c.aes]
			info := filepath.Join(mroot, "queue/agent-info/web-01-any")
			eventually(t, "agent-info", func() bool {
				b, _ := os.ReadFile(info)
				return string(b) == "Linux host 6.1 #1 x86_64 - OSSEC HIDS v4.2.0\ncrypto_method:"+cipher+"\nagent_conf:\nprofile:\n"
			})
			eventually(t, "shared files", func() bool {
				got, _ := os.ReadFile(filepath.Join(a.root, "etc/shared/big list.txt"))
				conf, _ := os.ReadFile(filepath.Join(a.root, "etc/shared/agent.conf"))
				return string(got) == big && string(conf) == "<agent_config></agent_config>\n"
			})
			must(t, m.fleet.Rescan("007"))
			if cmd := <-a.commands; !cmd.Rescan {
				t.Errorf("command %+v", cmd)
			}
			sendAR(t, m.root, "(web-01) any->/var/log/my logs/x NRN (null) host-deny600 - 203.0.113.7 1700000000.1234 5712 (web-01) any->/var/log/x -")
			cmd := <-a.commands
			if r := cmd.Respond; r == nil || r.Name != "host-deny600" || r.IP != "203.0.113.7" || r.RuleID != "5712" || r.Location != "(web-01) any->/var/log/x" || r.Filename != "-" {
				t.Errorf("command %+v", cmd.Respond)
			}
			if st, ok := m.fleet.Agent("007"); !ok || !st.Connected || !st.Vedette {
				t.Errorf("status %+v", st)
			}
			for _, line := range []string{"ossec-agentd: INFO: Server 1: 127.0.0.1", "ossec-agentd(4102): INFO: Connected to server 127.0.0.1, port"} {
				if a.logs.count(line) != 1 {
					t.Errorf("agent log lacks %q:\n%s", line, a.logs.all())
				}
			}
			a.stop()
			m.stop()
			if bad := m.logs.all(); strings.Contains(bad, "ERROR") {
				t.Errorf("manager log:\n%s", bad)
			}
			if bad := a.logs.all(); strings.Contains(bad, "ERROR") {
				t.Errorf("agent log:\n%s", bad)
			}
		})
	}
}

// sendAR writes to queue/alerts/ar, which may appear a moment after the start.
func sendAR(t *testing.T, root, text string) {
	t.Helper()
	var c net.Conn
	eventually(t, "queue/alerts/ar", func() (ok bool) {
		var err error
		c, err = net.Dial("unixgram", filepath.Join(root, "queue/alerts/ar"))
		return err == nil
	})
	defer c.Close()
	_, err := c.Write([]byte(text))
	must(t, err)
}
