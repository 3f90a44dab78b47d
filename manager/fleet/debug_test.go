package fleet

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// debugLines runs f with a level of remoted.debug and gives the debug lines, without time.
func debugLines(t *testing.T, level int, f func(b *bench)) (out []string) {
	t.Helper()
	lg := olog.New("", nil)
	lg.SetLevels(map[string]int{"ossec-remoted": level})
	var mu sync.Mutex
	lg.Tap(func(line string) {
		if _, text, ok := strings.Cut(line, "ossec-remoted: DEBUG: "); ok {
			mu.Lock()
			defer mu.Unlock()
			out = append(out, text)
		}
	})
	b := newBench(t, nil, func(o *Options) { o.Log = lg })
	f(b)
	b.stop()
	mu.Lock()
	defer mu.Unlock()
	return out
}

// TestDebugLinesTellOfAgentsThatConnect compares what the levels of remoted.debug add to the log.
func TestDebugLinesTellOfAgentsThatConnect(t *testing.T) {
	const keepalive = "Linux alpha 6.1 - OSSEC HIDS v4.2.0\nx merged.mg\n"
	talk := func(b *bench) {
		k := b.o.Keys.ByID("001")
		b.Control(k, keys.AES, []byte(agentwire.Startup), b.o.Now())
		b.keepalive("001", keepalive)
		b.keepalive("001", keepalive)
		if err := b.Rescan("001"); err != nil {
			t.Error(err)
		}
	}
	if got := debugLines(t, 0, talk); got != nil {
		t.Errorf("level 0: %q", got)
	}
	want := []string{
		"Agent 'alpha' (001) starts: startup message, aes.",
		"Agent 'alpha' (001) is connected, aes: Linux alpha 6.1 - OSSEC HIDS v4.2.0",
		"Command to agent 'alpha' (001): syscheck restart",
	}
	one, two := debugLines(t, 1, talk), debugLines(t, 2, talk)
	for _, w := range want {
		if n := strings.Count(strings.Join(one, "\n"), w); n != 1 || !slices.Contains(two, w) {
			t.Errorf("%q stands %d times in %q, at level 2 %q", w, n, one, two)
		}
	}
	beats := func(lines []string) (n int) {
		for _, l := range lines {
			if strings.HasPrefix(l, "Keepalive of agent 'alpha' (001), aes, ") {
				n++
			}
		}
		return n
	}
	if beats(one) != 0 || beats(two) != 2 {
		t.Errorf("keepalives: %q, %q", one, two)
	}
}
