package activeresponse

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// bench is an install root with an executor in it. Programs are recorded instead of started; compiled-in responders work on the root.
type bench struct {
	t       *testing.T
	root    string
	opts    ExecutorOptions
	rec     *recorder
	e       *Executor
	cancel  context.CancelFunc
	ended   chan error
	mu      sync.Mutex
	lines   []string
	hostile func(ctx context.Context, argv []string) (outcome, bool) // answers instead of the recorder
}

const arConf = `restart-ossec0 - restart-ossec.sh - 0
host-deny600 - host-deny.sh - 600
host-deny0 - host-deny.sh - 0
custom60 - custom.sh - 60
custom0 - custom.sh - 0
other60 - other.sh - 60
disable-account60 - disable-account.sh - 60
`

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, root: t.TempDir(), rec: &recorder{}}
	for _, d := range []string{"active-response/bin", "etc/shared", "queue", "logs", "host"} {
		mkdir(t, filepath.Join(b.root, d))
	}
	for _, s := range []string{"custom.sh", "other.sh"} {
		put(t, filepath.Join(b.root, "active-response/bin", s), "#!/bin/sh\n")
	}
	put(t, filepath.Join(b.root, "etc/shared/ar.conf"), arConf)
	logger := olog.New("", nil)
	logger.Tap(func(line string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, line[len("2006/01/02 15:04:05 "):])
	})
	b.opts = ExecutorOptions{Root: b.root, Log: logger.Prog("ossec-execd"), BootID: "boot-1",
		Config: config.ResponseExecutor{HostsDeny: filepath.Join(b.root, "host/hosts.deny")}}
	return b
}

// run starts the executor; it must be called in the bubble of the test.
func (b *bench) run() {
	b.t.Helper()
	if b.opts.Env == nil {
		b.opts.Env = responders.NewEnv(b.root, nil).Quiet()
	}
	b.e = NewExecutor(b.opts)
	b.e.start = func(ctx context.Context, argv []string, detached bool) outcome {
		if b.hostile != nil {
			if o, ok := b.hostile(ctx, argv); ok {
				return o
			}
		}
		return b.rec.start(ctx, argv, detached)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	b.cancel, b.ended = cancel, make(chan error, 1)
	go func() { b.ended <- b.e.Run(ctx) }()
	synctest.Wait()
}

func (b *bench) stop() {
	b.t.Helper()
	b.cancel()
	if err := <-b.ended; err != nil {
		b.t.Error(err)
	}
}

// crash ends the executor without any of its clean-up reaching the disk.
func (b *bench) crash() {
	b.t.Helper()
	state, err := os.ReadFile(b.e.o.StateFile)
	if err != nil {
		b.t.Fatal(err)
	}
	deny, denyErr := os.ReadFile(b.opts.Config.HostsDeny)
	b.e.SetKeepOnStop(true)
	b.stop()
	if err := os.WriteFile(b.e.o.StateFile, state, 0o600); err != nil {
		b.t.Fatal(err)
	}
	if denyErr == nil {
		put(b.t, b.opts.Config.HostsDeny, string(deny))
	}
}

func (b *bench) submit(name, user, ip string) {
	b.t.Helper()
	b.submitRule(name, user, ip, "5712")
}

func (b *bench) submitRule(name, user, ip, rule string) {
	b.t.Helper()
	err := b.e.Submit(event.Response{Name: name, User: user, IP: ip, AlertID: "1700000000.1", RuleID: rule, Location: "(web) 10.0.0.5->/var/log/secure",
		Filename: "-"})
	if err != nil {
		b.t.Error(err)
	}
	synctest.Wait()
}

func (b *bench) deny() string {
	data, err := os.ReadFile(b.opts.Config.HostsDeny)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Error(err)
	}
	return string(data)
}

func (b *bench) expectDeny(want string) {
	b.t.Helper()
	synctest.Wait()
	if got := b.deny(); got != want {
		b.t.Errorf("hosts.deny %q, want %q (at %s)", got, want, time.Now().Format(time.TimeOnly))
	}
}

// ran takes the recorded runs as "program action user ip".
func (b *bench) ran() []string {
	var out []string
	for _, r := range b.rec.take() {
		out = append(out, filepath.Base(r.argv[0])+" "+strings.Join(r.argv[1:4], " "))
	}
	return out
}

func (b *bench) expectRan(want ...string) {
	b.t.Helper()
	synctest.Wait()
	if got := b.ran(); !slices.Equal(got, want) {
		b.t.Errorf("ran %q, want %q", got, want)
	}
}

func (b *bench) logged(part string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.lines, func(l string) bool { return strings.Contains(l, part) })
}

func (b *bench) expectLogged(part string) {
	b.t.Helper()
	if !b.logged(part) {
		b.t.Errorf("log lacks %q:\n%s", part, strings.Join(b.lines, "\n"))
	}
}

func inBubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b.t = t
		f(t, b)
	})
}

func TestBlockIsTakenBackToTheSecond(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(600 * time.Second)
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(time.Second)
		b.expectDeny("")
		log, err := os.ReadFile(filepath.Join(b.root, "logs/active-responses.log"))
		if err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(b.root, "active-response/bin/host-deny.sh")
		want := "Sat Jan  1 00:00:00 UTC 2000 " + script + " add - 192.0.2.7 1700000000.1 5712\n" +
			"Sat Jan  1 00:10:01 UTC 2000 " + script + " delete - 192.0.2.7 1700000000.1 5712\n"
		if string(log) != want {
			t.Errorf("log\n%s\nwant\n%s", log, want)
		}
		b.stop()
	})
}

func TestEscalationOverFiveOffences(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.RepeatedOffenders = []int{60, 120, 360, 1440, 10080}
		b.opts.Config.OffenderUnit = time.Minute
		b.run()
		for nth, want := range []time.Duration{600 * time.Second, time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour, 168 * time.Hour, 168 * time.Hour} {
			b.submit("host-deny600", "-", "192.0.2.7")
			blocks := b.e.Blocked()
			if len(blocks) != 1 || blocks[0].Offences != nth+1 || blocks[0].Period != want || blocks[0].TimeLeft(time.Now()) != want+time.Second {
				t.Fatalf("offence %d: %+v, want %s", nth+1, blocks, want)
			}
			time.Sleep(want)
			b.expectDeny("ALL:192.0.2.7\n")
			time.Sleep(time.Second)
			b.expectDeny("")
		}
		b.submit("host-deny600", "-", "192.0.2.8") // another address begins at the beginning
		if got := b.e.Blocked(); len(got) != 1 || got[0].Period != 600*time.Second {
			t.Errorf("other address: %+v", got)
		}
		b.stop()
	})
}

func TestEscalationNeverShortensABlock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.RepeatedOffenders = []int{1}
		b.opts.Config.OffenderUnit = time.Minute
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		time.Sleep(time.Minute)
		b.submit("host-deny600", "-", "192.0.2.7")
		if got := b.e.Blocked()[0]; got.Period != 600*time.Second || got.Offences != 2 {
			t.Errorf("%+v", got)
		}
		b.stop()
	})
}

func TestBlockWithoutTimeoutStays(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny0", "-", "192.0.2.7")
		b.submit("host-deny600", "-", "192.0.2.7") // does not limit it
		time.Sleep(24 * time.Hour)
		b.expectDeny("ALL:192.0.2.7\n")
		b.stop()
		b.expectDeny("ALL:192.0.2.7\n")
		b.run()
		if got := b.e.Blocked(); len(got) != 1 || !got[0].Until.IsZero() {
			t.Errorf("%+v", got)
		}
		if _, err := b.e.Unblock(t.Context(), "192.0.2.7"); err != nil {
			t.Error(err)
		}
		b.expectDeny("")
		b.stop()
	})
}

func TestUnblockWaitsAndPardons(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.RepeatedOffenders = []int{60}
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		b.submit("custom60", "-", "192.0.2.7")
		b.submit("host-deny600", "-", "192.0.2.8")
		got, err := b.e.Unblock(t.Context(), "192.0.2.7")
		if err != nil || len(got) != 2 {
			t.Errorf("unblocked %+v, %v", got, err)
		}
		if b.deny() != "ALL:192.0.2.8\n" {
			t.Errorf("Unblock returned before the entry was gone: %q", b.deny())
		}
		b.expectRan("custom.sh add - 192.0.2.7", "custom.sh delete - 192.0.2.7")
		b.submit("host-deny600", "-", "192.0.2.7")
		for _, bl := range b.e.Blocked() {
			if bl.Offences != 1 {
				t.Errorf("offences were not forgotten: %+v", bl)
			}
		}
		if got, err := b.e.Unblock(t.Context(), "ghost"); err != nil || len(got) != 0 {
			t.Errorf("unknown user: %+v, %v", got, err)
		}
		if got, err := b.e.UnblockAll(t.Context()); err != nil || len(got) != 2 || b.deny() != "" {
			t.Errorf("all: %+v, %v, %q", got, err, b.deny())
		}
		b.stop()
		if _, err := b.e.Unblock(t.Context(), "192.0.2.7"); !errors.Is(err, ErrNotRunning) {
			t.Errorf("stopped: %v", err)
		}
	})
}

func TestOperatorBlocksByName(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		got, err := b.e.Block(t.Context(), "host-deny600", "192.0.2.7")
		if err != nil || got == nil || got.Address != "192.0.2.7" {
			t.Errorf("%+v, %v", got, err)
		}
		b.expectDeny("ALL:192.0.2.7\n")
		for _, bad := range [][2]string{{"nosuch1", "192.0.2.7"}, {"host-deny600", "127.0.0.1"}, {"host-deny600", "not an address"}} {
			if _, err := b.e.Block(t.Context(), bad[0], bad[1]); err == nil {
				t.Errorf("%v was accepted", bad)
			}
		}
		b.stop()
	})
}

func TestProtectedAddressesAreNeverBlocked(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Host = protect.NewHost(func() []protect.Entry {
			return []protect.Entry{{Addr: netip.MustParseAddr("192.0.2.1"), Why: "default gateway"}, {Addr: netip.MustParseAddr("2001:db8:0:1::1"), Why: "own address"}}
		}, "198.51.100.1")
		b.opts.Allow = protect.NewList(&config.Global{AllowHosts: []string{"admin.example.org"},
			AllowIPs: []config.AddressSpec{{Text: "203.0.113.0/24", Prefix: netip.MustParsePrefix("203.0.113.0/24")}}})
		b.opts.Config.IPv6Prefix = 64
		b.run()
		for _, ip := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "192.0.2.1", "::ffff:192.0.2.1",
			"198.51.100.1", "203.0.113.77", "2001:db8:0:1::99", "admin.example.org", "Admin.Example.Org"} {
			for _, name := range []string{"host-deny600", "host-deny0", "custom60", "custom0"} {
				if strings.HasPrefix(name, "custom") && ip == "2001:db8:0:1::99" {
					continue // a foreign program blocks single addresses
				}
				b.submit(name, "-", ip)
				if records := b.e.Journal().Why(""); records[len(records)-1].Verdict != Refused {
					t.Errorf("%s %s: %+v", name, ip, records[len(records)-1])
				}
			}
		}
		b.expectDeny("")
		b.expectRan()
		b.stop()
	})
}

func TestIPv6OffendersAreBlockedByNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.IPv6Prefix = 64
		b.run()
		b.submit("host-deny600", "-", "2001:db8::1")
		time.Sleep(300 * time.Second)
		b.submit("host-deny600", "-", "2001:db8::2") // the same network: the block is prolonged
		b.expectDeny("ALL:[2001:db8::]/64\n")
		time.Sleep(600 * time.Second)
		b.expectDeny("ALL:[2001:db8::]/64\n")
		time.Sleep(time.Second)
		b.expectDeny("")
		b.stop()
	})
}

func TestHostileValuesRunNothing(t *testing.T) {
	long := strings.Repeat("a", 10<<10)
	values := []string{"", " ", "--help", "-1", "-", "--", "999.1.1.1", "010.1.1.1", "10.1", "0x7f.1", "0x7f000001", "1.2.3.4;id", "$(id)", "`id`", "1.2.3.4 5.6.7.8",
		"fe80::1%eth0", "10.0.0.0/8", "1.2.3.4\nALL:ALL", "1.2.3.4\x00", "ALL", "*", ".", "..", "../../etc/passwd", ".com", "a..b", "| sh", "&", "'", `"`, "\\",
		"\u202e1.2.3.4", "１.2.3.4", "1.2.3.4,5.6.7.8", "ALL:ALL", "LOCAL", "EXCEPT", "[::1]", "::ffff:127.0.0.1", "::127.0.0.1%", long, long + ".example.org", "1.2.3.4" + long}
	inBubble(t, func(t *testing.T, b *bench) {
		put(t, b.opts.Config.HostsDeny, "# kept\n")
		b.opts.Env = responders.NewEnv(b.root, nil).Quiet()
		b.opts.Env.LookupUser = func(string) (int, error) { return 0, errors.New("no such user") }
		b.opts.Env.Run = func(_ context.Context, argv []string) (int, string, error) {
			t.Errorf("started %q", argv)
			return 0, "", nil
		}
		b.run()
		for _, v := range values {
			b.submit("host-deny600", "-", v)
			b.submit("disable-account60", v, "-")
			b.submit("host-deny600", v, v)
			b.submit("custom60", v+";", v+";")
			b.e.SubmitText("host-deny600 - " + v)
			b.e.SubmitText(v)
			synctest.Wait()
		}
		b.expectDeny("# kept\nALL:1.2.3.4\n") // "1.2.3.4 5.6.7.8" and "1.2.3.4\x00" as text are an address and more arguments
		b.expectRan()
		if got := b.e.Blocked(); len(got) != 1 {
			t.Errorf("blocked %+v", got)
		}
		b.stop()
	})
}

func TestHangingProgramHoldsUpNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.RunTimeout, b.opts.Concurrency = 30*time.Second, 2
		var healed atomic.Bool
		b.hostile = func(ctx context.Context, argv []string) (outcome, bool) {
			if healed.Load() || !strings.HasSuffix(argv[0], "/custom.sh") {
				return outcome{}, false
			}
			<-ctx.Done()
			return outcome{err: context.Cause(ctx)}, true
		}
		b.run()
		began := time.Now()
		for i := range 6 {
			b.submit("custom60", "-", fmt.Sprintf("192.0.2.%d", i))
		}
		b.submit("other60", "-", "192.0.2.7")
		b.submit("host-deny600", "-", "192.0.2.7")
		b.expectRan("other.sh add - 192.0.2.7")
		b.expectDeny("ALL:192.0.2.7\n")
		if d := time.Since(began); d != 0 {
			t.Errorf("others waited %s", d)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		b.expectLogged("the time limit of 30s passed")
		healed.Store(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for _, bl := range b.e.Blocked() {
			if bl.Executable == "custom.sh" {
				t.Errorf("never taken back: %+v", bl)
			}
		}
		b.stop()
	})
}

func TestFailedDeleteIsRepeatedUntilItWorks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		file, aside := b.opts.Config.HostsDeny, filepath.Join(b.root, "aside")
		rename(t, file, aside)
		mkdir(t, file) // a directory cannot be read as a file
		time.Sleep(601 * time.Second)
		synctest.Wait()
		if got := b.e.Blocked(); len(got) != 1 || got[0].State != Releasing || got[0].Error == "" {
			t.Errorf("%+v", got)
		}
		time.Sleep(5 * time.Second)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		rename(t, aside, file)
		b.expectDeny("ALL:192.0.2.7\n")
		time.Sleep(6 * time.Second)
		b.expectDeny("")
		if got := b.e.Blocked(); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		b.stop()
	})
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestCapOnSimultaneousBlocks(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.MaxBlocks = 3
		b.run()
		for i := range 6 {
			b.submit("host-deny600", "-", fmt.Sprintf("192.0.2.%d", i+1))
		}
		b.submit("host-deny600", "-", "192.0.2.1") // prolonging is always possible
		if got := b.e.Blocked(); len(got) != 3 {
			t.Errorf("%d blocks", len(got))
		}
		b.expectLogged("which is the limit (max_blocks)")
		time.Sleep(601 * time.Second)
		synctest.Wait()
		b.submit("host-deny600", "-", "192.0.2.6")
		b.expectDeny("ALL:192.0.2.6\n")
		b.stop()
	})
}

func TestDryRunChangesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.opts.Config.DryRun = true
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		b.submit("custom0", "-", "192.0.2.7")
		b.expectDeny("")
		b.expectRan()
		b.expectLogged("host-deny.sh add - 192.0.2.7: dry run, nothing was done")
		if got := b.e.Blocked(); len(got) != 1 || !got[0].DryRun {
			t.Errorf("%+v", got)
		}
		if _, err := os.Stat(filepath.Join(b.root, "logs/active-responses.log")); err == nil {
			t.Error("a dry run wrote to active-responses.log")
		}
		// A block that was made for real is taken back for real.
		b.stop()
		b.opts.Config.DryRun = false
		b.run()
		b.submit("host-deny600", "-", "192.0.2.8")
		b.crash()
		b.opts.Config.DryRun = true
		b.run()
		time.Sleep(time.Hour)
		b.expectDeny("")
		b.stop()
	})
}

func TestAccountsAreBlockedByName(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		var ran []string
		b.opts.Env = responders.NewEnv(b.root, nil).Quiet()
		b.opts.Env.LookupUser = func(string) (int, error) { return 1005, nil }
		b.opts.Env.Run = func(_ context.Context, argv []string) (int, string, error) {
			mu.Lock()
			defer mu.Unlock()
			ran = append(ran, strings.Join(argv[1:], " "))
			return 0, "", nil
		}
		b.run()
		b.submit("disable-account60", "bob", "192.0.2.7")
		b.submit("disable-account60", "eve", "192.0.2.7")
		b.submit("disable-account60", "bob", "192.0.2.8")
		b.submit("disable-account60", "root", "192.0.2.8")
		time.Sleep(61 * time.Second)
		synctest.Wait()
		slices.Sort(ran)
		if want := []string{"-l bob", "-l eve", "-u bob", "-u eve"}; !slices.Equal(ran, want) {
			t.Errorf("ran %q, want %q", ran, want)
		}
		b.stop()
	})
}

// selfExpiring records what a responder is told about time.
type selfExpiring struct {
	mu       sync.Mutex
	timeouts []time.Duration
}

func (s *selfExpiring) told(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeouts = append(s.timeouts, d)
}

func (s *selfExpiring) got() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.timeouts)
}

func (s *selfExpiring) Add(_ netip.Prefix, timeout time.Duration) (string, error) {
	s.told(timeout)
	return "added", nil
}

func (s *selfExpiring) Delete(netip.Prefix) (string, error) {
	s.told(-1)
	return "deleted", nil
}

func TestKernelLearnsOfALongerBlock(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		put(t, filepath.Join(b.root, "etc/shared/ar.conf"), "nft60 - nftables-drop.sh - 60\n")
		sets := &selfExpiring{}
		b.opts.Env = responders.NewEnv(b.root, nil).Quiet()
		b.opts.Env.Sets = sets
		b.run()
		b.submit("nft60", "-", "192.0.2.7")
		time.Sleep(50 * time.Second)
		b.submit("nft60", "-", "192.0.2.7")
		time.Sleep(60 * time.Second)
		synctest.Wait()
		if want := []time.Duration{61 * time.Second, 61 * time.Second}; !slices.Equal(sets.got(), want) {
			t.Errorf("told %v, want %v", sets.got(), want)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if len(sets.got()) != 3 || sets.got()[2] != -1 {
			t.Errorf("told %v", sets.got())
		}
		b.stop()
	})
}

func TestJournalTellsWhy(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bench) {
		b.run()
		b.submit("host-deny600", "-", "192.0.2.7")
		time.Sleep(time.Second)
		b.submitRule("host-deny600", "-", "192.0.2.7", "5720")
		time.Sleep(601 * time.Second)
		synctest.Wait()
		var got []string
		for _, r := range b.e.Journal().Why("192.0.2.7") {
			got = append(got, string(r.Verdict)+" "+r.RuleID+": "+r.Reason)
		}
		want := []string{"blocked 5712: entry added to " + b.opts.Config.HostsDeny, "prolonged 5720: it is in force already; its time starts again",
			"released 5712: its time is over"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q\nwant %q", got, want)
		}
		b.stop()
	})
}

func TestQueueThatIsFullRefuses(t *testing.T) {
	e := NewExecutor(ExecutorOptions{Root: t.TempDir()}) // not running
	for range queueLength {
		if err := e.SubmitText("host-deny600 - 192.0.2.7 1.1 1 l -"); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.SubmitText("host-deny600 - 192.0.2.7 1.1 1 l -"); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}
