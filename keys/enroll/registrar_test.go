package enroll

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vedette-hids/vedette/keys"
)

var somewhere = netip.MustParseAddr("203.0.113.5")

func newFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "client.keys")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRemovedIdsAreNotGivenOutAgain(t *testing.T) {
	r := &Registrar{Path: newFile(t, "1024 "+keys.RemovedMark+"\n1025 a any k\n1027 b any k")}
	for _, want := range []string{"1026 c1", "1028 d1"} {
		e, err := r.Enrol(want[5:], somewhere)
		if err != nil || e.ID+" "+e.Name != want {
			t.Errorf("%v, %v; want %s", e, err, want)
		}
	}
	b, _ := os.ReadFile(r.Path)
	if !strings.Contains(string(b), "\n1027 b any k\n1026 c1 any ") {
		t.Errorf("%q", b)
	}
}

func TestNamesRunOut(t *testing.T) {
	var b strings.Builder
	b.WriteString("1 web any k\n")
	for n := 2; n <= 254; n++ {
		fmt.Fprintf(&b, "%d web%d any k\n", n, n)
	}
	r := &Registrar{Path: newFile(t, b.String())}
	if e, err := r.Enrol("web", somewhere); err != nil || e.Name != "web255" {
		t.Errorf("%v, %v", e, err)
	}
	var no *Refusal
	if _, err := r.Enrol("web", somewhere); !errors.As(err, &no) || no.Reply != "Invalid agent name: web" || no.Log != "Invalid agent name web (duplicated)" {
		t.Error(err)
	}
}

func TestIdsRunOut(t *testing.T) {
	r := &Registrar{Path: newFile(t, ""), MaxAgents: 2}
	for range 2 {
		if _, err := r.Enrol("web", somewhere); err != nil {
			t.Fatal(err)
		}
	}
	var no *Refusal
	if _, err := r.Enrol("web", somewhere); !errors.As(err, &no) || no.Reply != "Internal manager error adding agent: web" || no.Log != "Unable to add agent: web (internal error)" {
		t.Error(err)
	}
}

func TestEditsOfOthersAreSeen(t *testing.T) {
	r := &Registrar{Path: newFile(t, "")}
	if e, err := r.Enrol("a1", somewhere); err != nil || e.ID != "1024" {
		t.Fatal(e, err)
	}
	err := keys.Edit(r.Path, 0o440, func(f *keys.File) error {
		if _, err := f.Remove("1024"); err != nil {
			return err
		}
		return f.Add(keys.Entry{ID: "1025", Name: "a2", IP: somewhere.String(), Key: "k"})
	})
	if err != nil {
		t.Fatal(err)
	}
	var no *Refusal
	if _, err := r.Enrol("a3", somewhere); !errors.As(err, &no) || no.Reply != "Invalid IP address: 1025" {
		t.Error(err)
	}
	if e, err := r.Enrol("a1", netip.MustParseAddr("::ffff:198.51.100.1")); err != nil || e.ID != "1026" || e.Name != "a1" {
		t.Errorf("%v, %v", e, err)
	}
}

func TestUnwritableFileIsAnInternalError(t *testing.T) {
	r := &Registrar{Path: filepath.Join(t.TempDir(), "missing", "client.keys")}
	var no *Refusal
	if _, err := r.Enrol("web", somewhere); !errors.As(err, &no) || no.Err == nil {
		t.Error(err)
	}
}

func TestEditorsInParallelLoseNothing(t *testing.T) {
	path := newFile(t, "")
	var wg sync.WaitGroup
	const each = 25
	for i := range 2 { // two enrolment servers
		r := &Registrar{Path: path}
		wg.Go(func() {
			for n := range each {
				if _, err := r.Enrol(fmt.Sprintf("srv%d-%d", i, n), somewhere); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() { // and manage_agents
		for n := range each {
			err := keys.Edit(path, 0o440, func(f *keys.File) error {
				return f.Add(keys.Entry{ID: fmt.Sprint(100 + n), Name: fmt.Sprintf("man-%d", n), IP: "any", Key: "k"})
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	s, err := keys.Open(path)
	if err != nil || s.Len() != 3*each || len(s.Problems()) != 0 {
		t.Errorf("%d keys, %v, %v", s.Len(), s.Problems(), err)
	}
}

func BenchmarkEnrolWith50000Agents(b *testing.B) {
	var text strings.Builder
	for i := range 50000 {
		fmt.Fprintf(&text, "%d host-%05d any 5c4f9d1b0a7e36d82c10b9f7e6a4d35281f0c9b8a7d6e5f4c3b2a190%08x\n", 1024+i, i, i)
	}
	r := &Registrar{Path: newFile(b, text.String())}
	n := 0
	for b.Loop() {
		n++
		if _, err := r.Enrol(fmt.Sprintf("new-%d", n), somewhere); err != nil {
			b.Fatal(err)
		}
	}
}
