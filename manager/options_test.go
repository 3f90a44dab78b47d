package manager

import (
	"testing"

	"github.com/vedette-hids/vedette/config"
)

func TestMonitorAgentsOption(t *testing.T) {
	for text, want := range map[string]bool{"": true, "monitord.monitor_agents=0\n": false} {
		o, problems := config.ParseOptions("local_internal_options.conf", []byte(text))
		if problems.Err() != nil {
			t.Fatal(problems.Err())
		}
		if got := (&App{internal: o}).disconnects() != nil; got != want {
			t.Errorf("%q: events about agents that fell silent: %v", text, got)
		}
	}
}
