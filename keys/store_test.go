package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func writeKeys(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.keys")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseSkipsAndReportsBadLines(t *testing.T) {
	s := Parse([]byte(strings.Join([]string{
		"001 alpha any k1",
		"# comment",
		" 013 leading any k",
		"005 #*#*#*#*#*#*#*#*#*#*#abcdef",
		"nospaces",
		"014 no-key-field",
		"015 two  spaces k",
		"016 spaced 10.0.0.1 key with words",
		"002 net 10.0.0.0/8 k2",
		"002 dup 10.9.9.9 k3",
		"003 mask 10.0.0.0/255.0.0.0 k4",
		"",
		"004 crlf any k5\r",
		"005 long any " + strings.Repeat("x", 3000),
		"006 last any nolf",
	}, "\n")))
	var got []string
	for _, p := range s.Problems() {
		got = append(got, fmt.Sprintf("%d:%d:%v", p.Line, p.Code, p.Warning))
	}
	want := "5:1401:false 6:1401:false 7:1237:false 10:1401:true 11:1237:false 13:1401:true 14:1401:false"
	if strings.Join(got, " ") != want {
		t.Errorf("problems %v, want %v", got, want)
	}
	var ids []string
	for _, k := range s.All() {
		ids = append(ids, k.ID+"/"+k.Name)
	}
	if got := strings.Join(ids, " "); got != "001/alpha 016/spaced 002/net 002/dup 004/crlf 006/last" {
		t.Errorf("keys %s", got)
	}
	if k := s.ByID("016"); k.Secret() != "key with words" {
		t.Errorf("secret %q", k.Secret())
	}
	if s.ByID("002").Name != "net" || s.ByIP("10.9.9.9").Name != "dup" || s.ByIP("10.0.0.0").Name != "net" {
		t.Error("first line wins by id, later one stays reachable by ip")
	}
	if s.ByID("1") != nil || s.ByID("013") != nil || s.ByID("005") != nil {
		t.Error("found an id that is not there")
	}
}

func TestFieldsAreCutAt127Bytes(t *testing.T) {
	long := strings.Repeat("n", 128)
	k := Parse([]byte("001 " + long + " any k\n")).First()
	if k.Name != long[:127] {
		t.Errorf("%d bytes", len(k.Name))
	}
}

func TestNetworks(t *testing.T) {
	for _, c := range []struct {
		field, in, out, shown string
		single                bool
	}{
		{"192.0.2.10", "192.0.2.10 ::ffff:192.0.2.10", "192.0.2.11 ::1", "192.0.2.10/32", true},
		{"192.0.2.0/24", "192.0.2.0 192.0.2.255", "192.0.3.0 2001:db8::1", "192.0.2.0/24", false},
		{"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1 10.0.0.1", "2001:db8::/32", false},
		{"2001:db8::5", "2001:db8::5", "2001:db8::6", "2001:db8::5/128", true},
		{"any", "10.0.0.1 2001:db8::1", "", "any/0", false},
		{"!any", "", "10.0.0.1 ::1", "!any/0", false},
		{"!10.0.0.0/8", "11.0.0.1 ::1", "10.1.1.1", "!10.0.0.0/8", false},
		{"!10.0.0.1", "10.0.0.2", "10.0.0.1", "!10.0.0.1/32", true},
		{"10.1", "10.0.0.1", "10.1.0.0", "10.0.0.1/32", true},
		{"0.0.0.0/0", "10.1.1.1 2001:db8::1", "", "0.0.0.0/0", false},
		{"10.3.0.0/16", "10.3.9.9", "10.4.0.0", "10.3.0.0/16", false},
	} {
		n, err := ParseNetwork(c.field)
		if err != nil {
			t.Errorf("%s: %v", c.field, err)
			continue
		}
		for _, a := range strings.Fields(c.in) {
			if !n.Contains(netip.MustParseAddr(a)) {
				t.Errorf("%s does not contain %s", c.field, a)
			}
		}
		for _, a := range strings.Fields(c.out) {
			if n.Contains(netip.MustParseAddr(a)) {
				t.Errorf("%s contains %s", c.field, a)
			}
		}
		if n.String() != c.shown || n.Single() != c.single {
			t.Errorf("%s: %s single=%v", c.field, n, n.Single())
		}
	}
	for _, bad := range []string{"", "!", "host", "10.0.0.256", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/0008", "::/129", "10.0.0.0/255.0.0.0", "fe80::1%eth0", "anyone", "1.2.3.4.5", "+1", "1_0.1"} {
		if n, err := ParseNetwork(bad); !errors.Is(err, ErrAddress) {
			t.Errorf("%q is %v, %v", bad, n, err)
		}
	}
}

func TestReloadKeepsStateOfUnchangedEntries(t *testing.T) {
	path := writeKeys(t, "001 a any k1\n002 b any k2\n003 c any k3\n")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := s.ByID("001"), s.ByID("002")
	if err := os.WriteFile(path, []byte("001 a any k1\n002 b any other\n004 d any k4\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	ch, err := s.Reload()
	if err != nil || !ch.Loaded {
		t.Fatalf("%+v, %v", ch, err)
	}
	if s.ByID("001") != one {
		t.Error("an unchanged line got a new key")
	}
	if s.ByID("002") == two || s.ByID("003") != nil || s.ByID("004") == nil {
		t.Error("changed, removed or added line not seen")
	}
	if len(ch.Added) != 2 || len(ch.Removed) != 2 {
		t.Errorf("added %d, removed %d", len(ch.Added), len(ch.Removed))
	}
}

func TestReloadReadsOnlyAChangedFile(t *testing.T) {
	path := writeKeys(t, "001 a any k1\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if ch, err := s.Reload(); err != nil || ch.Loaded {
		t.Errorf("unchanged file read again: %+v, %v", ch, err)
	}
	if err := os.WriteFile(path, []byte("001 a any k2\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if ch, err := s.Reload(); err != nil || !ch.Loaded || s.First().Secret() != "k2" {
		t.Errorf("changed file not read: %+v, %v", ch, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); !errors.Is(err, fs.ErrNotExist) || s.Len() != 1 {
		t.Errorf("missing file: %v, %d keys", err, s.Len())
	}
}

func TestOpenMissingFileGivesEmptyStore(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) || s == nil || s.Len() != 0 || s.Set().First() != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func manyKeys(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d host-%05d.example.net 10.%d.%d.%d 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a190%08x\n", 1024+i, i, i>>16, i>>8&255, i&255, i)
	}
	return []byte(b.String())
}

func TestFiftyThousandIdleAgentsCostLittle(t *testing.T) {
	data := manyKeys(50000)
	path := writeKeys(t, string(data))
	data = nil
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var c Codec
	for i, k := range s.All() { // each has spoken once
		if i%50 == 0 {
			with := Cipher(i / 50 % 2)
			p, err := c.Seal(nil, k, with, false, Counter{0, 1}, []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Open(nil, k, p); err != nil {
				t.Fatal(err)
			}
		}
		k.replay.Store(&replay{})
	}
	if n := s.ReleaseIdle(); n != 0 {
		t.Errorf("%d keys in use were released", n)
	}
	if n := s.ReleaseIdle(); n != 1000 {
		t.Errorf("%d idle keys released, want 1000", n)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / 50000
	if each > 2048 {
		t.Errorf("%d bytes for each agent", each)
	}
	t.Logf("%d bytes for each idle agent", each)
	runtime.KeepAlive(s)
}

func BenchmarkLoad50000Keys(b *testing.B) {
	path := writeKeys(b, string(manyKeys(50000)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(path)
		if err != nil || s.Len() != 50000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	s := Parse(manyKeys(50000))
	src := netip.MustParseAddr("10.0.100.100")
	packet := []byte("#AES:....")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Route(packet, src); err != nil {
			b.Fatal(err)
		}
	}
}
