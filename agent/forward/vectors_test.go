package forward

import (
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

type agentVector struct {
	Name     string            `json:"name"`
	KeysLine string            `json:"keys_line"`
	Packets  []string          `json:"packets_hex"`
	Log      []string          `json:"agent_log"`
	Execq    []string          `json:"execq"`
	Files    map[string]string `json:"files_created_or_changed"`
	QueueLen int               `json:"local_queue_datagram_len"`
	SentLens []int             `json:"sent_payload_lens"`
}

// agentDeviations lists the cases, by name without cipher, in which a good agent does not do what OSSEC's did.
var agentDeviations = map[string]func(v *agentVector){
	// OSSEC reads 1024 bytes of a datagram only, and so loses this file (spec protocol.md, section 8).
	"chunk-1000-random": func(v *agentVector) { v.Log, v.Files = nil, map[string]string{"etc/shared/big2.bin": "*"} },
	// Names with "/" are refused instead of tried (section 13); the reason in the log line is ours.
	"merged": func(v *agentVector) {
		v.Log = []string{"ossec-agentd: ERROR: Unable to unmerge file '/etc/shared/sub/b.txt': name not allowed",
			"ossec-agentd: ERROR: Unable to unmerge file '/etc/shared/../x2': name not allowed"}
	},
	// The host component is told directly; there is no file.
	"syscheck-restart": func(v *agentVector) { v.Files = nil },
}

const recordedKey = "042 lab-agent any ae7be26cdaa742ca148068d5ac90eacaaaf2f89992379705dac844c0a2a1d45f"

// TestAgentReceive plays the recorded datagrams of a manager to a running agent.
func TestAgentReceive(t *testing.T) {
	all := vectorLines[agentVector](t, "agent_receive.jsonl")
	seen := map[string]bool{}
	for tag, with := range map[string]keys.Cipher{"aes": keys.AES, "bf": keys.Blowfish} {
		synctest.Test(t, func(t *testing.T) {
			s := &fakeServer{t: t, key: keyOf(t, recordedKey), with: with}
			s.answer = func(h heard) (time.Duration, []string) {
				if h.payload == agentwire.Header+agentwire.Startup {
					return 0, []string{agentwire.Header + agentwire.Ack}
				}
				return 0, nil
			}
			b := startAgent(t, s, config.Client{Servers: []config.Server{{Host: "127.0.0.1", Port: 1514}}}, nil)
			defer b.stop()
			time.Sleep(5 * time.Second)
			b.take()
			s.takeHeard()
			for _, v := range all {
				name, ok := strings.CutPrefix(v.Name, tag+"/")
				if !ok {
					continue
				}
				if d := agentDeviations[name]; d != nil {
					d(&v)
					seen[name] = true
				}
				if v.Packets == nil {
					testLocalDatagram(t, b, s, v, name)
				} else {
					testInbound(t, b, s, v)
				}
			}
		})
	}
	if len(seen) != len(agentDeviations) {
		t.Errorf("%d of %d deviations are in the vectors", len(seen), len(agentDeviations))
	}
}

func testInbound(t *testing.T, b *agentBench, s *fakeServer, v agentVector) {
	before := sharedFiles(t, b.root)
	for _, p := range v.Packets {
		raw, err := hex.DecodeString(p)
		if err != nil {
			t.Fatal(err)
		}
		s.raw(raw)
	}
	time.Sleep(time.Second)
	synctest.Wait()
	lines, commands := b.take()
	if diff := cmp.Diff(important(v.Log), important(lines)); diff != "" {
		t.Errorf("%s: log (-want +got):\n%s", v.Name, diff)
	}
	changed := map[string]string{}
	for name, text := range sharedFiles(t, b.root) {
		if old, ok := before[name]; !ok || old != text {
			changed[name] = text
		}
	}
	for name := range v.Files { // binary content is not in the vectors
		if strings.HasSuffix(name, ".bin") && changed[name] != "" {
			v.Files[name] = changed[name]
		}
	}
	if diff := cmp.Diff(v.Files, changed, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: files (-want +got):\n%s", v.Name, diff)
	}
	compareCommands(t, v, commands)
}

func compareCommands(t *testing.T, v agentVector, commands []event.Command) {
	t.Helper()
	var got []string
	rescans := 0
	for _, c := range commands {
		switch {
		case c.Rescan:
			rescans++
		case c.Restart:
			got = append(got, agentwire.RestartRequest)
		default:
			r := c.Respond
			got = append(got, strings.Join(strings.Fields(strings.Join([]string{r.Name, r.User, r.IP, r.AlertID, r.RuleID, r.Location}, " ")), " "))
		}
	}
	for i, w := range v.Execq { // the file name "-" is a field of its own
		if strings.Count(w, " ") > 2 {
			v.Execq[i] = strings.TrimSuffix(w, " -")
		}
	}
	if diff := cmp.Diff(v.Execq, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: commands (-want +got):\n%s", v.Name, diff)
	}
	if want := strings.HasSuffix(v.Name, "/syscheck-restart"); want != (rescans == 1) {
		t.Errorf("%s: %d rescans", v.Name, rescans)
	}
}

type sessionVector struct {
	Scenario  string            `json:"scenario"`
	Execq     []string          `json:"agent_execq"`
	AgentInfo map[string]string `json:"agent_info"`
	MergedMG  string            `json:"merged_mg"`
}

type packetVector struct {
	Scenario  string `json:"scenario"`
	Direction string `json:"direction"`
	KeysLine  string `json:"keys_line"`
	Cipher    string `json:"cipher"`
	PacketHex string `json:"packet_hex"`
}

// TestRecordedSessions plays what a real manager sent in four whole sessions: files, requests for the host component and log lines are compared.
func TestRecordedSessions(t *testing.T) {
	packets := vectorLines[packetVector](t, "packets.jsonl")
	for _, v := range vectorLines[sessionVector](t, "sessions.jsonl") {
		t.Run(v.Scenario, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSession(t, v, packets) })
		})
	}
}

func testSession(t *testing.T, v sessionVector, all []packetVector) {
	var raw [][]byte
	s := &fakeServer{t: t, answer: func(heard) (time.Duration, []string) { return 0, nil }}
	for _, p := range all {
		if p.Scenario != v.Scenario || p.Direction != "manager->agent" {
			continue
		}
		b, err := hex.DecodeString(p.PacketHex)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b)
		s.key = keyOf(t, p.KeysLine)
		if p.Cipher == "blowfish" {
			s.with = keys.Blowfish
		}
	}
	b := startAgent(t, s, config.Client{Servers: []config.Server{{Host: "127.0.0.1", Port: 1514}}}, nil)
	defer b.stop()
	time.Sleep(time.Second)
	for _, p := range raw {
		s.raw(p)
	}
	time.Sleep(time.Second)
	lines, commands := b.take()
	compareCommands(t, agentVector{Execq: v.Execq, Name: v.Scenario + "/syscheck-restart"}, commands)
	want := []string{
		"ossec-agentd: INFO: Using notify time: 600 and max time to reconnect: 1800",
		"ossec-agentd: INFO: Server 1: 127.0.0.1",
		"ossec-agentd: INFO: Trying to connect to server 127.0.0.1, port 1514.",
		"ossec-agentd(4102): INFO: Connected to server 127.0.0.1, port 1514.",
		"ossec-agentd: WARN: Unknown message received from server.",
	}
	if diff := cmp.Diff(want, important(lines)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	files := sharedFiles(t, b.root)
	if files["etc/shared/merged.mg"] != v.MergedMG || len(files) != 3 {
		t.Errorf("files %q", files)
	}
	info, err := os.ReadFile(filepath.Join(b.root, "queue/ossec/.agent_info"))
	if want := v.AgentInfo["agent queue/ossec/.agent_info"]; err != nil || string(info) != want {
		t.Errorf(".agent_info %q, %v; want %q", info, err, want)
	}
}

// testLocalDatagram plays a datagram of a local program.
func testLocalDatagram(t *testing.T, b *agentBench, s *fakeServer, v agentVector, name string) {
	datagram := []byte("1:x:" + strings.Repeat("q", max(0, v.QueueLen-4)))[:max(v.QueueLen, 0)]
	if name == "q-nul" {
		datagram[7] = 0
	}
	s.takeHeard()
	if p, ok := b.f.localPayload(datagram); ok {
		if err := b.f.enqueue(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	synctest.Wait()
	lens := []int{}
	for _, h := range s.takeHeard() {
		lens = append(lens, len(h.payload))
	}
	if diff := cmp.Diff(v.SentLens, lens, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: sent (-want +got):\n%s", v.Name, diff)
	}
	lines, _ := b.take()
	for i, l := range v.Log { // deviation: this line has the program's name here, as all others
		if strings.HasPrefix(l, "Incorrect") {
			v.Log[i] = "ossec-agentd: " + l
		}
	}
	if diff := cmp.Diff(important(v.Log), important(lines)); diff != "" {
		t.Errorf("%s: log (-want +got):\n%s", v.Name, diff)
	}
}

// sharedFiles reads what the agent holds.
func sharedFiles(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(root, "etc/shared"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".receiving.") {
			continue // the transfer goes on in the next case
		}
		data, err := os.ReadFile(filepath.Join(root, "etc/shared", e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out["etc/shared/"+e.Name()] = string(data)
	}
	return out
}

// important drops debug lines.
func important(lines []string) []string {
	out := []string{}
	for _, l := range lines {
		if !strings.Contains(l, "DEBUG") && !strings.HasPrefix(l, "Duplicate error:") {
			out = append(out, l)
		}
	}
	return out
}

type timingVector struct {
	Case    string  `json:"case"`
	T       float64 `json:"t"`
	What    string  `json:"what"`
	Counter string  `json:"counter"`
	Payload string  `json:"payload"`
}

// TestTiming runs the recorded schedules in virtual time: every datagram and every change of the lock file, within a second
// (and the tenth of a second by which the recordings drift).
//
// OSSEC looks for an answer each second; this agent takes it at once. So the fake server waits a second with the answers to startup messages.
// It answers from 51 s on where the recording says 50: OSSEC missed the answer to the message of 50.1 s, as it had closed that socket.
func TestTiming(t *testing.T) {
	byCase := map[string][]timingVector{}
	var order []string
	for _, v := range vectorLines[timingVector](t, "timing.jsonl") {
		if byCase[v.Case] == nil {
			order = append(order, v.Case)
		}
		byCase[v.Case] = append(byCase[v.Case], v)
	}
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSchedule(t, name, byCase[name]) })
		})
	}
}

func testSchedule(t *testing.T, name string, rows []timingVector) {
	client := config.Client{Servers: []config.Server{{Host: "127.0.0.1", Port: 1514}}}
	if strings.HasPrefix(name, "two") {
		client.Servers = append(client.Servers, config.Server{Host: "127.0.0.2", Port: 1514})
	}
	answers := strings.Contains(name, "answers until")
	if answers {
		client.NotifyTime, client.TimeReconnect = 6, 15
	}
	start := time.Now()
	s := &fakeServer{t: t, key: keyOf(t, "001 t1 any ae7be26cdaa742ca148068d5ac90eacaaaf2f89992379705dac844c0a2a1d45f"), with: keys.AES}
	s.answer = func(h heard) (time.Duration, []string) {
		at := h.at.Sub(start)
		switch {
		case !answers || !strings.HasPrefix(h.payload, agentwire.Header) || at >= 14*time.Second && at < 51*time.Second:
			return 0, nil
		case h.payload == agentwire.Header+agentwire.Startup:
			return time.Second, []string{agentwire.Header + agentwire.Ack}
		}
		return 0, []string{agentwire.Header + agentwire.Ack}
	}
	b := startAgent(t, s, client, nil)
	defer b.stop()
	lock := watchLock(b, start, rows[len(rows)-1].T+1)
	got := s.takeHeard()
	i, j := 0, 0
	for _, r := range rows {
		if strings.HasPrefix(r.What, "wait-file") {
			if r.T == 0 && strings.HasSuffix(r.What, "absent") {
				continue
			}
			if j >= len(lock) || lock[j].present != strings.Contains(r.What, "present") || math.Abs(lock[j].at-r.T) > 1 {
				t.Fatalf("lock file change %d: %+v, want %+v", j, lock, r)
			}
			j++
			continue
		}
		if i >= len(got) {
			t.Fatalf("only %d datagrams; the next should be %+v", len(got), r)
		}
		h := got[i]
		i++
		at := h.at.Sub(start).Seconds()
		if math.Abs(at-r.T) > 1.11 || h.server != strings.TrimPrefix(r.What, "datagram to ") || fmt.Sprintf("%d:%d", h.counter.Global, h.counter.Local) != r.Counter {
			t.Errorf("datagram %d at %.1f s to %s, %v; want %+v", i, at, h.server, h.counter, r)
		}
		want := r.Payload
		if strings.HasPrefix(want, "8:") {
			want = "8:syscheck:" // the files are others
		}
		if !strings.HasPrefix(h.payload, want) {
			t.Errorf("datagram %d: %q, want %q", i, h.payload, want)
		}
	}
	if j != len(lock) {
		t.Errorf("changes of the lock file: %+v", lock)
	}
}

type lockChange struct {
	at      float64
	present bool
}

// watchLock looks at the lock file ten times a second until the given time.
func watchLock(b *agentBench, start time.Time, until float64) (changes []lockChange) {
	present := false
	for {
		at := time.Since(start).Seconds()
		if at > until {
			return changes
		}
		data, err := os.ReadFile(filepath.Join(b.root, "queue/ossec/.wait"))
		if now := err == nil && string(data) == "l"; now != present {
			present = now
			changes = append(changes, lockChange{at, now})
		}
		time.Sleep(100 * time.Millisecond)
	}
}
