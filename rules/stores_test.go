package rules

import (
	"strconv"
	"strings"
	"testing"
)

// long gives a text of its own.
func long(i, size int) string { return strconv.Itoa(i) + strings.Repeat("x", size) }

func TestMemoryIgnoreStoreIsBoundedInBytes(t *testing.T) {
	s := NewMemoryIgnoreStore()
	const size = 6000
	n := 3 * maxIgnoreBytes / size
	held := 0
	for i := range n {
		s.Add(long(i, size))
	}
	for i := range n {
		if s.Has(long(i, size)) {
			held += size
		}
	}
	if held > maxIgnoreBytes || held < maxIgnoreBytes/4 {
		t.Errorf("%d bytes are kept", held)
	}
	if !s.Has(long(n-1, size)) {
		t.Error("the newest line is forgotten")
	}
}

// Host names of check_diff come from the headers of logs.
func TestMemoryDiffStoreIsBounded(t *testing.T) {
	s := NewMemoryDiffStore()
	for i := range 3 * maxDiffTexts {
		if _, _, err := s.Swap("host"+strconv.Itoa(i), 1, "text"); err != nil {
			t.Fatal(err)
		}
	}
	newest := "host" + strconv.Itoa(3*maxDiffTexts-1)
	if old, had, _ := s.Swap(newest, 1, "other"); !had || old != "text" {
		t.Errorf("the newest text is forgotten: %q, %v", old, had)
	}
	held := 0
	for i := range 3 * maxDiffTexts {
		if _, had, _ := s.Swap("host"+strconv.Itoa(i), 1, "text"); had {
			held++
		}
	}
	if held > maxDiffTexts {
		t.Errorf("%d texts are kept", held)
	}
}
