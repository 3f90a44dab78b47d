//go:build unix

package logcollector

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// formatNames are the formats that combine lines or take them apart, one for each family of assemblers.
var formatNames = []string{"syslog", "snort-full", "nmapg", "mysql_log", "mssql_log", "postgresql_log", "djb-multilog", "ossecalert", "audit",
	"modsec-audit", "multi-line", "multi-line_indented", "json", "docker", "cri"}

// checkFormat gives hostile lines to an assembler and checks what must hold of every one of them.
func checkFormat(t *testing.T, name string, data []byte) {
	f, err := formatFor(name, 3, "/service/program/current", "host", nil, func() time.Time { return time.Unix(0, 0) })
	if err != nil {
		t.Fatal(err)
	}
	size, events := 0, 0
	emit := func(kind event.Kind, text string) {
		size += len(text)
		events++
		if len(text) > 4*maxLine || strings.IndexByte(text, 0) >= 0 || kind == 0 {
			t.Errorf("%s: event of %d bytes, kind %q: %.60q", name, len(text), kind, text)
		}
	}
	lines := 0
	for line := range bytes.Lines(data) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = line[:min(len(line), f.max)]
		is := f.asm.Line(line, emit)
		lines++
		if (is == nothing) == f.asm.Open() {
			t.Fatalf("%s: Line says %v, Open %v after %q", name, is, f.asm.Open(), line)
		}
	}
	f.asm.Flush(0, true, emit)
	if f.asm.Open() {
		t.Errorf("%s: open after the last flush", name)
	}
	// Nothing may come of nothing: an event is a line with a heading, or less.
	if limit := len(data) + events*400 + 100; size > limit {
		t.Errorf("%s: %d bytes of events from %d of lines", name, size, len(data))
	}
	if events > lines+len(data)/(maxLine/4)+2 {
		t.Errorf("%s: %d events from %d lines", name, events, lines)
	}
}

func FuzzFormats(f *testing.F) {
	seeds := []string{
		"[**] [1:469:1] x [**]\n[Classification: y] [Priority: 2]\n03/28-11:39:39.1 1.2.3.4 -> 5.6.7.8\n[**] [1] z\n[Priority: 3]\n",
		"Host: 1.2.3.4 (x)\tPorts: 22/open/tcp//ssh///, 53/open/udp//\tIgnored\n# c\nHost: x\tStatus: Up\nbad\n",
		"070823 21:01:30\t1 Connect a@b\n\t\t      2 Query show\n",
		"2009-03-25 04:47:30.01 Server x\n\tmore\n[2007-08-31 19:17:32.186 ADT] 1.2.3.4:db LOG:  select\n\tfrom\n",
		"@40000000463246020c2ca16c Apr 27 14:50:32 host1 prog: inside\n@40000000463246020c2ca16c tcpserver: x\n",
		"** Alert 1.1: - a,\n2023 Nov 14 22:13:20 h->/x\nRule: 1 (level 5) -> 'x'\nSrc IP: 1.2.3.4\nUser: b\nlog\n\n** Alert",
		"type=A msg=audit(1.1:1): x\ntype=B msg=audit(1.1:1): y\ntype=EOE msg=audit(1.1:1): \nnode=x type=A\n",
		"--a1-A--\nGET\n--b2-Z--\r\n--a1-Z--\n--a1-A--\n--a1-A--\n",
		"head\n tail\n\n\r\n\ttail\n", "{\"log\":\"x\\n\",\"stream\":\"stderr\"}\n{\"log\":\"part\"}\n",
		"2026-11-24T10:00:00Z stdout P x\n2026-11-24T10:00:00Z stdout F:y z\n", "\x00\xff\n\n\n", "[Classification: \n  /  -\n",
	}
	for i := range formatNames {
		for _, s := range seeds {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		checkFormat(t, formatNames[int(which)%len(formatNames)], data)
	})
}

func TestFormatsStandBinaryData(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for _, name := range formatNames {
		checkFormat(t, name, data)
		checkFormat(t, name, bytes.Repeat([]byte("\n"), 1<<20))
		checkFormat(t, name, bytes.Repeat([]byte{0}, 1<<20))
		checkFormat(t, name, bytes.Repeat([]byte("--a-A--\n** Alert \n[**] [\ntype=a msg=audit(1): \n x\n"), 1<<14))
	}
}

func TestLineOfTenMegabytes(t *testing.T) {
	for _, format := range []string{"syslog", "audit", "multi-line_indented", "docker"} {
		d := newDesk(t, format, "a.log")
		put(t, d.path("a.log"), "")
		d.start()
		put(t, d.path("a.log"), "type=A msg=audit(1:1): "+strings.Repeat("z", 10<<20)+"\n")
		put(t, d.path("a.log"), "type=A msg=audit(1:2): after\n")
		d.pass()
		d.now = d.now.Add(time.Minute)
		d.c.quietAll()
		total := 0
		for _, g := range texts(d.got) {
			total += len(strings.TrimPrefix(g, continued))
		}
		if last := texts(d.got)[len(d.got)-1]; last != "type=A msg=audit(1:2): after" {
			t.Errorf("%s: last event %.60q", format, last)
		}
		if want := 10<<20 + 23 + 28; format == "syslog" && total != want {
			t.Errorf("%d bytes came, want %d", total, want)
		}
		if d.c.Cut() != 1 {
			t.Errorf("%s: %d long lines counted", format, d.c.Cut())
		}
	}
}

func TestLongLineThatComesInParts(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "")
	d.start()
	var got []string
	for range 5 {
		put(t, d.path("a.log"), strings.Repeat("p", 4000))
		got = append(got, d.pass()...)
	}
	put(t, d.path("a.log"), "\nnext\n")
	got = append(got, d.pass()...)
	var line strings.Builder
	for _, g := range got[:len(got)-1] {
		line.WriteString(strings.TrimPrefix(g, continued))
	}
	if line.Len() != 20000 || got[len(got)-1] != "next" || strings.HasPrefix(got[0], continued) {
		t.Errorf("%d bytes, %d events", line.Len(), len(got))
	}
}

func TestMillionsOfEmptyLines(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "")
	d.start()
	put(t, d.path("a.log"), strings.Repeat("\n", 2<<20)+"end\n")
	if got := d.pass(); len(got) != 2<<20+1 || got[len(got)-1] != "end" {
		t.Errorf("%d events", len(got))
	}
}

func TestDamagedPositionsAreLeftOut(t *testing.T) {
	d := newDesk(t, "syslog", "a.log")
	put(t, d.path("a.log"), "")
	d.start()
	put(t, d.path("a.log"), "one\n")
	d.expect("one")
	d.stop()
	data, err := os.ReadFile(d.path("positions"))
	d.ok(err)
	data = append(append([]byte("\x00\x00garbage\n"), data...), `{"p":"/torn","o":1`...)
	d.ok(os.WriteFile(d.path("positions"), data, 0o640))
	put(t, d.path("a.log"), "two\n")
	d.start()
	d.expect("two")
	if !strings.Contains(d.log.String(), "2 lines are damaged") {
		t.Errorf("log %q", d.log.String())
	}
	d.stop()
	if p, err := loadPositions(d.path("positions")); err != nil || len(p.known) != 1 {
		t.Errorf("not repaired: %v %v", p.known, err)
	}
}

func TestPositionFileStaysSmall(t *testing.T) {
	file := t.TempDir() + "/positions"
	p, err := loadPositions(file)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 200 {
		for i := range 100 {
			p.put(fmt.Sprintf("/var/log/%d\xff.log", i), position{Entry: "/var/log/*", Offset: int64(round), ID: identity{1, uint64(i)}}) //nolint:gosec // small
		}
		if _, err := p.flush(); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(file)
	if err != nil || st.Size() > 2*slack {
		t.Errorf("%d bytes for 100 files", st.Size())
	}
	again, err := loadPositions(file)
	if err != nil || len(again.known) != 100 || again.known["/var/log/7\xff.log"] != p.known["/var/log/7\xff.log"] {
		t.Errorf("read %d positions, %v", len(again.known), err)
	}
}

func FuzzPositions(f *testing.F) {
	f.Add([]byte(`{"e":"/var/log/*"}` + "\n" + `{"p":"/a","d":1,"i":2,"o":3,"n":4,"s":5}` + "\n" + `{"p":"/a","gone":true}` + "\n" + `{"unit":"all","cursor":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, again := newPositions(""), newPositions("")
		p.read(data)
		if bad := again.read(p.everything()); bad > 0 || !maps.Equal(p.known, again.known) || !maps.Equal(p.cursors, again.cursors) ||
			!maps.Equal(p.entries, again.entries) {
			t.Errorf("%d damaged; %v, then %v", bad, p, again)
		}
	})
}

func TestRotatedNames(t *testing.T) {
	for name, want := range map[string]bool{"app.log.1": true, "app.log-20261124": true, "app.log.2026-11-24_10:00": true, "app.1.log": true,
		"app-20261124.log": true, "app.log.old": true, "app.log": false, "app.log.gz": false, "app.log.1.gz": false, "app.log.lock": false,
		"apple.log": false, "app.log.": false, "app.log--": false, "app-error.log": false, "xapp.log.1": false} {
		if got := rotatedName("app.log", name); got != want {
			t.Errorf("%s: %v", name, got)
		}
		var inverse bool
		for _, o := range originalNames("/d/" + name) {
			inverse = inverse || o == "/d/app.log"
		}
		if inverse != want {
			t.Errorf("%s: original found %v", name, inverse)
		}
	}
}

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 1, 4, 5, 6, 7, 0, time.UTC)
	for pattern, want := range map[string]string{"%Y%m%d": "20260104", "%y-%j": "26-004", "%e|%H|%I|%p": " 4|05|05|AM", "%%": "%", "%Q": "%Q", "%u%w": "70",
		"%b %B %a %A": "Jan January Sun Sunday", "%F %T": "2026-01-04 05:06:07", "%C": "20", "x%": "x%"} {
		if got := strftime(pattern, at); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func TestGlobsAreThoseOfTheShell(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{{"/l/*.log", "/l/a.log", true}, {"/l/*.log", "/l/.a.log", false}, {"/l/.*.log", "/l/.a.log", true}, {"/l/*/a", "/l/.d/a", false},
		{"/l/[!a].log", "/l/b.log", true}, {"/l/[!a].log", "/l/a.log", false}, {"/l/*.log", "/l/d/a.log", false}, {"/l/?.log", "/l/ab.log", false},
		{"/.d/*", "/.d/a", true}} {
		e := newEntry(config.Localfile{Location: tt.pattern})
		if got := e.matches(tt.path); got != tt.want {
			t.Errorf("%s %s: %v", tt.pattern, tt.path, got)
		}
	}
}
