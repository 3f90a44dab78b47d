package syscheck

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestLargeDirectoryIsReadInPieces: together the pieces are the directory, in order, whatever their size.
func TestLargeDirectoryIsReadInPieces(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(3, 4))
	var want []string
	for i := range 5000 {
		name := fmt.Sprintf("%x-%d", r.Uint32(), i)
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	slices.Sort(want)
	for _, most := range []int{999, 1024, 2500, 4999, 5000, 100000} {
		var got []string
		after, pieces := "", 0
		for more := true; more; pieces++ {
			var list names
			var err error
			if list, more, err = readNames(dir, after, most); err != nil {
				t.Fatal(err)
			}
			if list.len() > most {
				t.Fatalf("%d names, %d asked for", list.len(), most)
			}
			for i := range list.len() {
				got = append(got, list.name(i))
			}
			after = got[len(got)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("pieces of %d: %d names, %d expected", most, len(got), len(want))
		}
		if n := (5000 + most - 1) / most; pieces != n {
			t.Errorf("pieces of %d: %d readings, %d expected", most, pieces, n)
		}
	}
}
