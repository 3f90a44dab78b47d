package manager

import (
	"context"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// startNotice is how long after the start the manager reports it, as an event of its own (spec outputs.md, section 12).
const startNotice = 10 * time.Second

// monitor reports the start of the manager.
func (a *App) monitor(ctx context.Context) error {
	select {
	case <-time.After(startNotice):
	case <-ctx.Done():
		return nil
	}
	a.deliver(ctx, event.NewEvent(event.Message{Kind: event.KindLog, Location: "ossec-monitord", Text: "ossec: Ossec started."}, time.Now()))
	return nil
}
