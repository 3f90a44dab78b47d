package linediff

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNormalWritesTheFormsOfDiff(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"", "", ""},
		{"a\n", "a\n", ""},
		{"", "now text\n", "0a1\n> now text\n"},
		{"a\n", "", "1d0\n< a\n"},
		{"a\nb\nc\n", "a\nB\nc\nd\n", "2c2\n< b\n---\n> B\n3a4\n> d\n"},
		{"a\nB\nc\nd\n", "a\n", "2,4d1\n< B\n< c\n< d\n"},
		{"no newline", "no newline at all", "1c1\n< no newline\n\\ No newline at end of file\n---\n> no newline at all\n\\ No newline at end of file\n"},
		{"x\n", "x", "1c1\n< x\n---\n> x\n\\ No newline at end of file\n"},
		{"a\nb\n", "a\nb\na\nb\n", "2a3,4\n> a\n> b\n"},
	} {
		if got := Normal([]byte(c.old), []byte(c.new), 0); got != c.want {
			t.Errorf("%q -> %q:\ngot  %q\nwant %q", c.old, c.new, got, c.want)
		}
	}
}

func TestNormalStopsAtTheLimit(t *testing.T) {
	old, changed := strings.Repeat("old\n", 5000), strings.Repeat("new\n", 5000)
	got := Normal([]byte(old), []byte(changed), 4096)
	if len(got) < 4096 || len(got) > 4096+200 || !strings.HasPrefix(got, "1,5000c1,5000\n< old\n") {
		t.Fatalf("length %d, begins %.40q", len(got), got)
	}
}

// patch applies a normal format difference.
func patch(old []byte, diff string) ([]byte, error) {
	from := lines(old)
	var out []byte
	next := 0
	rest := lines([]byte(diff))
	for i := 0; i < len(rest); {
		var a0, a1 int
		cmd := strings.TrimSuffix(string(rest[i]), "\n")
		i++
		op := strings.IndexAny(cmd, "acd")
		if op < 0 {
			return nil, fmt.Errorf("bad command %q", cmd)
		}
		if n, _ := fmt.Sscanf(cmd[:op], "%d,%d", &a0, &a1); n == 1 {
			a1 = a0
		}
		if cmd[op] == 'a' {
			a0, a1 = a0+1, a0
		}
		for ; next < a0-1; next++ {
			out = append(out, from[next]...)
		}
		next = a1
		for ; i < len(rest) && strings.ContainsRune("<->\\", rune(rest[i][0])); i++ {
			switch {
			case rest[i][0] == '>':
				out = append(out, rest[i][2:]...)
			case rest[i][0] == '\\' && rest[i-1][0] == '>':
				out = out[:len(out)-1]
			}
		}
	}
	for ; next < len(from); next++ {
		out = append(out, from[next]...)
	}
	return out, nil
}

func randomText(r *rand.Rand) []byte {
	var b []byte
	for range r.IntN(30) {
		b = fmt.Appendf(b, "%c\n", 'a'+r.IntN(5))
	}
	if len(b) > 0 && r.IntN(4) == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func TestNormalIsAlwaysACorrectPatch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		a, b := randomText(r), randomText(r)
		d := Normal(a, b, 0)
		got, err := patch(a, d)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%q -> %q: %v\n%s\npatched: %q", a, b, err, d, got)
		}
	}
}

func TestNormalGivesUpGracefullyOnHugeDifferences(t *testing.T) {
	var a, b []byte
	for i := range 5000 {
		a = fmt.Appendf(a, "a%d\ncommon\n", i)
		b = fmt.Appendf(b, "b%d\ncommon\n", i)
	}
	got, err := patch(a, Normal(a, b, 0))
	if err != nil || !bytes.Equal(got, b) {
		t.Fatalf("not a patch: %v", err)
	}
}

func TestNormalIsAsShortAsDiff(t *testing.T) {
	tool, err := exec.LookPath("diff")
	if err != nil {
		t.Skip("no diff(1) here")
	}
	r := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	old, changed := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	same := 0
	const cases = 150
	for range cases {
		a, b := randomText(r), randomText(r)
		if os.WriteFile(old, a, 0o600) != nil || os.WriteFile(changed, b, 0o600) != nil {
			t.Fatal("cannot write")
		}
		out, _ := exec.Command(tool, "-d", old, changed).Output()
		got := Normal(a, b, 0)
		if edits(got) > edits(string(out)) {
			t.Errorf("%q -> %q: longer than diff:\n%s\n%s", a, b, got, out)
		}
		if got == string(out) {
			same++
		}
	}
	t.Logf("byte for byte the same: %d of %d", same, cases)
}

func edits(diff string) (n int) {
	for l := range strings.Lines(diff) {
		if l[0] == '<' || l[0] == '>' {
			n++
		}
	}
	return n
}

func FuzzNormal(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("b\nc"))
	f.Add([]byte(""), []byte("\n\n"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a)+len(b) > 4096 {
			return
		}
		got, err := patch(a, Normal(a, b, 0))
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%q -> %q: %v, %q", a, b, err, got)
		}
	})
}

func BenchmarkNormal(b *testing.B) {
	var x, y []byte
	for i := range 2000 {
		x = fmt.Appendf(x, "setting%d = %d\n", i, i)
		if i%50 != 0 {
			y = fmt.Appendf(y, "setting%d = %d\n", i, i)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		Normal(x, y, 4096)
	}
}
