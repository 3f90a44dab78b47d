package manager

import (
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

func TestDebugTellsTheNumbersOfADuplicate(t *testing.T) {
	for level, want := range []int{0, 1} {
		var out strings.Builder
		lg := olog.New("", &out)
		lg.SetLevels(map[string]int{"ossec-remoted": level})
		counters, err := keys.OpenCounters(t.TempDir(), keys.CountersOptions{Manager: true})
		if err != nil {
			t.Fatal(err)
		}
		c := tellingCounters{counters, lg.Prog("ossec-remoted")}
		key := keys.Parse([]byte("001 web any k\n")).ByID("001")
		o := keys.Opened{Counter: keys.Counter{Global: 7, Local: 12}, Payload: []byte("1:x:y"), Tag: 1}
		if err := c.Accept(key, o); err != nil {
			t.Fatal(err)
		}
		if err := c.Accept(key, o); err == nil {
			t.Error("a duplicate is taken")
		}
		if n := strings.Count(out.String(), "DEBUG: Duplicate error:  global: 7, local: 12, saved global: 7, saved local:12"); n != want {
			t.Errorf("level %d: %q", level, out.String())
		}
		if err := counters.Close(); err != nil {
			t.Error(err)
		}
	}
}
