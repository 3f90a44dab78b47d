package manager

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/etc"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/layout"
	"github.com/vedette-hids/vedette/internal/olog"
)

const testConf = `<ossec_config>
  <global>
    <jsonout_output>yes</jsonout_output>
    <logall>yes</logall>
  </global>
  <rules>
    <include>rules_config.xml</include>
    <include>sshd_rules.xml</include>
    <include>syslog_rules.xml</include>
    <include>ossec_rules.xml</include>
    <include>local_rules.xml</include>
  </rules>
  <alerts>
    <log_alert_level>1</log_alert_level>
  </alerts>
</ossec_config>
`

// newRoot lays out an install root with the shipped files and the test's configuration.
func newRoot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "build")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"vedette", "vedette-manager"} {
		if err := os.WriteFile(filepath.Join(bin, p), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	if err := layout.Install(layout.Options{Root: root, Role: layout.Manager, BinDir: bin, Etc: etc.Files, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "etc", "ossec.conf"), testConf)
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// run starts a manager and returns it with a function that stops it.
func run(t *testing.T, o Options) (*App, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a, err := New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEventsOfTheQueueAndOfTheHostBecomeAlerts(t *testing.T) {
	defer goleak.VerifyNone(t)
	root := newRoot(t)
	a, stop := run(t, Options{Root: root, Log: olog.New(filepath.Join(root, "logs", "ossec.log"), nil)})
	conn, err := net.Dial("unixgram", filepath.Join(root, "queue", "ossec", "queue"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const fail = "Oct  5 08:09:15 box sshd[1]: Failed password for root from 192.0.2.9 port 1 ssh2"
	if _, err := conn.Write([]byte("1:(web) 10.0.0.5->/var/log/auth.log:" + fail + "\x00")); err != nil {
		t.Fatal(err)
	}
	local := event.Message{Kind: event.KindLog, Location: "/var/log/auth.log", Text: strings.Replace(fail, "box", "home", 1)}
	if err := a.Local().Send(t.Context(), local); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"0:33188:0:0:d41d8cd98f00b204e9800998ecf8427e:da39a3ee5e6b4b0d3255bfef95601890afd80709 /etc/x",
		"1:33188:0:0:0cc175b9c0f1b6a831c399e269772661:86f7e437faa5a7fce15d1ddcb9eaeaea377667b8 /etc/x\n1c1\n< a\n---\n> b\n"} {
		if err := a.Local().Send(t.Context(), event.Message{Kind: event.KindSyscheck, Location: "syscheck", Text: text}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Local().Send(t.Context(), event.Message{Kind: event.KindRootcheck, Location: "rootcheck", Text: "File '/etc/y' is owned by root and has written permissions to anyone."}); err != nil {
		t.Fatal(err)
	}
	// A stop analyses what was taken in before it; the datagram is read by then because the queue has been emptied first.
	for end := time.Now().Add(10 * time.Second); a.pipe.Counters().Received < 5 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	log := read(t, filepath.Join(root, "logs", "alerts", "alerts.log"))
	for _, want := range []string{
		" (web) 10.0.0.5->/var/log/auth.log\nRule: 5716 (level 5) -> '", " home->/var/log/auth.log\nRule: 5716 (level 5) -> '",
		"Rule: 550 (level 7) -> '", "What changed:\n1c1\n< a\n---\n> b\n", "Rule: 510 (level 7) -> '",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("alerts.log lacks %q:\n%s", want, log)
		}
	}
	if n := strings.Count(read(t, filepath.Join(root, "logs", "alerts", "alerts.json")), "\n"); n != strings.Count(log, "** Alert") {
		t.Errorf("alerts.json has %d lines, alerts.log %d entries", n, strings.Count(log, "** Alert"))
	}
	if archive := read(t, filepath.Join(root, "logs", "archives", "archives.log")); strings.Count(archive, "sshd[1]") != 2 {
		t.Errorf("archives.log:\n%s", archive)
	}
	if _, err := os.Stat(filepath.Join(root, "queue", "ossec", "queue")); err == nil {
		t.Error("the queue's socket is left behind")
	}
}

func TestEveryProblemOfEveryFileIsReportedAtOnce(t *testing.T) {
	root := newRoot(t)
	write(t, filepath.Join(root, "etc", "ossec.conf"), strings.Replace(testConf, "<log_alert_level>1<", "<log_alert_level>high<", 1))
	write(t, filepath.Join(root, "etc", "local_decoder.xml"), "<decoder name=\"x\">\n  <prematch>^(</prematch>\n</decoder>\n")
	write(t, filepath.Join(root, "rules", "local_rules.xml"),
		"<group name=\"local,\">\n  <rule id=\"100010\" level=\"3\">\n    <if_sid>99999</if_sid>\n    <colour>red</colour>\n  </rule>\n</group>\n")
	write(t, filepath.Join(root, "etc", "client.keys"), "001 good 10.0.0.1 key\n002 bad 10.0.0.300 key\n")
	before := read(t, filepath.Join(root, "logs", "ossec.log"))
	_, err := New(t.Context(), Options{Root: root})
	if err == nil {
		t.Fatal("a manager started with a broken configuration")
	}
	for _, want := range []string{"ossec.conf:14", "log_alert_level", "high", "local_decoder.xml:2", "Decoder 'x', <prematch>", "local_rules.xml:4", "colour", "client.keys:2", "10.0.0.300"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not name %q:\n%v", want, err)
		}
	}
	if read(t, filepath.Join(root, "logs", "ossec.log")) != before {
		t.Error("a refused start wrote to the log")
	}
	if _, err := os.Stat(filepath.Join(root, "queue", "ossec", "queue")); err == nil {
		t.Error("a refused start left a socket")
	}
}

func TestReloadUsesNewRulesAndRefusesBrokenOnes(t *testing.T) {
	defer goleak.VerifyNone(t)
	root := newRoot(t)
	a, stop := run(t, Options{Root: root})
	send := func(text string, n uint64) {
		t.Helper()
		if err := a.Local().Send(t.Context(), event.Message{Kind: event.KindLog, Location: "/var/log/app.log", Text: text}); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); a.pipe.Counters().Received < n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the event was not analysed")
			}
		}
	}
	local := filepath.Join(root, "rules", "local_rules.xml")
	write(t, local, "<group name=\"local,\"><rule id=\"100020\" level=\"9\"><match>sesame</match><description>Opened.</description></rule></group>\n")
	if err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	send("open sesame", 1)
	write(t, local, "<group name=\"local,\"><rule id=\"100020\" level=\"9\"><match>sesame</match></group>\n")
	if err := a.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "local_rules.xml:") {
		t.Errorf("reload of a broken file: %v", err)
	}
	send("open sesame again", 2)
	stop()
	if log := read(t, filepath.Join(root, "logs", "alerts", "alerts.log")); strings.Count(log, "Rule: 100020 (level 9) -> 'Opened.'") != 2 {
		t.Errorf("alerts.log:\n%s", log)
	}
}

// TestStateFileCountsWhatTheListenersRefuse sends a packet of nobody's to the agents' port and a line to the syslog port, which refuses the sender.
func TestStateFileCountsWhatTheListenersRefuse(t *testing.T) {
	root := newRoot(t)
	secure, plain := freeUDP(t), freeUDP(t)
	remotes := fmt.Sprintf(`<remote><connection>secure</connection><port>%d</port><local_ip>127.0.0.1</local_ip></remote>`+
		`<remote><connection>syslog</connection><port>%d</port><local_ip>127.0.0.1</local_ip><allowed-ips>192.0.2.1</allowed-ips></remote></ossec_config>`, secure, plain)
	write(t, filepath.Join(root, "etc", "ossec.conf"), strings.Replace(testConf, "</ossec_config>", remotes, 1))
	a, stop := run(t, Options{Root: root})
	for port, text := range map[int]string{secure: "!777!#AES:nobody", plain: "<13>hello"} {
		c, err := net.Dial("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	counters := func() map[string]uint64 {
		m := map[string]uint64{}
		for _, c := range a.stateFile().Counters() {
			m[c.Name] = c.Value
		}
		return m
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c := counters()
		if c["remoted_packets"] == 1 && c["remoted_unknown_agent"] == 1 && c["remoted_refused"] == 1 && c["syslog_refused"] == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%v", c)
		}
	}
	c := counters()
	for _, name := range []string{"remoted_kernel_lost", "syslog_kernel_lost", "remoted_events"} {
		if n, there := c[name]; !there || n != 0 {
			t.Errorf("%s: %d, there: %v", name, n, there)
		}
	}
	stop()
}

// freeUDP finds a port that nobody uses.
func freeUDP(t *testing.T) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}
