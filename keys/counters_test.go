package keys

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const counterKeys = "001 a any secret-one\n002 b any secret-two\n"

type peer struct {
	t   *testing.T
	dir string
	key *Key
	c   *Counters
	log []string
}

func newPeer(t *testing.T, opt CountersOptions) *peer {
	p := &peer{t: t, dir: t.TempDir(), key: Parse([]byte(counterKeys)).First()}
	p.open(opt)
	return p
}

func (p *peer) open(opt CountersOptions) {
	p.t.Helper()
	opt.OnReset = func(k *Key, from, to Counter) { p.log = append(p.log, fmt.Sprintf("%s %v -> %v", k.ID, from, to)) }
	c, err := OpenCounters(p.dir, opt)
	if err != nil {
		p.t.Fatal(err)
	}
	p.c = c
}

// restart closes, and opens again with keys freshly read.
func (p *peer) restart(opt CountersOptions, keys string) {
	p.t.Helper()
	if err := p.c.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.key = Parse([]byte(keys)).First()
	p.open(opt)
}

func event(g uint32, l uint16) Opened {
	return Opened{Counter: Counter{g, l}, Payload: []byte("1:x:y"), Tag: rand.Uint64()}
}

func startup(g uint32, l uint16, tag uint64) Opened {
	return Opened{Counter: Counter{g, l}, Payload: []byte(StartupPayload), Tag: tag}
}

func (p *peer) ok(o Opened) {
	p.t.Helper()
	if err := p.c.Accept(p.key, o); err != nil {
		p.t.Errorf("%v refused: %v", o.Counter, err)
	}
}

func (p *peer) refused(o Opened, code int) {
	p.t.Helper()
	var e *Error
	if err := p.c.Accept(p.key, o); !errors.As(err, &e) || e.Code != code {
		p.t.Errorf("%v: %v, want code %d", o.Counter, err, code)
	}
}

var manager = CountersOptions{Manager: true, FromStored: true}

func TestWindowAgreesWithAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var w window
		seen := map[uint64]bool{0: true}
		var top, wall uint64
		for range 5000 {
			n := top + uint64(r.IntN(40))
			if back := uint64(r.IntN(1500)); r.IntN(2) == 0 && n > back {
				n -= back
			}
			if round%5 == 0 && r.IntN(500) == 0 {
				n = top + uint64(r.IntN(5000))
			}
			want := fresh
			if n <= top {
				switch {
				case top-n >= windowSize:
					want = stale
				case seen[n] || n <= wall:
					want = duplicate
				}
			}
			if got := w.check(n); got != want {
				t.Fatalf("check(%d) with top %d = %d, want %d", n, top, got, want)
			}
			if want != fresh {
				continue
			}
			w.take(n)
			seen[n] = true
			if n > top {
				if n-top >= windowSize {
					wall = n
				}
				top = n
			}
		}
	}
}

func TestReorderedMessagesAreTakenOnce(t *testing.T) {
	p := newPeer(t, manager)
	for _, n := range []uint16{1, 5, 3, 2, 4, 9, 7} {
		p.ok(event(0, n))
	}
	for n := uint16(1); n <= 5; n++ {
		p.refused(event(0, n), CodeDuplicate)
	}
	p.ok(event(0, 8))
	p.ok(event(1, 1))
	p.refused(event(0, 9), CodeWrongKey)
}

func TestRefusalNamesTheCountersAsOSSECDoes(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(event(5, 7))
	var e *Error
	if err := p.c.Accept(p.key, event(5, 7)); !errors.As(err, &e) || e.Text("10.0.0.1") != "Duplicated counter for 'a'." ||
		e.Detail != "Duplicate error:  global: 5, local: 7, saved global: 5, saved local:7" {
		t.Errorf("%v", err)
	}
	if err := p.c.Accept(p.key, event(4, 7)); !errors.As(err, &e) || e.Text("10.0.0.1") != "Authentication error. Wrong key from '10.0.0.1'." {
		t.Errorf("%v", err)
	}
}

func TestCounterSurvivesRestart(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(event(3, 9))
	p.restart(manager, counterKeys)
	if b, _ := os.ReadFile(filepath.Join(p.dir, "001")); string(b) != "3:9:" {
		t.Errorf("file %q", b)
	}
	p.refused(event(3, 9), CodeDuplicate)
	p.refused(event(3, 1), CodeDuplicate)
	p.ok(event(3, 10))
}

func TestFilesOfOSSECAreUnderstood(t *testing.T) {
	for text, want := range map[string]Counter{
		"10:2:7:": {10, 2}, "0:0:": {}, "9:9997:": {9, 9997}, "4294967295:9999:": {math.MaxUint32, 9999},
	} {
		if got, ok := ParseCounter([]byte(text)); !ok || got != want {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "x", "5", "5:", ":5:", "4294967296:1:", "1:10000:", "-1:2:", "99999999999999999999999:1:"} {
		if got, ok := ParseCounter([]byte(text)); ok || got != (Counter{}) {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestShorterCounterLeavesNoRestInFile(t *testing.T) {
	p := newPeer(t, manager)
	if err := os.WriteFile(filepath.Join(p.dir, "001"), []byte("9:9997:"), 0o640); err != nil {
		t.Fatal(err)
	}
	p.ok(event(10, 2))
	if err := p.c.Flush(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(p.dir, "001")); string(b) != "10:2:" {
		t.Errorf("file %q", b)
	}
}

func TestRestoredAgentIsTakenBackByItsStartupMessage(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(startup(0, 1, 0xa))
	for n := uint16(2); n < 3000; n++ {
		p.ok(event(0, n))
	}
	p.refused(event(0, 500), CodeDuplicate) // events never set a counter back
	p.ok(startup(0, 500, 0xb))
	p.ok(event(0, 501))
	if len(p.log) != 1 || p.log[0] != "001 0:2999: -> 0:500:" {
		t.Errorf("%v", p.log)
	}
	// The recorded messages of the first life lie above the counter now; a jump to them is refused, as is the first life's startup.
	p.refused(event(0, 2999), CodeDuplicate)
	p.refused(startup(0, 1, 0xa), CodeDuplicate)
	// Once the second life has passed the first, jumps are fine again.
	for n := uint16(502); n < 3100; n++ {
		p.ok(event(0, n))
	}
	p.ok(event(0, 9000))
}

func TestReplayedStartupIsRefusedAlsoAfterRestart(t *testing.T) {
	p := newPeer(t, manager)
	first := startup(0, 1, 0xa)
	p.ok(first)
	p.ok(event(0, 2))
	second := startup(7, 3, 0xb)
	p.ok(second)
	p.ok(event(7, 4000))
	for range 2 {
		p.refused(first, CodeWrongKey)
		p.refused(second, CodeDuplicate)
		p.restart(manager, counterKeys)
	}
	if len(p.log) != 0 {
		t.Errorf("%v", p.log)
	}
}

func TestCapturedStartupThatNeverArrivedIsRefused(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(event(0, 10))
	// 0:11 to 0:14 are startup messages that were sent while the manager was down, and recorded by someone.
	p.ok(startup(0, 15, 0xf))
	p.ok(event(0, 5000))
	for n := uint16(11); n < 15; n++ {
		p.refused(startup(0, n, uint64(n)), CodeDuplicate)
	}
	p.ok(startup(0, 15, 0xe)) // the number was used by another startup message: a new life
}

func TestReinstalledAgentIsTakenBack(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(startup(0, 1, 1))
	p.ok(startup(0, 2, 2))
	for n := uint16(3); n < 200; n++ {
		p.ok(event(0, n))
	}
	p.restart(manager, counterKeys)
	p.ok(startup(0, 1, 3)) // same number as the first startup, other content
	p.ok(event(0, 2))
	p.ok(event(0, 3))
	p.restart(manager, counterKeys) // the new life is still behind the old one, and stays so over a restart
	p.refused(startup(0, 1, 1), CodeDuplicate)
	p.ok(event(0, 4))
}

func TestStartupsBeforeTheFirstRecordProveNothing(t *testing.T) {
	p := newPeer(t, manager)
	if err := os.WriteFile(filepath.Join(p.dir, "001"), []byte("5:77:"), 0o640); err != nil {
		t.Fatal(err)
	}
	p.refused(startup(5, 10, 1), CodeDuplicate)
	p.ok(event(5, 78))
}

// knock lets an agent whose startup messages prove nothing send three of them; only the third gets an answer.
func (p *peer) knock(g uint32, l uint16) {
	p.t.Helper()
	for i := range uint16(3) {
		o := startup(g, l+i, rand.Uint64())
		var e *Error
		if err := p.c.Accept(p.key, o); !errors.As(err, &e) || e.Answer != (i == 2) {
			p.t.Errorf("%v: %v, answered: %v", o.Counter, err, e != nil && e.Answer)
		}
	}
}

// TestLockedOutAgentsAreTakenBack has every state in which the number of a startup message proves nothing: OSSEC's programs would refuse the agent
// until somebody deletes files.
func TestLockedOutAgentsAreTakenBack(t *testing.T) {
	for name, before := range map[string]func(p *peer) (top Opened){
		"counter file of OSSEC": func(p *peer) Opened {
			if err := os.WriteFile(filepath.Join(p.dir, "001"), []byte("999:9000:"), 0o640); err != nil {
				p.t.Fatal(err)
			}
			return event(999, 9001)
		},
		"agent that came from another manager": func(p *peer) Opened { p.ok(startup(70, 1, 1)); return event(70, 2) },
		"agent with numbers of Vedette":        func(p *peer) Opened { p.ok(startup(1_795_000_000, 1, 1)); return event(1_795_000_000, 2) },
		"restored, then installed again": func(p *peer) Opened {
			p.ok(startup(1, 1, 1))
			p.ok(event(1, 5000))
			p.ok(startup(1, 500, 2))
			return event(1, 501)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, manager)
			top := before(p)
			p.ok(top)
			p.log = nil
			p.knock(0, 1)
			p.ok(event(0, 4))
			p.ok(event(0, 6))
			if len(p.log) != 1 || p.log[0] != fmt.Sprintf("001 %v -> 0:3:", top.Counter) {
				t.Errorf("%v", p.log)
			}
			p.refused(event(0, 3), CodeDuplicate)
			p.refused(top, CodeWrongKey)
			p.ok(startup(0, 8, rand.Uint64())) // it starts again, still far below its old numbers
			p.restart(manager, counterKeys)
			p.ok(startup(0, 9, rand.Uint64()))
			p.knock(0, 1) // and is installed again
			p.ok(event(0, 4))
		})
	}
}

// TestKnocksThatWereLostOnTheWay still count, and a copy of one does not.
func TestKnocksThatWereLostOnTheWay(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(startup(70, 1, 1))
	one := startup(0, 2, 2)
	for range 5 {
		p.refused(one, CodeWrongKey)
	}
	p.refused(event(0, 3), CodeWrongKey)
	p.refused(startup(0, 5, 3), CodeWrongKey)
	p.refused(startup(0, 12, 4), CodeWrongKey)
	p.refused(startup(0, 13, 5), CodeWrongKey)
	p.refused(event(0, 22), CodeWrongKey) // too far behind the last
	p.knock(0, 30)
	p.ok(event(0, 35))
}

// TestRecordedKnocksOpenNothing plays back what an agent sent while its manager was down, and what it sent when the manager was up again.
func TestRecordedKnocksOpenNothing(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(startup(0, 1, 1))
	p.ok(event(0, 2))
	down := []Opened{startup(0, 3, 3), startup(0, 4, 4), startup(0, 5, 5), startup(0, 6, 6)}
	back, next := startup(0, 7, 7), event(0, 8)
	p.ok(back)
	p.ok(next)
	p.ok(event(0, 5000))
	for range 2 {
		for _, o := range down {
			p.refused(o, CodeDuplicate)
		}
		p.refused(back, CodeDuplicate)
		p.refused(next, CodeDuplicate)
		for _, o := range down {
			p.refused(o, CodeDuplicate)
		}
		p.refused(next, CodeDuplicate)
		p.restart(manager, counterKeys)
	}
	if len(p.log) != 0 {
		t.Errorf("%v", p.log)
	}
}

// TestKnocksWorkOnce plays back how an agent was taken back.
func TestKnocksWorkOnce(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(startup(70, 1, 1))
	recorded := []Opened{startup(0, 1, 11), startup(0, 2, 12), startup(0, 3, 13), event(0, 4)}
	for i, o := range recorded {
		if i == 3 {
			p.ok(o)
		} else {
			p.refused(o, CodeWrongKey)
		}
	}
	p.ok(event(0, 900))
	p.restart(manager, counterKeys)
	for _, o := range recorded {
		p.refused(o, CodeDuplicate)
	}
	for n := uint64(0); n < 2*maxSpent; n++ { // the memory of such messages is bounded
		p.refused(startup(0, 1, 100+n), CodeDuplicate)
	}
	if n := len(p.key.replay.Load().spent); n != maxSpent {
		t.Errorf("%d remembered", n)
	}
}

func TestOperatorResetsACounterByDeletingTheFile(t *testing.T) {
	p := newPeer(t, manager)
	if err := os.WriteFile(filepath.Join(p.dir, "001"), []byte("5:77:"), 0o640); err != nil {
		t.Fatal(err)
	}
	p.ok(event(5, 78))
	p.refused(startup(0, 1, 1), CodeWrongKey)
	if err := os.Remove(filepath.Join(p.dir, "001")); err != nil {
		t.Fatal(err)
	}
	p.refused(event(0, 1), CodeWrongKey)
	p.ok(startup(0, 2, 2))
	p.ok(event(0, 3))
}

func TestOverflowedCounterStartsAgain(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(event(math.MaxUint32, 9996))
	p.ok(event(math.MaxUint32, 9997))
	p.refused(event(0, 1), CodeWrongKey)
	p.ok(startup(0, 2, 1))
	p.ok(event(0, 3))
	if _, err := (Counter{math.MaxUint32, 9997}).Next(); !errors.Is(err, ErrCounterExhausted) {
		t.Error(err)
	}
}

func TestNewKeyStartsAtZero(t *testing.T) {
	path := writeKeys(t, counterKeys)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, manager)
	p.key = s.ByID("001")
	p.ok(startup(8, 1, 1))
	p.ok(event(8, 2))
	if err := p.c.Flush(); err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(counterKeys, "secret-one", "secret-new", 1)
	if err := os.WriteFile(path, []byte(changed), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	p.key = s.ByID("001")
	p.ok(event(0, 1))

	q := newPeer(t, manager) // the same while the manager is stopped
	q.ok(startup(8, 1, 1))
	q.restart(manager, changed)
	q.ok(event(0, 1))
}

func TestRenamedAgentKeepsItsCounter(t *testing.T) {
	path := writeKeys(t, counterKeys)
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, manager)
	p.key = s.ByID("001")
	p.ok(event(8, 2))
	if err := os.WriteFile(path, []byte(strings.Replace(counterKeys, "001 a any", "001 a 10.0.0.1", 1)), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	p.key = s.ByID("001")
	p.refused(event(8, 2), CodeDuplicate)
}

func TestRemovedAgentsFileIsNotMadeAgain(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(event(1, 1))
	p.c.Forget(p.key)
	if err := p.c.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "001")); !os.IsNotExist(err) {
		t.Error("file is there")
	}
}

func TestAgentsNeverSetTheManagersCounterBack(t *testing.T) {
	p := newPeer(t, CountersOptions{})
	p.ok(event(5, 1))
	p.refused(startup(1, 1, 1), CodeWrongKey)
}

func TestNoVerifyTakesEverything(t *testing.T) {
	p := newPeer(t, CountersOptions{NoVerify: true})
	p.ok(event(5, 1))
	p.ok(event(5, 1))
	p.ok(event(2, 1))
	if got := p.c.Saved(p.key); got != (Counter{2, 1}) {
		t.Errorf("saved %v", got)
	}
}

func TestMarksAreBounded(t *testing.T) {
	p := newPeer(t, manager)
	for n := range uint16(100) {
		p.ok(startup(0, n+1, uint64(n)))
	}
	r := p.key.replay.Load()
	if len(r.marks) > maxMarks || r.floor == 0 {
		t.Errorf("%d marks, floor %d", len(r.marks), r.floor)
	}
	p.refused(startup(0, 5, 99), CodeDuplicate)  // forgotten: refused
	p.refused(startup(0, 95, 94), CodeDuplicate) // remembered: a copy
	p.restart(manager, counterKeys)
	p.refused(startup(0, 95, 94), CodeDuplicate)
	p.ok(startup(0, 95, 1234))
}

func TestBrokenJournalMakesStrict(t *testing.T) {
	p := newPeer(t, manager)
	p.ok(startup(0, 1, 1))
	p.ok(event(0, 50))
	if err := p.c.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.dir, journalFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b[:len(b)-1], " x:y:z\n002 cut"...), 0o640); err != nil {
		t.Fatal(err)
	}
	p.key = Parse([]byte(counterKeys)).First()
	p.open(manager)
	p.refused(startup(0, 1, 7), CodeDuplicate)
	p.ok(event(0, 51))
}

func TestSenderNumbers(t *testing.T) {
	p := newPeer(t, CountersOptions{FromStored: true})
	for i := 1; i <= 9998; i++ {
		n, err := p.c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if want := (Counter{0, uint16(i)}); i <= 9997 && n != want {
			t.Fatalf("%v, want %v", n, want)
		}
		if i == 9998 && n != (Counter{1, 1}) {
			t.Errorf("after 0:9997 comes %v", n)
		}
	}
	if err := p.c.Close(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(p.dir, SenderFile)); string(b) != "1:1:" {
		t.Errorf("file %q", b)
	}
}

func TestSenderNeverRepeatsAfterACrash(t *testing.T) {
	p := newPeer(t, CountersOptions{FromStored: true})
	last := Counter{}
	for range 5 { // crashes: never closed
		for range 30 {
			n, err := p.c.Next()
			if err != nil || !last.Less(n) {
				t.Fatalf("%v after %v, %v", n, last, err)
			}
			last = n
		}
		p.open(CountersOptions{FromStored: true})
	}
}

func TestSenderStartsAtTheTimeWhenFilesAreLost(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	opt := CountersOptions{Clock: func() time.Time { return at }}
	p := newPeer(t, opt)
	n, err := p.c.Next()
	if err != nil || n != (Counter{1_800_000_000, 1}) {
		t.Errorf("%v, %v", n, err)
	}
	at = at.Add(-time.Hour) // a clock that goes back does not take the counter with it
	p.restart(opt, counterKeys)
	if n, err = p.c.Next(); err != nil || n != (Counter{1_800_000_000, 2}) {
		t.Errorf("%v, %v", n, err)
	}
}

// TestAgentGoesBackToItsFirstManager lets an agent change between two managers with the same keys and clocks: it takes what the present one
// says, and nothing that was recorded.
func TestAgentGoesBackToItsFirstManager(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return at }
	one, two := newPeer(t, CountersOptions{Clock: clock}), newPeer(t, CountersOptions{Clock: clock})
	agent := newPeer(t, CountersOptions{Clock: clock})
	say := func(from *peer) Opened {
		t.Helper()
		n, err := from.c.Next()
		if err != nil {
			t.Fatal(err)
		}
		return event(n.Global, n.Local)
	}
	var recorded []Opened
	for range 3 {
		for _, manager := range []*peer{one, two} {
			at = at.Add(time.Minute)
			manager.c.Raise() // the agent's startup message
			for range 100 {
				o := say(manager)
				agent.ok(o)
				recorded = append(recorded, o)
			}
			for _, o := range recorded {
				if err := agent.c.Accept(agent.key, o); err == nil {
					t.Fatalf("%v was taken twice", o.Counter)
				}
			}
		}
	}
}

func TestSenderGoesOnWhenTheFileCannotBeWritten(t *testing.T) {
	p := newPeer(t, CountersOptions{})
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := p.c.Next(); err != nil {
		t.Error(err)
	}
	if err := p.c.Flush(); err == nil {
		t.Error("the failure was not reported")
	}
}

func TestParallelReceiversTakeEachMessageOnce(t *testing.T) {
	p := newPeer(t, manager)
	var mu sync.Mutex
	taken := map[Counter]int{}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := uint16(1); n <= 900; n++ {
				if p.c.Accept(p.key, event(0, n)) == nil {
					mu.Lock()
					taken[Counter{0, n}]++
					mu.Unlock()
				}
				if n%300 == 0 {
					if err := p.c.Flush(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if len(taken) != 900 {
		t.Errorf("%d taken", len(taken))
	}
	for n, times := range taken {
		if times != 1 {
			t.Errorf("%v taken %d times", n, times)
		}
	}
}

func BenchmarkAccept(b *testing.B) {
	c, err := OpenCounters(b.TempDir(), manager)
	if err != nil {
		b.Fatal(err)
	}
	k := Parse([]byte(counterKeys)).First()
	b.ReportAllocs()
	o := event(0, 0)
	for b.Loop() {
		o.Counter, _ = o.Counter.Next()
		if err := c.Accept(k, o); err != nil {
			b.Fatal(err)
		}
	}
}
