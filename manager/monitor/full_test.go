package monitor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/nospace"
	"github.com/vedette-hids/vedette/internal/smalldisk"
	"github.com/vedette-hids/vedette/manager/alert"
)

// TestADayIsClosedWhenTheDiskHasRoomAgain leaves the files of a day alone until their compressed form and their sums are complete.
func TestADayIsClosedWhenTheDiskHasRoomAgain(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		root := filepath.Join(dir, "ossec")
		days(t, root)
		before := tree(t, root)
		m := New(Options{Root: root})
		filler := smalldisk.Fill(t, dir)
		for range 2 {
			if err := m.CloseDay(t.Context(), monday); !nospace.Is(err) {
				t.Errorf("closed on a full disk: %v", err)
			}
			if got := tree(t, root); !slices.Equal(got, before) {
				t.Errorf("got  %q\nwant %q", got, before)
			}
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if err := m.CloseDay(t.Context(), monday); err != nil {
			t.Fatal(err)
		}
		for _, k := range order {
			path := alert.DailyPath(root, k, monday)
			if exists(path) || !exists(path+".gz") {
				t.Errorf("%s is not closed", path)
			}
			if data, err := os.ReadFile(path + ".sum"); err != nil || !strings.HasPrefix(string(data), "Current checksum:\n") || !strings.Contains(string(data), "\nChained checksum:\nMD5") {
				t.Errorf("%s.sum: %q, %v", path, data, err)
			}
		}
	})
}
