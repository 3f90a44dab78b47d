package sum

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
)

func TestTextShowsOnlyWhatIsMonitored(t *testing.T) {
	f := File{Size: 6, Mode: 0o100644, UID: 4294967294, GID: 7}
	f.Digests = Digests{Has: MD5 | SHA256}
	for _, c := range []struct {
		set  Set
		want string
	}{
		{0, "0:0:0:0:xxx:xxx:xxx"},
		{Size | Perm | Owner | Group, "6:33188:4294967294:7:xxx:xxx:xxx"},
		{Size | Hashes, "6:0:0:0:" + strings.Repeat("0", 32) + ":xxx:" + strings.Repeat("0", 64)},
	} {
		if got := f.Text(c.set); got != c.want {
			t.Errorf("%08b: %q, want %q", c.set, got, c.want)
		}
	}
}

func TestRealChange(t *testing.T) {
	const a, b = "1:2:3:4:m:s:h", "1:2:3:4:m:s"
	for _, c := range []struct {
		before, after string
		want          bool
	}{
		{a, a, false},
		{a, b, false},
		{b, a, false},
		{a, "1:2:3:4:xxx:s:h", false},
		{"1:2:3:4::s:h", a, false},
		{a, "9:2:3:4:m:s:h", true},
		{a, "1:2:3:4:m:s:H", true},
		{a, a + ":more", false},
		{"1:2:3:4:m", "1:2:3:4:n", true},
		{a, "-1", true},
		{a, "1:2:3:4:m:s:xxx" + strings.Repeat("x", 512), true},
	} {
		if got := RealChange(c.before, c.after); got != c.want {
			t.Errorf("%q -> %.40q: %v", c.before, c.after, got)
		}
	}
}

func TestPermissions(t *testing.T) {
	for mode, want := range map[uint32]string{0o644: "rw-r--r--", 0o4755: "rwsr-xr-x", 0o2755: "rwxr-sr-x", 0o1777: "rwxrwxrwt", 0o7000: "--s--s--t"} {
		if got := Permissions(mode); got != want {
			t.Errorf("%o: %q", mode, got)
		}
	}
	for text, want := range map[string]uint32{"33188": 33188, "755": 0o755, "420": 0o420, "x": 0, "": 0, "-1": 0, "99999999999": 0} {
		if got := Mode(text); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
}

func TestParseMessage(t *testing.T) {
	for text, want := range map[string]Message{
		"s /etc/a b":              {"s", "/etc/a b", ""},
		"s ":                      {"s", "", ""},
		"s /a\x01\tb\x7f":         {"s", "/ab", ""},
		"s /a\n1c1\n< x\ty\x00\n": {"s", "/a", "1c1\n< x\ty\n"},
		"-1 /gone":                {"-1", "/gone", ""},
		"s /bad\xff\xfe":          {"s", "/bad\xff\xfe", ""},
	} {
		got, err := ParseMessage(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "nospace", "no\nspace here"} {
		if _, err := ParseMessage(text); !errors.Is(err, ErrNoSpace) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEscapedPathsHaveNoControlCharacters(t *testing.T) {
	if got := EscapePath("/a\nb\x7f\x01"); got != `/a\012b\177\001` {
		t.Errorf("%q", got)
	}
}

func TestHasherReadsOnce(t *testing.T) {
	text := bytes.Repeat([]byte("0123456789"), 50000)
	h := NewHasher()
	for _, limit := range []int64{-1, int64(len(text)), 12345, 0} {
		var kept []byte
		want := text
		if limit >= 0 {
			want = text[:limit]
		}
		d, n, err := h.Read(t.Context(), bytes.NewReader(text), Hashes, Limits{Bytes: limit, Keep: &kept})
		if err != nil || n != int64(len(want)) || !bytes.Equal(kept, want) {
			t.Fatalf("limit %d: %d bytes, %v", limit, n, err)
		}
		if d.MD5 != md5.Sum(want) || d.SHA1 != sha1.Sum(want) || d.SHA256 != sha256.Sum256(want) || d.Has != Hashes {
			t.Errorf("limit %d: wrong digest", limit)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestHasherStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	_, _, err := NewHasher().Read(ctx, endless{}, MD5, Limits{Bytes: -1, Pace: func(context.Context, int) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func FuzzParseMessage(f *testing.F) {
	f.Add("1:33188:0:0:a:b:c /etc/passwd")
	f.Add("1:33188:0:0:a:b:c /etc/passwd\n1c1\n< a\n---\n> b\n")
	f.Add("-1 /x")
	f.Add(Completed)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMessage(text)
		if err != nil {
			return
		}
		for _, s := range []string{m.Sum, m.Path} {
			if Clean(s) != s {
				t.Fatalf("%q holds control characters", s)
			}
		}
		again, err := ParseMessage(m.Sum + " " + EscapePath(m.Path))
		if err != nil || again.Sum != m.Sum || again.Path != m.Path {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
		RealChange(m.Sum, m.Path)
		Permissions(Mode(Split(m.Sum).Mode))
	})
}

func BenchmarkHasher(b *testing.B) {
	text := make([]byte, 1<<20)
	h := NewHasher()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := h.Read(b.Context(), bytes.NewReader(text), Hashes, Limits{Bytes: -1}); err != nil {
			b.Fatal(err)
		}
	}
}
