package loggen

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSameOptionsGiveTheSameLines(t *testing.T) {
	var a, b, c bytes.Buffer
	for _, x := range []struct {
		buf  *bytes.Buffer
		seed uint64
	}{{&a, 7}, {&b, 7}, {&c, 8}} {
		if err := New(Options{Seed: x.seed, Attacks: 0.3}).Write(x.buf, 500); err != nil {
			t.Fatal(err)
		}
	}
	if a.String() != b.String() {
		t.Error("the same seed gave other lines")
	}
	if a.String() == c.String() {
		t.Error("another seed gave the same lines")
	}
	if n := strings.Count(a.String(), "\n"); n != 500 {
		t.Errorf("%d line ends", n)
	}
}

func TestAllKindsComeAndTimeGoesForward(t *testing.T) {
	g := New(Options{Attacks: 0.5, Step: time.Second})
	seen := map[Kind][2]int{}
	var last time.Time
	for range 3000 {
		l := g.Next()
		n := seen[l.Kind]
		if l.Attack {
			n[1]++
		} else {
			n[0]++
		}
		seen[l.Kind] = n
		if l.Time.Before(last) || l.Time.Sub(last) > time.Second && !last.IsZero() {
			t.Fatalf("time went from %v to %v", last, l.Time)
		}
		last = l.Time
		if l.Text == "" || l.Location == "" || strings.ContainsAny(l.Text, "\n\r") || strings.Contains(l.Text, "%!") {
			t.Errorf("line %+v", l)
		}
	}
	for _, k := range kinds {
		if n := seen[k.kind]; n[0] == 0 || n[1] == 0 {
			t.Errorf("%s: %d ordinary lines, %d of attacks", k.kind, n[0], n[1])
		}
	}
}

func TestKindsAndShareOfAttacksAreFollowed(t *testing.T) {
	g := New(Options{Kinds: []Kind{SSHD, Postfix}})
	for range 200 {
		if l := g.Next(); !slices.Contains([]Kind{SSHD, Postfix}, l.Kind) || l.Attack {
			t.Fatalf("line %+v", l)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("an unknown kind was taken")
		}
	}()
	New(Options{Kinds: []Kind{"nonsense"}})
}
