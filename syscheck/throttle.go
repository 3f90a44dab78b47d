package syscheck

import (
	"context"
	"sync"
	"time"
)

// throttle slows a scan down: a pause of sleep after every so many files that were read (spec section 4.11), and a budget of bytes per
// second. A file that is only looked at costs a small part of one that is read. The zero value does not slow anything.
type throttle struct {
	sleep time.Duration // 0 = no pauses
	after int           // files between pauses
	rate  float64       // bytes per second, 0 = no limit

	mu    sync.Mutex
	count int       // in parts of a file
	next  time.Time // when the budget allows the next read
}

// partsPerFile is how many files that are merely looked at weigh as much as one that is read.
const partsPerFile = 64

// file counts one handled file and makes the pause when it is due. All workers wait while one of them pauses.
func (t *throttle) file(ctx context.Context, read bool) error {
	if t == nil || t.sleep <= 0 || t.after <= 0 {
		return ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count >= t.after*partsPerFile {
		t.count = 0
		if err := pause(ctx, t.sleep); err != nil {
			return err
		}
	}
	if read {
		t.count += partsPerFile
	} else {
		t.count++
	}
	return nil
}

// arrears is how far the budget may be behind, and is made good for afterwards: as long as the time that opening files and waking up
// late take, so that the rate is met, and too short for a burst that anybody notices.
const arrears = 100 * time.Millisecond

// bytes takes n bytes that were read from the budget, and waits until it allows more.
func (t *throttle) bytes(ctx context.Context, n int) error {
	if t == nil || t.rate <= 0 {
		return nil
	}
	t.mu.Lock()
	now := time.Now()
	if begin := now.Add(-arrears); t.next.IsZero() {
		t.next = now
	} else if t.next.Before(begin) {
		t.next = begin
	}
	t.next = t.next.Add(time.Duration(float64(n) / t.rate * float64(time.Second)))
	wait := t.next.Sub(now)
	t.mu.Unlock()
	return pause(ctx, wait)
}

// pause sleeps, or returns ctx's error when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
