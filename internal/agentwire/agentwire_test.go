package agentwire

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/event"
)

func TestKeepaliveRoundTrip(t *testing.T) {
	p := KeepaliveParts{System: "Linux h 6.1 #1 x86_64 - OSSEC HIDS v4.2.0", AgentConfMD5: "ca752ef5fdb7afe5f17814b891592c05",
		MergedMD5: "a7c1251c0fa755b633fff87e98efb921", Vedette: true, Random: "x y\nz"}
	s := BuildKeepalive(p)
	text, ok := Control([]byte(s))
	if !ok {
		t.Fatal(s)
	}
	k, ok := ParseKeepalive(text)
	want := Keepalive{System: p.System + " / " + p.AgentConfMD5, Files: []FileSum{{p.MergedMD5, "merged.mg"}}, Merged: true, Vedette: true}
	if diff := cmp.Diff(want, k); !ok || diff != "" {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	for _, c := range []struct{ running, profile string }{{p.AgentConfMD5, ""}, {"", "web, db"}, {p.AgentConfMD5, "web=1 "}} {
		p.Running, p.Profile = c.running, c.profile
		k, ok := ParseKeepalive([]byte(BuildKeepalive(p)[len(Header):]))
		if !ok || !k.Vedette || k.Running != c.running || k.Profile != c.profile || len(k.Files) != 1 {
			t.Errorf("%+v: %+v", c, k)
		}
	}
	p.Profile = strings.Repeat("p\n", 2000)
	if k, ok := ParseKeepalive([]byte(BuildKeepalive(p)[len(Header):])); !ok || len(k.Profile) != maxProfile || strings.Contains(k.Profile, "\n") {
		t.Errorf("%+v", k)
	}
	for _, text := range []string{"vedette/1 agent_conf=short profile=x\n", "vedette/1 agent_conf=" + p.AgentConfMD5 + "\n", "vedette/1 profile=no line end",
		"vedette/1 profile=" + strings.Repeat("x", 129) + "\n"} {
		if k, ok := ParseKeepalive([]byte("Linux\nx merged.mg\n\n" + text)); !ok || !k.Vedette || k.Running != "" || k.Profile != "" {
			t.Errorf("%q: %+v", text, k)
		}
	}
}

func TestKeepalivesOfOtherAgents(t *testing.T) {
	for _, c := range []struct {
		text string
		want Keepalive
		ok   bool
	}{
		{"Linux\nx merged.mg\n\nrandom stuff", Keepalive{System: "Linux", Files: []FileSum{{"x", "merged.mg"}}, Merged: true}, true},
		{"Linux\n", Keepalive{System: "Linux"}, true},
		{"Linux\nabc ar.conf\ndef two words\n", Keepalive{System: "Linux", Files: []FileSum{{"abc", "ar.conf"}, {"def", "two words"}}}, true},
		{"Linux\nnospace\nabc merged.mg\n", Keepalive{System: "Linux", Problem: "strchr ' '"}, true},
		{"Linux\nabc merged.mg", Keepalive{System: "Linux", Problem: `strchr \n`}, true},
		{"agent startup", Keepalive{}, false},
	} {
		got, ok := ParseKeepalive([]byte(c.text))
		if diff := cmp.Diff(c.want, got); ok != c.ok || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", c.text, ok, diff)
		}
	}
}

func TestKeepaliveCannotBeForgedThroughTheSystemText(t *testing.T) {
	s := BuildKeepalive(KeepaliveParts{System: "a\nffff merged.mg\n" + strings.Repeat("b", 2000), Random: strings.Repeat("r", 2000)})
	if len(s) > MaxKeepalive {
		t.Errorf("%d bytes", len(s))
	}
	k, ok := ParseKeepalive([]byte(s[len(Header):]))
	if !ok || len(k.System) != MaxSystem || len(k.Files) != 1 || k.Files[0].MD5 != "x" {
		t.Errorf("%+v", k)
	}
}

func TestMerged(t *testing.T) {
	var b []byte
	b = AppendMerged(b, "a.txt", []byte("AAAA\n"))
	b = AppendMerged(b, "empty", nil)
	b = AppendMerged(b, "two words", []byte("!3 not a header\n"))
	got := map[string]string{}
	read := func(name string, content []byte) { got[name] = string(content) }
	if err := ReadMerged(append([]byte("junk line\n!x junk\n"), b...), read); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.txt": "AAAA\n", "empty": "", "two words": "!3 not a header\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := ReadMerged([]byte("!5 cut\nabc"), read); err == nil {
		t.Error("a cut bundle is no error")
	}
}

func TestSafeName(t *testing.T) {
	for name, want := range map[string]bool{"a.txt": true, "two words": true, "-.-..-etc-x1": true, "": false, ".": false, "..": false, ".hidden": false,
		"a/b": false, "../x": false, `a\b`: false, "a\x00": false, "a\nb": false, MergedName: false, strings.Repeat("n", 256): false} {
		if got := SafeName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestExecRoundTrip(t *testing.T) {
	for _, r := range []event.Response{
		{Name: "firewall-drop600", User: "-", IP: "203.0.113.7", AlertID: "1700000000.1234", RuleID: "5712", Location: "(web-01) 10.0.0.1->/var/log/my log", Filename: "-"},
		{Name: "c0", User: "root", IP: "-", AlertID: "1.2", RuleID: "3", Location: "/x", Filename: "/etc/passwd"},
	} {
		c, err := ParseExec(ExecText(&r))
		if err != nil || c.Respond == nil {
			t.Fatal(c, err)
		}
		if diff := cmp.Diff(r, *c.Respond); diff != "" {
			t.Error(diff)
		}
	}
	if c, err := ParseExec(RestartRequest); err != nil || !c.Restart || c.Respond != nil {
		t.Errorf("%+v, %v", c, err)
	}
	c, err := ParseExec(`c0 - - 1.2 3 (a) any->x /tmp/a\ b\;c`)
	if err != nil || c.Respond.Filename != "/tmp/a b;c" || c.Respond.Location != "(a) any->x" {
		t.Errorf("%+v, %v", c.Respond, err)
	}
	c, err = ParseExec("c0 - 1.2.3.4 (from_the_server) (no_rule_id)")
	if err != nil || c.Respond.AlertID != "(from_the_server)" || c.Respond.RuleID != "(no_rule_id)" || c.Respond.Location != "" {
		t.Errorf("%+v, %v", c.Respond, err)
	}
	for _, bad := range []string{"", "a", "a b", " - -"} {
		if _, err := ParseExec(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestFrames(t *testing.T) {
	var b []byte
	b = AppendFrame(b, []byte("one"))
	b = AppendFrame(b, bytes.Repeat([]byte{7}, MaxPacket))
	r := bytes.NewReader(b)
	buf := make([]byte, MaxPacket)
	if p, err := ReadFrame(r, buf); err != nil || string(p) != "one" {
		t.Fatal(p, err)
	}
	if p, err := ReadFrame(r, buf); err != nil || len(p) != MaxPacket {
		t.Fatal(len(p), err)
	}
	for _, bad := range [][]byte{{0, 0, 0, 0}, {1, 0x18, 0, 0}, {255, 255, 255, 255}, {4, 0, 0, 0, 1}} {
		if _, err := ReadFrame(bytes.NewReader(bad), buf); err == nil {
			t.Errorf("% x accepted", bad)
		}
	}
}

// TestReceiptsAgainstASet compares with a plain set over random arrivals, and sends each state through its text form.
func TestReceiptsAgainstASet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var r Receipts
		set := map[uint64]bool{}
		var top uint64
		at := rnd.Uint64N(1 << 40)
		for range 200 {
			n := at + rnd.Uint64N(300)
			at += rnd.Uint64N(20)
			if rnd.IntN(50) == 0 {
				at += 3 * Window
			}
			if n > top || len(set) == 0 || top-n < Window {
				set[n] = true
			}
			top = max(top, n)
			r.Add(n)
		}
		text, _ := Control([]byte(r.Text()))
		back, ok := ParseReceipt(text)
		if !ok {
			t.Fatalf("%q", text)
		}
		if diff := cmp.Diff(r, back, cmp.AllowUnexported(Receipts{})); diff != "" {
			t.Fatalf("text form:\n%s", diff)
		}
		for n := top - min(top, 2*Window); n <= top+10; n++ {
			want := set[n] && n+Window > top
			if r.Has(n) != want {
				t.Fatalf("index %d (top %d): %v, want %v", n, top, r.Has(n), want)
			}
		}
	}
	if b := len(new(Receipts).Text()); b > MaxPayload {
		t.Errorf("%d bytes", b)
	}
}

func TestAgain(t *testing.T) {
	want := []uint64{1, 17000000009997, 5}
	text, _ := Control([]byte(AgainText(want)))
	got, ok := ParseAgain(text)
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(ok, diff)
	}
	for _, bad := range []string{"vedette ack 5 f", "vedette again x", "vedette again" + strings.Repeat(" 1", MaxAgain+1)} {
		if _, ok := ParseAgain([]byte(bad)); ok {
			t.Errorf("%q accepted", bad)
		}
	}
	if n := len(AgainText(make([]uint64, 1000))); n > ChunkSize {
		t.Errorf("%d bytes", n)
	}
}

func FuzzParseKeepalive(f *testing.F) {
	for _, s := range []string{"Linux\nx merged.mg\n\nvedette/1 \nabc", "L\nx merged.mg\n\nvedette/1 agent_conf=ca752ef5fdb7afe5f17814b891592c05 profile=a b\nz", "a\nb", "a\nb c\n", "\n\n\n", "agent startup "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, ok := ParseKeepalive(b)
		if ok != bytes.ContainsRune(b[:min(len(b), MaxControlBody)], '\n') {
			t.Fatal(ok)
		}
		if len(k.Running) != 0 && len(k.Running) != 32 || len(k.Profile) > maxProfile || strings.Contains(k.Running+k.Profile, "\n") {
			t.Fatalf("%q %q", k.Running, k.Profile)
		}
		if strings.Contains(k.System, "\n") {
			t.Fatalf("%q", k.System)
		}
		for i, f := range k.Files {
			if strings.ContainsAny(f.Name, "\n") || f.Name == MergedName && i != len(k.Files)-1 {
				t.Fatalf("%q", k.Files)
			}
		}
	})
}

func FuzzReadMerged(f *testing.F) {
	for _, s := range []string{"!3 a\nabc!0 b\n", "junk\n!5 x\nab", "!99999999999999999999 a\n", "!-1 a\nb", "!2 ../x\nab"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		var again []byte
		err := ReadMerged(b, func(name string, content []byte) {
			total += len(content)
			again = AppendMerged(again, name, content)
		})
		if total > len(b) {
			t.Fatalf("%d bytes out of %d", total, len(b))
		}
		if err != nil {
			return
		}
		var third []byte
		if err := ReadMerged(again, func(name string, content []byte) { third = AppendMerged(third, name, content) }); err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%q, then %q: %v", again, third, err)
		}
	})
}

func FuzzControlTexts(f *testing.F) {
	for _, s := range []string{"up file 0f723ae7f9bf07744445e93ac5595156 a/../b\n", "execd c0 - - 1.2 3 (a) b->c d", "vedette ack 5 ff", "vedette ack -", "vedette ack 18446744073709551615 f", "up file x y", "vedette again 5 7"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, name, ok := ParseFileBegin(b); ok && name != MergedName && !SafeName(name) {
			t.Fatalf("name %q", name)
		}
		if c, err := ParseExec(string(b)); err == nil && !c.Restart && (c.Respond.Name == "" || strings.Contains(c.Respond.Name, " ")) {
			t.Fatalf("%+v", c.Respond)
		}
		if list, ok := ParseAgain(b); ok && len(list) > MaxAgain {
			t.Fatal(len(list))
		}
		if r, ok := ParseReceipt(b); ok {
			if top, any := r.Top(); any && r.Has(top+1) {
				t.Fatal("beyond the top")
			}
			r.Add(1 << 50)
		}
	})
}
