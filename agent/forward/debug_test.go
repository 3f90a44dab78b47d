package forward

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
)

// TestDebugLinesTellOfLossAndReconnect lets the manager go away for a while, with each level of agent.debug.
func TestDebugLinesTellOfLossAndReconnect(t *testing.T) {
	lines := func(level int) (text string) {
		synctest.Test(t, func(t *testing.T) {
			var out strings.Builder
			lg := olog.New("", &out)
			lg.SetLevels(map[string]int{"ossec-agentd": level})
			s := ossecManager(t, func(at time.Duration) bool { return at < 500*time.Second || at > 1000*time.Second })
			b := startAgent(t, s, oneServer, func(o *Options) { o.Timing.AckTimeout, o.Log = 0, lg })
			time.Sleep(10 * time.Second)
			say(t, b, "early")
			time.Sleep(1300 * time.Second)
			b.stop()
			text = out.String()
		})
		return text
	}
	if text := lines(0); strings.Contains(text, "DEBUG") || !strings.Contains(text, "Server unavailable. Setting lock.") {
		t.Errorf("level 0:\n%s", text)
	}
	one := lines(1)
	at := 0
	for _, want := range []string{"Startup message sent to '127.0.0.1', aes.", "The manager sends no receipts", "No acknowledgement in time: asking again (1 of 3)",
		"3 agent notifications were not acknowledged: the server is lost.", "Startup message sent to '127.0.0.1', aes.", "Next startup message to '127.0.0.1' in ",
		"Agent notification acknowledged."} {
		i := strings.Index(one[at:], "ossec-agentd: DEBUG: "+want)
		if i < 0 {
			t.Fatalf("no %q at its place in\n%s", want, one)
		}
		at += i
	}
	const each = "DEBUG: Event sent as message "
	if two := lines(2); strings.Contains(one, each) || !strings.Contains(two, each) {
		t.Errorf("level 2:\n%s", two)
	}
}
