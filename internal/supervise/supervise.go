// Package supervise runs the named parts of a program, each in one goroutine, until their context ends. A part that fails is started
// again with back-off, so that one broken part never takes the others down.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
)

// Part is one piece of work. Run returns when ctx ends; returning nil earlier means that it has nothing to do.
type Part struct {
	Name string
	Run  func(ctx context.Context) error
}

// Limits of the pause before a failed part is started again.
const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// Run starts all parts and waits until every one has ended, which is after ctx ended.
func Run(ctx context.Context, log *olog.Log, parts ...Part) {
	var wg sync.WaitGroup
	for _, p := range parts {
		wg.Go(func() { keep(ctx, log, p) })
	}
	wg.Wait()
}

func keep(ctx context.Context, log *olog.Log, p Part) {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		started := time.Now()
		err := once(ctx, p)
		if err == nil || ctx.Err() != nil || errors.Is(err, context.Canceled) {
			return
		}
		if time.Since(started) > maxPause {
			pause = firstPause
		}
		log.Error("%s failed and will be started again in %s: %v", p.Name, pause, err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// once runs a part and turns a panic into its error.
func once(ctx context.Context, p Part) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return p.Run(ctx)
}
