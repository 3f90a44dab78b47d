package localscan

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func watched(dir string) *config.Syscheck {
	return &config.Syscheck{Directories: []config.Directory{{Path: dir, Size: true, Perm: true, Owner: true, Group: true, MD5: true, SHA1: true, Realtime: true}}}
}

func TestScanShowsChangesAndLeavesTheBaselineAlone(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	state := filepath.Join(root, "queue", "syscheck")
	if err := os.MkdirAll(state, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"same", "edited", "gone", "mode"} {
		write(t, filepath.Join(dir, n), n)
	}
	res, err := Run(t.Context(), Options{Root: root, Config: watched(dir)})
	if err != nil || res.Baseline || len(res.Changes) != 0 || res.Files == 0 {
		t.Fatalf("without a baseline: %+v %v", res, err)
	}
	agent, err := syscheck.New(watched(dir), event.SinkFunc(func(context.Context, event.Message) error { return nil }), nil, syscheck.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(agent.Scan(t.Context()), agent.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(state, syscheck.BaselineFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "edited"), "other text")
	write(t, filepath.Join(dir, "new"), "new")
	if err := errors.Join(os.Remove(filepath.Join(dir, "gone")), os.Chmod(filepath.Join(dir, "mode"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second scan finds the same
		res, err = Run(t.Context(), Options{Root: root, Config: watched(dir)})
		if err != nil || !res.Baseline {
			t.Fatalf("%+v %v", res, err)
		}
		want := []Change{{Path: "edited", Kind: Changed, What: []string{"size", "md5", "sha1"}}, {Path: "gone", Kind: Deleted},
			{Path: "mode", Kind: Changed, What: []string{"mode"}}, {Path: "new", Kind: New}}
		if len(res.Changes) != len(want) {
			t.Fatalf("%+v", res.Changes)
		}
		for i, c := range res.Changes {
			w := want[i]
			if filepath.Base(c.Path) != w.Path || c.Kind != w.Kind || !slices.Equal(c.What, w.What) {
				t.Errorf("%+v, want %+v", c, w)
			}
			if (c.Kind != New) != (c.Before != "") || (c.Kind != Deleted) != (c.After != "") {
				t.Errorf("states of %+v", c)
			}
		}
	}
	after, err := os.ReadFile(filepath.Join(state, syscheck.BaselineFile))
	if err != nil || string(before) != string(after) {
		t.Error("the baseline changed", err)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	root, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "a"), "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Root: root, Config: watched(dir)}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
