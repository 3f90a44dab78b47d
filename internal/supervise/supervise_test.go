package supervise

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/olog"
)

func TestAFailedPartIsStartedAgainAndOthersGoOn(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var said strings.Builder
	runs := 0
	healthy := false
	Run(ctx, olog.New("", &said).Prog("p"),
		Part{"breaks", func(ctx context.Context) error {
			if runs++; runs == 2 {
				cancel()
				return nil
			}
			if runs == 1 {
				panic(errors.New("boom"))
			}
			return nil
		}},
		Part{"healthy", func(ctx context.Context) error { healthy = true; <-ctx.Done(); return nil }})
	if runs != 2 || !healthy {
		t.Errorf("runs %d, healthy %v", runs, healthy)
	}
	if !strings.Contains(said.String(), "breaks failed") || !strings.Contains(said.String(), "boom") {
		t.Errorf("log: %q", said.String())
	}
}
