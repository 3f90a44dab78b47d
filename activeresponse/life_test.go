package activeresponse

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

func TestCrashLosesNoBlock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		time.Sleep(time.Minute)
		b.crash()
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(time.Minute)
		b.run()
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(480 * time.Second)
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(time.Second)
		b.expectDeny("")
		b.stop()
	})
}

func TestBlockThatEndedWhileTheProgramWasDownIsTakenBackAtStart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		b.submit("custom60", "-", "192.0.2.7")
		b.expectRan("custom.sh add - 192.0.2.7")
		b.crash()
		time.Sleep(time.Hour)
		b.expectDeny("ALL:192.0.2.7\n")
		b.run()
		b.expectDeny("")
		b.expectRan("custom.sh delete - 192.0.2.7")
		if left := b.e.Blocked(); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		b.stop()
	})
}

func TestStopTakesBlocksBackAndTheNextStartBringsThemAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		b.submit("custom60", "-", "192.0.2.7")
		b.expectRan("custom.sh add - 192.0.2.7")
		time.Sleep(100 * time.Second)
		b.expectRan("custom.sh delete - 192.0.2.7")
		b.stop()
		b.expectDeny("")
		time.Sleep(100 * time.Second)
		b.run()
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(400 * time.Second)
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(time.Second)
		b.expectDeny("")
		b.stop()
	})
}

func TestAnAnnouncedRestartKeepsBlocksButNotForLong(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		b.e.KeepForRestart()
		time.Sleep(restartLimit - time.Second)
		b.stop()
		b.expectDeny("ALL:192.0.2.7\n")
		b.run()
		b.e.KeepForRestart()
		time.Sleep(restartLimit)
		b.stop()
		b.expectDeny("")
	})
}

func TestBlocksCanStayInForceOverARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("custom60", "-", "192.0.2.7")
		b.expectRan("custom.sh add - 192.0.2.7")
		b.e.SetKeepOnStop(true)
		b.stop()
		b.expectRan()
		b.run()
		b.expectRan()
		time.Sleep(61 * time.Second)
		b.expectRan("custom.sh delete - 192.0.2.7")
		b.stop()
	})
}

func TestRebootBringsBlocksAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("custom60", "-", "192.0.2.7")
		b.expectRan("custom.sh add - 192.0.2.7")
		b.crash()
		b.opts.BootID = "boot-2"
		b.run()
		b.expectRan("custom.sh add - 192.0.2.7")
		b.stop()
	})
}

// TestCrashBetweenPlanAndRun: whether the program had begun is unknown, so a foreign program is first taken back.
func TestCrashBetweenPlanAndRun(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		b.hostile = func(context.Context, []string) (outcome, bool) { <-release; return outcome{}, true }
		b.run()
		b.submit("custom60", "-", "192.0.2.7")
		state, err := os.ReadFile(b.e.o.StateFile)
		if err != nil || !strings.Contains(string(state), `"planned"`) {
			t.Fatalf("the plan is not on disk while the program runs: %v\n%s", err, state)
		}
		close(release)
		b.stop()
		b.hostile = nil
		if err := os.WriteFile(b.e.o.StateFile, state, 0o600); err != nil {
			t.Fatal(err)
		}
		b.rec.take()
		b.run()
		b.expectRan("custom.sh delete - 192.0.2.7", "custom.sh add - 192.0.2.7")
		b.stop()
	})
}

func TestStateFileOfAnotherUserIsNotBelieved(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("custom60", "-", "192.0.2.7")
		b.crash()
		b.rec.take()
		if err := os.Chmod(b.e.o.StateFile, 0o666); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.run()
		b.expectRan()
		b.expectLogged("can be changed by others")
		b.stop()
	})
}

func TestDisabledTakesOldBlocksBackAndRunsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("custom60", "-", "192.0.2.7")
		b.submit("host-deny0", "-", "192.0.2.8")
		b.expectDeny("ALL:192.0.2.8\n")
		b.crash()
		b.rec.take()
		b.opts.Config.Disabled = true
		b.run()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		b.expectRan("custom.sh delete - 192.0.2.7")
		b.expectDeny("")
		b.cancel()
	})
}

func TestChangedPrefixLengthStillTakesOldBlocksBack(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.IPv6Prefix = 64
		b.run()
		b.submit("host-deny600", "-", "2001:db8::1")
		b.expectDeny("ALL:[2001:db8::]/64\n")
		b.crash()
		b.opts.Config.IPv6Prefix = 128
		b.opts.Env = nil
		b.run()
		time.Sleep(601 * time.Second)
		b.expectDeny("")
		b.stop()
	})
}

func TestUnblockAlsoFindsWhatAnEarlierProgramLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		put(t, b.opts.Config.HostsDeny, "ALL:192.0.2.7\nALL:192.0.2.8\n")
		b.run()
		if _, err := b.e.Unblock(t.Context(), "::ffff:192.0.2.7"); err != nil {
			t.Error(err)
		}
		b.expectDeny("ALL:192.0.2.8\n")
		if left := b.e.Blocked(); len(left) != 0 {
			t.Errorf("left %+v", left)
		}
		b.stop()
	})
}
