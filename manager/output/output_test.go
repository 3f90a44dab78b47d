package output

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// fake is a sink whose failures are planned: fail says how often each alert is refused.
type fake struct {
	fail   map[uint64]int
	drop   map[uint64]bool
	block  bool
	got    []uint64
	closed bool
	worked bool
}

func (f *fake) Name() string              { return "fake" }
func (f *fake) Wants(a *event.Alert) bool { return a.Rule.Level > 0 }
func (f *fake) Close() error              { f.closed = true; return nil }

func (f *fake) Send(ctx context.Context, a *event.Alert) error {
	if f.block {
		<-ctx.Done()
		return ctx.Err()
	}
	if f.drop[a.Seq] {
		return fmt.Errorf("too large: %w", ErrDrop)
	}
	if f.fail[a.Seq] > 0 {
		f.fail[a.Seq]--
		return errors.New("down")
	}
	f.got = append(f.got, a.Seq)
	return nil
}

func (f *fake) Work(ctx context.Context, _ time.Duration) error {
	<-ctx.Done()
	f.worked = len(f.got) == 3
	return nil
}

func alertNumber(n uint64, level int) *event.Alert {
	return &event.Alert{Seq: n, Rule: &event.Rule{Level: level}, Event: &event.Event{}}
}

func TestRunnerRetriesInOrderAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fake{fail: map[uint64]int{1: 3}, drop: map[uint64]bool{2: true}}
		r := NewRunner(s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx, time.Second) }()
		r.Offer(alertNumber(9, 0)) // not wanted
		for i := range uint64(4) {
			r.Offer(alertNumber(i+1, 5))
		}
		start := time.Now()
		synctest.Wait()
		time.Sleep(7 * time.Second) // 1 + 2 + 4
		synctest.Wait()
		if fmt.Sprint(s.got) != "[1 3 4]" {
			t.Errorf("got %v after %v", s.got, time.Since(start))
		}
		cancel()
		if err := <-done; err != nil || !s.closed || !s.worked {
			t.Errorf("%v, closed %v, worked until the queue was empty %v", err, s.closed, s.worked)
		}
		if sent, lost := r.Counts(); sent != 3 || lost != 1 {
			t.Errorf("sent %d, lost %d", sent, lost)
		}
	})
}

func TestStopSendsTheQueueWithinTheGraceTime(t *testing.T) {
	for _, c := range []struct {
		name       string
		sink       *fake
		sent, lost uint64
	}{
		{"healthy", &fake{}, 3, 0},
		{"failing", &fake{fail: map[uint64]int{2: 99}}, 2, 1},
		{"hanging", &fake{block: true}, 0, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewRunner(c.sink, nil)
				for i := range uint64(3) {
					r.Offer(alertNumber(i+1, 5))
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				start := time.Now()
				if err := r.Run(ctx, 5*time.Second); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				if sent, lost := r.Counts(); sent != c.sent || lost != c.lost {
					t.Errorf("sent %d, lost %d", sent, lost)
				}
			})
		})
	}
}

func TestFullQueueIsCounted(t *testing.T) {
	r := NewRunner(&fake{}, nil)
	for i := range uint64(queueSize + 5) {
		r.Offer(alertNumber(i, 5))
	}
	if _, lost := r.Counts(); lost != 5 || r.Waiting() != queueSize {
		t.Errorf("lost %d, waiting %d", lost, r.Waiting())
	}
}
