package monitor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/internal/olog"
)

// Counter is one line of the state file.
type Counter struct {
	Name  string
	Value uint64
}

// State is a part that writes var/run/ossec-analysisd.state now and then: comments and name='value' lines (spec outputs.md, section 14).
type State struct {
	Path     string
	Interval time.Duration // analysisd.state_interval; 0 = never
	Counters func() []Counter
	Log      *olog.Log
}

// Run writes the file until ctx ends, and once more then.
func (s *State) Run(ctx context.Context) error {
	if s.Interval <= 0 {
		return nil
	}
	tick := time.NewTicker(s.Interval)
	defer tick.Stop()
	for {
		s.write()
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.write()
			return nil
		}
	}
}

func (s *State) write() {
	var b strings.Builder
	fmt.Fprintf(&b, "# State of the analysis, written every %s; counters begin at the start of the manager.\n", s.Interval)
	for _, c := range s.Counters() {
		fmt.Fprintf(&b, "%s='%d'\n", c.Name, c.Value)
	}
	if err := atomicfile.Write(s.Path, []byte(b.String()), fileMode); err != nil {
		s.Log.Every("state", time.Hour).Error("writing the state: %v", err)
	}
}
