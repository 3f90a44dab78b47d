package baseline

import (
	"fmt"
	"testing"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

func TestStoredKnowsWhatWasAdded(t *testing.T) {
	const n = 200_000
	s := newStored()
	for i := range n {
		s.add(fmt.Sprint("/a/", i))
	}
	wrong := 0
	for i := range n {
		if !s.maybe(fmt.Sprint("/a/", i)) {
			t.Fatalf("/a/%d was added", i)
		}
		if s.maybe(fmt.Sprint("/b/", i)) {
			wrong++
		}
	}
	if wrong > n/1000 {
		t.Errorf("%d of %d other paths are taken for stored", wrong, n)
	}
}

// TestFirstBaselineFindsPathsOfEarlierBatches sends a path again after the batch that held it was written, and more locations than are
// remembered: each finds the state that it had.
func TestFirstBaselineFindsPathsOfEarlierBatches(t *testing.T) {
	s := open(t, stateDir(t), Options{})
	for host := range maxStored + 2 {
		location := fmt.Sprintf("(h%d) 10.0.0.1->syscheck", host)
		if apply(t, s, location, checksum(1)+" /etc/a") != nil {
			t.Fatal("a first state alerts")
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if apply(t, s, location, checksum(1)+" /etc/b") != nil {
			t.Fatal("a first state alerts")
		}
		if apply(t, s, location, checksum(2)+" /etc/a") == nil {
			t.Errorf("host %d: the change of a path that is in the database was not seen", host)
		}
	}
	if s.storing != maxStored {
		t.Errorf("%d locations are remembered", s.storing)
	}
	apply(t, s, "(h0) 10.0.0.1->syscheck", sum.Completed)
	if s.storing != maxStored-1 {
		t.Errorf("%d locations are remembered after one was complete", s.storing)
	}
}
