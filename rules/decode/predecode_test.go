package decode

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// vectorText is a JSON string, null, or {"hex": "…"} for bytes that are not UTF-8.
type vectorText struct {
	text string
	set  bool
}

func (v *vectorText) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	v.set = true
	if b[0] == '{' {
		var h struct{ Hex string }
		if err := json.Unmarshal(b, &h); err != nil {
			return err
		}
		raw, err := hex.DecodeString(h.Hex)
		v.text = string(raw)
		return err
	}
	return json.Unmarshal(b, &v.text)
}

type predecodeVector struct {
	Message     string     `json:"message"`
	MessageHex  string     `json:"message_hex"`
	Rejected    bool       `json:"rejected"`
	Location    vectorText `json:"location"`
	Hostname    vectorText `json:"hostname"`
	ProgramName vectorText `json:"program_name"`
	Log         vectorText `json:"log"`
	FullLog     vectorText `json:"full_log"`
	Note        string     `json:"note"`
}

func TestPredecodeVectors(t *testing.T) {
	all := vectors.Read[predecodeVector](t, "decoders/predecode.jsonl")
	if len(all) < 400 {
		t.Fatalf("only %d vectors were read", len(all))
	}
	for _, c := range all {
		if c.MessageHex != "" {
			raw, err := hex.DecodeString(c.MessageHex)
			if err != nil {
				t.Fatal(err)
			}
			c.Message = string(raw)
		}
		ev, err := event.ParseQueue(c.Message, time.Time{})
		if c.Rejected {
			if err == nil {
				t.Errorf("%s: %q is accepted, want it rejected", c.Note, c.Message)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %q: %v", c.Note, c.Message, err)
			continue
		}
		Predecode(ev, "@LOCAL@.example.org")
		check := func(what, got string, want vectorText) {
			if got != want.text {
				t.Errorf("%s: %q: %s = %q, want %q", c.Note, c.Message, what, got, want.text)
			}
		}
		check("location", ev.Location, c.Location)
		check("hostname", ev.Hostname, c.Hostname)
		check("program_name", ev.ProgramName, c.ProgramName)
		check("log", ev.Log, c.Log)
		check("full_log", ev.FullLog, c.FullLog)
		if ev.HasProgram != c.ProgramName.set {
			t.Errorf("%s: %q: has a program name = %v, want %v", c.Note, c.Message, ev.HasProgram, c.ProgramName.set)
		}
	}
}

func TestPredecodeKeepsTheDiffOfIntegrityEvents(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"plain", "0:33188:0:0:md5:sha1 /etc/foo\nline1\n\tline2", "0:33188:0:0:md5:sha1 /etc/foo\nline1\n\tline2"},
		{"control bytes in both parts", "sum /etc/f\x01oo\nline1\r\n\x7fline2", "sum /etc/foo\nline1\nline2"},
		{"no diff", "sum /etc/fo\to", "sum /etc/foo"},
		{"looks like a date", "Dec 29 10:00:01 host1 sshd[1]: x", "Dec 29 10:00:01 host1 sshd[1]: x"},
	} {
		ev := &event.Event{Kind: event.KindSyscheck, Location: "syscheck", Raw: c.raw}
		Predecode(ev, "m")
		if ev.Log != c.want || ev.FullLog != c.want || ev.HasProgram {
			t.Errorf("%s: log %q, full log %q, program name %v", c.name, ev.Log, ev.FullLog, ev.HasProgram)
		}
	}
}

func TestEveryControlByteIsDeletedAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			b := []byte("abcdefgh ~}ijklmnopq")
			b[at] = byte(c)
			want := string(b)
			if c < 0x20 || c == 0x7F {
				want = string(b[:at]) + string(b[at+1:])
			}
			if got := clean(string(b)); got != want {
				t.Fatalf("byte %#x at %d: %q, want %q", c, at, got, want)
			}
		}
	}
}

func TestPredecodeDoesNotAllocate(t *testing.T) {
	ev := &event.Event{Kind: event.KindLog, Location: "/var/log/auth.log", Raw: "Dec 29 10:00:01 host1 sshd[123]: Accepted password for a"}
	if n := testing.AllocsPerRun(100, func() { Predecode(ev, "manager") }); n != 0 {
		t.Errorf("%v allocations for a log without control bytes", n)
	}
}

// insideOf reports whether sub shares memory with s or is empty, or is a text of its own that occurs in s.
func insideOf(s, sub string) bool { return strings.Contains(s, sub) }

func FuzzPredecode(f *testing.F) {
	for _, c := range vectors.Read[predecodeVector](f, "decoders/predecode.jsonl") {
		f.Add(c.Message)
	}
	f.Add("8:syscheck:1:2:3:4 /x\na\tb\x00\x7f\nc")
	f.Fuzz(func(t *testing.T, msg string) {
		ev, err := event.ParseQueue(msg, time.Time{})
		if err != nil {
			return
		}
		Predecode(ev, "local.example")
		if len(ev.FullLog) > len(ev.Raw) {
			t.Errorf("full log is longer than the text")
		}
		for _, part := range []string{ev.Log, ev.ProgramName} {
			if !insideOf(ev.FullLog, part) {
				t.Errorf("%q is not part of %q", part, ev.FullLog)
			}
		}
		if ev.Hostname != ev.Location && ev.Hostname != "local" && !insideOf(ev.FullLog, ev.Hostname) {
			t.Errorf("host name %q is not part of %q", ev.Hostname, ev.FullLog)
		}
		if ev.Kind != event.KindSyscheck && strings.ContainsFunc(ev.FullLog, func(r rune) bool { return r < 0x20 || r == 0x7F }) {
			t.Errorf("control bytes stay in %q", ev.FullLog)
		}
	})
}
