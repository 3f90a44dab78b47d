//go:build linux

package syscheck

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// idle waits until the watcher has handled everything that happened before the call.
func (rt *realtime) idle(t *testing.T) {
	t.Helper()
	if rt == nil {
		return
	}
	rt.barrier(t)
}

// barrier plants a file in a watched directory of its own and waits until its event came through: events come in order, so those before have
// been taken; then it waits until no path is pending or being checked.
func (rt *realtime) barrier(t *testing.T) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	rt.addDir(dir)
	mark := filepath.Join(dir, "mark")
	seen := make(chan struct{}, 1)
	rt.pmu.Lock()
	rt.notice = func(path string) {
		if path == mark {
			select {
			case seen <- struct{}{}:
			default:
			}
		}
	}
	rt.pmu.Unlock()
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-seen:
	case <-time.After(20 * time.Second):
		t.Fatal("the watcher is stuck")
	}
	rt.pmu.Lock()
	rt.notice = nil
	rt.pmu.Unlock()
}
