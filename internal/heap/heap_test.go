package heap

import (
	"runtime/debug"
	"testing"
)

func TestPercent(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		live, goal uint64
		want       int
	}{
		{0, 48 * mb, 400},
		{12 * mb, 48 * mb, 300},
		{16 * mb, 48 * mb, 200},
		{24 * mb, 48 * mb, 100},
		{500 * mb, 48 * mb, 100},
	} {
		if got := percent(c.live, c.goal); got != c.want {
			t.Errorf("percent(%d MB, %d MB) = %d, want %d", c.live/mb, c.goal/mb, got, c.want)
		}
	}
}

func TestAdjustFollowsUse(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	p := pacer{goal: 1 << 40, now: 100}
	p.adjust()
	if got := debug.SetGCPercent(100); got != most {
		t.Errorf("with a large goal the percentage is %d, want %d", got, most)
	}
	p = pacer{goal: 1, now: most}
	p.adjust()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("with everything in use the percentage is %d, want 100", got)
	}
}
