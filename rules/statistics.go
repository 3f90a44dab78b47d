package rules

import (
	"time"

	"github.com/vedette-hids/vedette/event"
)

// Statistics is a placeholder until written.
type Statistics struct{ alerts int }

func (s *State) statistics(st *Statistics, ev *event.Event, now time.Time) *event.Alert { return nil }
