//go:build linux

package test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// linkManagerConf archives every event and watches nothing itself.
const linkManagerConf = `<ossec_config>
  <global>
    <logall>yes</logall>
    <email_notification>no</email_notification>
  </global>
  <rules><include>rules_config.xml</include></rules>
  <remote>
    <connection>secure</connection>
    <protocol>tcp</protocol>
  </remote>
  <alerts><log_alert_level>15</log_alert_level></alerts>
  <syscheck><disabled>yes</disabled></syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
</ossec_config>
`

// linkAgentConf tails log.txt of its root; @CLIENT@ names the managers.
const linkAgentConf = `<ossec_config>
  <client>@CLIENT@<notify_time>5</notify_time><time-reconnect>16</time-reconnect></client>
  <syscheck><disabled>yes</disabled></syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
  <localfile><log_format>syslog</log_format><location>@ROOT@/log.txt</location></localfile>
</ossec_config>
`

func client(managers ...string) string {
	var b strings.Builder
	for _, m := range managers {
		b.WriteString("<server-ip>" + m + "</server-ip>")
	}
	return b.String()
}

// linkKey is a key line; all agents of these tests may have any address.
func linkKey(n int) string {
	return fmt.Sprintf("%03d agent-%d any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a19087f6e%03d\n", n, n, n)
}

func linkManager(h host) install {
	in := installOn(h, "manager", linkManagerConf)
	in.t.Cleanup(func() { stopInstall(in) })
	var all strings.Builder
	for n := range 5 {
		all.WriteString(linkKey(n + 1))
	}
	in.write("etc/client.keys", all.String())
	return in
}

func linkAgent(h host, n int, conf string) install {
	in := installOn(h, "agent", strings.ReplaceAll(linkAgentConf, "@CLIENT@", conf))
	in.t.Cleanup(func() { stopInstall(in) })
	in.write("etc/client.keys", linkKey(n))
	in.write("log.txt", "")
	return in
}

func (in install) control(action string) {
	in.t.Helper()
	in.run("", in.bin("ossec-control"), action)
}

// agentIsUp starts an agent and waits until it is connected and tails its log.
func (in install) agentIsUp() {
	in.t.Helper()
	in.control("start")
	in.eventually("the agent is connected and tails its log", 3*time.Minute, func() bool {
		log := in.read("logs/ossec.log")
		return strings.Contains(log, "ossec-agentd(4102): INFO: Connected to server") && strings.Contains(log, "Analyzing file: '"+in.path("log.txt")+"'")
	})
}

// say appends the numbered lines from..to to the agent's log.
func (in install) say(word string, from, to int) {
	in.t.Helper()
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%s box probe[7]: line %s-%06d of the link test\n", time.Now().Format("Jan _2 15:04:05"), word, i)
	}
	appendTo(in.t, in.path("log.txt"), b.String())
}

var lineMark = regexp.MustCompile(`line ([a-z]+-\d{6}) of the link test`)

// marks lists the lines of a word that a manager has archived, in order.
func (in install) marks(word string) (out []string) {
	for _, m := range lineMark.FindAllStringSubmatch(in.read("logs/archives/archives.log"), -1) {
		if strings.HasPrefix(m[1], word+"-") {
			out = append(out, m[1])
		}
	}
	return out
}

func (in install) awaitMarks(word string, n int, limit time.Duration) {
	in.t.Helper()
	in.eventually(fmt.Sprintf("%d lines %s (there are %d)", n, word, len(in.marks(word))), limit, func() bool { return len(in.marks(word)) >= n })
}

// expectOnce checks that the manager has the lines 0..n of a word, each once.
func (in install) expectOnce(word string, n int, ordered bool) {
	in.t.Helper()
	got := in.marks(word)
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("%s-%06d", word, i)
	}
	if !ordered {
		slices.Sort(got)
	}
	if !slices.Equal(got, want) {
		in.t.Errorf("%d lines %s in %s, want %d, each once (in order: %v); first difference: %s", len(got), word, in.root, n, ordered, firstDifference(got, want))
	}
}

func firstDifference(got, want []string) string {
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fmt.Sprintf("at %d: %q, want %q", i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
		}
	}
	return fmt.Sprintf("%q too many", got[len(want):min(len(want)+3, len(got))])
}

// refusals are lines about packets that a manager should never write because of a network's faults. A doubled keepalive is no such thing:
// 1407 says so, as with OSSEC.
var refusals = regexp.MustCompile(`(?m)^.*ossec-remoted.*\((?:1106|1213|1403|1404|1406|1408|2202)\).*$`)

func (in install) expectNoRefusals() {
	in.t.Helper()
	if lines := refusals.FindAllString(in.read("logs/ossec.log"), 5); lines != nil {
		in.t.Errorf("wrongly rejected:\n%s", strings.Join(lines, "\n"))
	}
}

// TestBadNetwork runs agents over a network that loses a fifth of all packets, doubles a tenth and delays a quarter. Vedette's agents lose
// nothing over UDP nor TCP; of an agent that knows no receipts exactly those events are missing of which the network delivered no copy.
func TestBadNetwork(t *testing.T) {
	t.Parallel()
	const udpLines, tcpLines, oldLines = 2000, 300, 1000
	n := newNetwork(t)
	m, a := n.host("badm"), n.host("bada")
	w := n.wire(m, "10.78.1.1", a, "10.78.1.2", 11)
	manager := linkManager(m)
	udp := linkAgent(a, 1, client("10.78.1.1"))
	tcp := linkAgent(a, 2, client("10.78.1.1")+"<protocol>tcp</protocol>")
	manager.control("start")
	bad := faults{loss: 0.2, double: 0.1, late: 0.25, delay: 30 * time.Millisecond}
	old := newOldAgent(t, a, 3, "10.78.1.2", "10.78.1.1:1514")
	if w.netem("limit", "100000", "delay", "15ms", "15ms", "loss", "20%", "duplicate", "10%") {
		bad = faults{} // the kernel does it; the wire hands on what is left, and knows what that was
	}
	w.set(bad, old.watch)
	udp.agentIsUp()
	tcp.agentIsUp()
	udp.say("udp", 0, udpLines)
	tcp.say("tcp", 0, tcpLines)
	old.connect()
	old.say("old", oldLines)
	old.await(bad == faults{}, func(delivered []string) bool {
		got := manager.marks("old")
		slices.Sort(got)
		return slices.Equal(got, delivered)
	})
	want := old.delivered()
	if len(want) > oldLines*9/10 || len(want) < oldLines/2 {
		t.Errorf("the network delivered %d of %d events", len(want), oldLines)
	}
	manager.awaitMarks("old", len(want), 2*time.Minute)
	manager.awaitMarks("udp", udpLines, 3*time.Minute)
	manager.awaitMarks("tcp", tcpLines, 3*time.Minute)
	udp.control("stop")
	tcp.control("stop")
	manager.control("stop")
	manager.expectOnce("udp", udpLines, false)
	manager.expectOnce("tcp", tcpLines, false)
	got := manager.marks("old")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("of the agent without receipts %d events arrived, the network delivered %d; first difference: %s", len(got), len(want), firstDifference(got, want))
	}
	manager.expectNoRefusals()
	t.Logf("wire: %+v", w.counts())
}

// oldAgent is an agent that knows only what OSSEC's know, with a memory of what the network did to its datagrams.
type oldAgent struct {
	t        *testing.T
	conn     *net.UDPConn
	to       *net.UDPAddr
	key      *keys.Key
	counters *keys.Counters
	codec    keys.Codec

	mu     sync.Mutex
	marks  map[string]string // of each datagram
	copies map[string]int    // of each mark
}

func newOldAgent(t *testing.T, h host, n int, addr, server string) *oldAgent {
	t.Helper()
	conn, err := listenOn(h, addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	dir := filepath.Join(t.TempDir(), "rids")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	counters, err := keys.OpenCounters(dir, keys.CountersOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &oldAgent{t: t, conn: conn, to: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(server)), key: keys.Parse([]byte(linkKey(n))).First(),
		counters: counters, marks: map[string]string{}, copies: map[string]int{}}
}

func (o *oldAgent) seal(payload string) []byte {
	o.t.Helper()
	n, err := o.counters.Next()
	if err != nil {
		o.t.Fatal(err)
	}
	packet, err := o.codec.Seal(nil, o.key, keys.Blowfish, true, n, []byte(payload))
	if err != nil {
		o.t.Fatal(err)
	}
	return packet
}

func (o *oldAgent) send(packet []byte) {
	o.t.Helper()
	if _, err := o.conn.WriteTo(packet, o.to); err != nil {
		o.t.Fatal(err)
	}
}

// connect sends startup messages until the manager answers.
func (o *oldAgent) connect() {
	o.t.Helper()
	buf := make([]byte, 8192)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		o.send(o.seal(keys.StartupPayload))
		o.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) //nolint:errcheck // open
		k, _, err := o.conn.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil {
			o.t.Fatal(err)
		}
		if opened, err := o.codec.Open(nil, o.key, buf[:k]); err != nil || string(opened.Payload) != agentwire.Header+agentwire.Ack {
			o.t.Fatalf("answer %q, %v", opened.Payload, err)
		}
		return
	}
	o.t.Fatal("the manager does not answer")
}

// say sends n events, not faster than a manager's buffer takes them on a busy machine.
func (o *oldAgent) say(word string, n int) {
	o.t.Helper()
	for i := range n {
		mark := fmt.Sprintf("%s-%06d", word, i)
		packet := o.seal("1:/var/log/old.log:Nov 24 10:00:00 box probe[7]: line " + mark + " of the link test")
		o.mu.Lock()
		o.marks[string(packet)] = mark
		o.mu.Unlock()
		o.send(packet)
		if i%10 == 9 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// watch is told of every packet on the wire.
func (o *oldAgent) watch(p []byte, copies int) {
	text, ok := udpPayload(p, 1514)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if mark, ok := o.marks[text]; ok {
		o.copies[mark] += copies
	}
}

// delivered lists the events of which the wire handed on a copy.
func (o *oldAgent) delivered() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen := maps.Clone(o.copies)
	maps.DeleteFunc(seen, func(_ string, copies int) bool { return copies == 0 })
	return slices.Sorted(maps.Keys(seen))
}

// await waits until the wire has had every event. When the kernel loses some before the wire, nobody knows when the last has come; then it waits until
// the manager has exactly those that were handed on.
func (o *oldAgent) await(lossy bool, have func(delivered []string) bool) {
	o.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		o.mu.Lock()
		seen, all := len(o.copies), len(o.marks)
		o.mu.Unlock()
		if seen == all || lossy && seen > 0 && have(o.delivered()) {
			return
		}
		if time.Now().After(end) {
			o.t.Fatalf("%d of %d datagrams came to the wire", seen, all)
		}
	}
}

// TestManagerAwayAndBack stops a manager in order, lets events pile up in the agent's spool, starts it again, and restarts it while events
// come: the manager has them all, each once, and those from the spool in order.
func TestManagerAwayAndBack(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("awaym"), n.host("awaya")
	n.link(m, "10.78.2.1", a, "10.78.2.2")
	manager := linkManager(m)
	agent := linkAgent(a, 1, client("10.78.2.1"))
	manager.control("start")
	agent.agentIsUp()
	agent.say("away", 0, 500)
	manager.awaitMarks("away", 500, 2*time.Minute)

	manager.control("stop")
	agent.say("away", 500, 3000)
	agent.eventually("the agent notices that the manager has gone", 2*time.Minute, func() bool {
		_, err := os.Stat(agent.path("queue/ossec/.wait"))
		return err == nil
	})
	agent.say("away", 3000, 4000)
	agent.eventually("the spool is in use", 2*time.Minute, func() bool { return agent.spooled() > 4000*50 })
	manager.control("start")
	manager.awaitMarks("away", 4000, 3*time.Minute)
	manager.expectOnce("away", 4000, true)

	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 4000; i < 5000; i += 10 {
			agent.say("away", i, i+10)
			time.Sleep(5 * time.Millisecond) // a log that grows all the time, not a moment to wait for
		}
	})
	manager.control("restart")
	wg.Wait()
	manager.awaitMarks("away", 5000, 3*time.Minute)
	agent.control("stop")
	manager.control("stop")
	manager.expectOnce("away", 5000, false) // how fast an agent hears of a restart decides about the order of a few
	manager.expectNoRefusals()
}

// spooled is the size of the agent's event spool in bytes.
func (in install) spooled() (size int64) {
	files, _ := filepath.Glob(in.path("queue/spool/*"))
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			size += st.Size()
		}
	}
	return size
}

// TestFailover gives an agent two managers. When the first stops the second gets the events, and the other way round; none is lost.
func TestFailover(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m1, m2, a := n.host("over1"), n.host("over2"), n.host("overa")
	n.link(m1, "10.78.3.1", a, "10.78.3.2")
	n.link(m2, "10.78.4.1", a, "10.78.4.2")
	first, second := linkManager(m1), linkManager(m2)
	agent := linkAgent(a, 1, client("10.78.3.1", "10.78.4.1"))
	first.control("start")
	second.control("start")
	agent.agentIsUp()
	agent.say("over", 0, 300)
	first.awaitMarks("over", 300, 2*time.Minute)

	first.control("stop")
	agent.say("over", 300, 600)
	second.awaitMarks("over", 300, 3*time.Minute)
	first.control("start")
	second.control("stop")
	agent.say("over", 600, 900)
	first.awaitMarks("over", 600, 3*time.Minute)
	agent.control("stop")
	first.control("stop")

	all := append(first.marks("over"), second.marks("over")...)
	slices.Sort(all)
	var want []string
	for i := range 900 {
		want = append(want, fmt.Sprintf("over-%06d", i))
	}
	if !slices.Equal(all, want) {
		t.Errorf("both managers together have %d events, want 900, each once; first difference: %s", len(all), firstDifference(all, want))
	}
	log := agent.read("logs/ossec.log")
	for _, line := range []string{"Server 1: 10.78.3.1", "Server 2: 10.78.4.1", "Server unavailable. Setting lock.", "Trying next server in the line: '10.78.4.1'.",
		"(4102): INFO: Connected to server 10.78.4.1, port 1514.", "Server responded. Releasing lock.", "Trying next server in the line: '10.78.3.1'."} {
		if !strings.Contains(log, line) {
			t.Errorf("the agent's log lacks %q", line)
		}
	}
}
