package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Sender that notes what is sent and when.
type recorder struct {
	mu   sync.Mutex
	sent []string
	at   []time.Time
	gone []string
}

func (r *recorder) Send(k *keys.Key, payload []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, k.ID+" "+string(payload))
	r.at = append(r.at, time.Now())
	return nil
}

func (r *recorder) Forget(gone []*keys.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range gone {
		r.gone = append(r.gone, k.ID)
	}
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.sent
	r.sent, r.at = nil, nil
	return out
}

type bench struct {
	*Fleet
	root string
	out  *recorder
	stop func()
}

const twoKeys = "001 alpha any aaaa\n002 ../beta any bbbb\n"

func newBench(t *testing.T, files map[string]string, tune func(*Options)) *bench {
	t.Helper()
	b := &bench{root: t.TempDir(), out: &recorder{}}
	write(t, b.root, "etc/client.keys", twoKeys)
	for name, text := range files {
		write(t, b.root, "etc/shared/"+name, text)
	}
	store, err := keys.Open(filepath.Join(b.root, "etc/client.keys"))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Root: b.root, Keys: store, LogEvery: -1}
	if tune != nil {
		tune(&o)
	}
	if b.Fleet, err = New(o); err != nil {
		t.Fatal(err)
	}
	b.Attach(b.out)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return b
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) keepalive(id, text string) {
	b.Control(b.o.Keys.ByID(id), keys.AES, []byte(text), b.o.Now())
}

// TestPushPacing measures the schedule of a transfer: 31 chunks, a pause of a second, and so on; a Vedette agent gets them faster.
func TestPushPacing(t *testing.T) {
	content := strings.Repeat("0123456789", 100*90)
	for _, c := range []struct {
		name, keepalive string
		took            time.Duration
	}{
		{"ossec", "Linux\nx merged.mg\n\nrandom", 3 * time.Second},
		{"vedette", "Linux\nx merged.mg\n\nvedette/1 \nrandom", 3 * fastPause},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"big": content}, nil)
				defer b.stop()
				b.keepalive("001", c.keepalive)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if took := b.out.at[len(b.out.at)-1].Sub(b.out.at[0]); took != c.took {
					t.Errorf("transfer took %v, want %v", took, c.took)
				}
				sent := b.out.take()
				merged, _ := b.shared.current()
				if sent[0] != "001 #!-up file "+merged.md5+" merged.mg\n" || sent[len(sent)-1] != "001 #!-close file " {
					t.Errorf("%.60q … %q", sent[0], sent[len(sent)-1])
				}
				var got strings.Builder
				for _, s := range sent[1 : len(sent)-1] {
					if len(s) > 4+agentwire.ChunkSize {
						t.Errorf("chunk of %d bytes", len(s)-4)
					}
					got.WriteString(s[4:])
				}
				if want := "!90000 big\n" + content; got.String() != want {
					t.Errorf("%d bytes, want %d", got.Len(), len(want))
				}
			})
		})
	}
}

// TestRestartedAgentGetsTheFileAnew drops the transfer that a starting agent cannot use any more.
func TestRestartedAgentGetsTheFileAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"big": strings.Repeat("x", 100000)}, nil)
		defer b.stop()
		b.keepalive("001", "Linux\nx merged.mg\n")
		b.keepalive("001", "Linux\nx merged.mg\n\nagain") // no second transfer of the same
		time.Sleep(1500 * time.Millisecond)
		b.keepalive("001", agentwire.Startup)
		time.Sleep(5 * time.Second)
		n := len(b.out.take())
		if n != 1+62 {
			t.Errorf("%d packets before the restart, want 63", n)
		}
		b.keepalive("001", "Linux\nx merged.mg\n")
		time.Sleep(10 * time.Second)
		if sent := b.out.take(); len(sent) != 2+112 || !strings.HasPrefix(sent[0], "001 #!-up file ") || sent[len(sent)-1] != "001 #!-close file " {
			t.Errorf("%d packets after the restart, want 114", len(sent))
		}
	})
}

func TestChangedFilesAreBundledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"b.txt": "B", "a.txt": "A\n", ".hidden": "no", "dir/x": "no"}, nil)
		defer b.stop()
		merged := func() string {
			data, err := os.ReadFile(filepath.Join(b.root, "etc/shared/merged.mg"))
			if err != nil {
				t.Fatal(err)
			}
			return string(data)
		}
		if got := merged(); got != "!2 a.txt\nA\n!1 b.txt\nB" {
			t.Errorf("%q", got)
		}
		b.keepalive("001", "Linux\n"+first(b.shared.current()).md5+" merged.mg\n")
		time.Sleep(time.Minute)
		if sent := b.out.take(); len(sent) != 0 {
			t.Errorf("sent %q to an agent that has everything", sent)
		}
		write(t, b.root, "etc/shared/c.txt", "CC")
		if err := os.Remove(filepath.Join(b.root, "etc/shared/a.txt")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		if got := merged(); got != "!1 b.txt\nB!2 c.txt\nCC" {
			t.Errorf("%q", got)
		}
	})
}

func first(a *sharedFile, _ []*sharedFile) *sharedFile { return a }

func TestAgentTextCannotReachThePaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil, nil)
		defer b.stop()
		b.keepalive("001", "Linux \x1b[31m\x00evil\r\nx merged.mg\n")
		b.keepalive("002", "Linux\nx merged.mg\n")
		time.Sleep(time.Second)
		const sum = "ca752ef5fdb7afe5f17814b891592c05"
		b.keepalive("001", "Linux\nx merged.mg\n\nvedette/1 agent_conf="+sum+" profile=a\x1b[b\n")
		time.Sleep(time.Second)
		if got, err := os.ReadFile(filepath.Join(b.root, "queue/agent-info/alpha-any")); err != nil ||
			string(got) != "Linux\ncrypto_method:aes\nagent_conf:"+sum+"\nprofile:a [b\n" {
			t.Errorf("%q, %v", got, err)
		}
		b.keepalive("001", "Linux \x1b[31m\x00evil\r\nx merged.mg\n")
		time.Sleep(time.Second)
		entries, err := os.ReadDir(filepath.Join(b.root, "queue/agent-info"))
		if err != nil || len(entries) != 1 || entries[0].Name() != "alpha-any" {
			t.Fatalf("%v, %v", entries, err)
		}
		got, err := os.ReadFile(filepath.Join(b.root, "queue/agent-info/alpha-any"))
		if want := "Linux  [31m evil \ncrypto_method:aes\n"; err != nil || string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
		if entries, err := os.ReadDir(filepath.Join(b.root, "queue")); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	})
}

// TestInfoIsTouched checks that a repeated keepalive moves the file's time, which tools read, and nothing else.
func TestInfoIsTouched(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := newBench(t, nil, func(o *Options) { o.Now = clock })
	defer b.stop()
	path := filepath.Join(b.root, "queue/agent-info/alpha-any")
	for range 3 {
		mu.Lock()
		now = now.Add(10 * time.Minute)
		mu.Unlock()
		b.keepalive("001", "Linux\n"+first(b.shared.current()).md5+" merged.mg\n\nsomething else each time "+clock().String())
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			st, err := os.Stat(path)
			if err == nil && st.ModTime().Equal(clock()) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal(st, err)
			}
		}
	}
}

// TestSlowAgentsAreNotReported has an agent with an hour between keepalives.
func TestSlowAgentsAreNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events atomic.Int64
		b := newBench(t, nil, func(o *Options) {
			o.Deliver = func(context.Context, *event.Event) { events.Add(1) }
		})
		defer b.stop()
		for range 6 {
			b.keepalive("001", "Linux\nx merged.mg\n")
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		// Nobody can know the interval before the second keepalive.
		if n := events.Load(); n != 1 {
			t.Errorf("%d reports", n)
		}
		before := events.Load()
		for range 20 {
			b.keepalive("001", "Linux\nx merged.mg\n")
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		if n := events.Load(); n != before {
			t.Errorf("%d more reports", n-before)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if n := events.Load(); n != before+1 {
			t.Errorf("its end was reported %d times", n-before)
		}
	})
}

func TestParseAR(t *testing.T) {
	for _, c := range []struct {
		in   string
		want arRequest
		bad  string
	}{
		{in: "(msg_to_agent) [] N!S 007 syscheck restart", want: arRequest{name: "msg_to_agent", plain: true, byID: true, id: "007", text: "syscheck restart"}},
		{in: "(web) any->C:\\Program Files\\x NRN (null) c0 - - 1.1 2 (web) any->C:\\Program Files\\x -",
			want: arRequest{name: "web", byN: true, id: "(null)", text: "c0 - - 1.1 2 (web) any->C:\\Program Files\\x -"}},
		{in: "(a) x ANN (null) c0", want: arRequest{name: "a", all: true, id: "(null)", text: "c0"}},
		{in: "", bad: ""},
		{in: "no paren here", bad: "no paren here"},
		{in: "(a) b", bad: "(a"},
		{in: "(a)", bad: "(a"},
		{in: "(a) x NNS 007", bad: "(a"},
	} {
		got, err := parseAR(c.in)
		if err != nil {
			if e, ok := err.(*arError); !ok || e.text != c.bad {
				t.Errorf("%q: %v", c.in, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(arRequest{})); diff != "" {
			t.Errorf("%q:\n%s", c.in, diff)
		}
	}
}

func FuzzParseAR(f *testing.F) {
	for _, s := range []string{"(msg_to_agent) [] N!S 007 syscheck restart", "(a) b", "(a)  NNN  ", ") x NNN a b", "(a) x ANN (null) c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := parseAR(s)
		if err == nil && (r.text == "" || !strings.HasSuffix(s, r.id+" "+r.text)) {
			t.Fatalf("%q: %+v", s, r)
		}
	})
}

// TestFilesThatAgentsCannotTake are left out, so that they do not spoil the bundle: NUL bytes, names that would leave the directory or hide.
func TestFilesThatAgentsCannotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lg := olog.New("", nil)
		var lines []string
		lg.Tap(func(line string) { lines = append(lines, line[len("2026/11/24 10:00:00 "):]) })
		long := strings.Repeat("n", 255)
		b := newBench(t, map[string]string{"binary": "a\x00b", "good": "G", ".hidden": "no", "new\nline": "no", "back\\slash": "no", long: "L"},
			func(o *Options) { o.Log = lg })
		defer b.stop()
		merged, _ := b.shared.current()
		if want := "!1 good\nG!1 " + long + "\nL"; string(merged.data) != want {
			t.Errorf("%q, want %q", merged.data, want)
		}
		time.Sleep(10 * time.Minute)
		all := strings.Join(lines, "\n")
		if n := strings.Count(all, "etc/shared/binary' is not sent to agents: it holds NUL bytes, and agents take text only."); n != 1 {
			t.Errorf("%d lines about the file:\n%s", n, all)
		}
	})
}

// TestDamagedKeyFileWhileRunning keeps good lines and names the bad ones.
func TestDamagedKeyFileWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lg := olog.New("", nil)
		var mu sync.Mutex
		var lines []string
		lg.Tap(func(line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line[len("2026/11/24 10:00:00 "):])
		})
		b := newBench(t, nil, func(o *Options) { o.Log = lg })
		defer b.stop()
		alpha := b.o.Keys.ByID("001")
		path := filepath.Join(b.root, "etc/client.keys")
		write(t, b.root, "etc/client.keys", twoKeys+"# a comment\n003 gamma\n\xff\x00\xfe binary\n004 delta 300.1.2.3 cccc\n"+
			"005 epsilon any eeee\n"+strings.Repeat("x", 5000)+"\n001 again any ffff\n006 torn an")
		time.Sleep(10 * time.Second)
		if b.o.Keys.ByID("001") != alpha || b.o.Keys.ByID("002") == nil || b.o.Keys.ByID("005") == nil || b.o.Keys.Len() != 4 {
			t.Errorf("%d keys: %v", b.o.Keys.Len(), b.o.Keys.Problems())
		}
		mu.Lock()
		all := strings.Join(lines, "\n")
		mu.Unlock()
		for _, want := range []string{
			"ossec-remoted(1401): ERROR: Error reading authentication key: '003'. (line 4 of " + path + ")",
			"(line 5 of " + path + ")",
			"ossec-remoted(1237): ERROR: Invalid ip address: '300.1.2.3'. (line 6 of " + path + ")",
			"ossec-remoted(1401): ERROR: Error reading authentication key: '" + strings.Repeat("x", 60) + "...' (line longer than 2047 bytes) (line 8 of " + path + ")",
			"ossec-remoted(1401): WARN: Agent id '001' is taken by agent 'alpha' above; 'again' is reachable by its address only. (line 9 of " + path + ")",
			"ossec-remoted(1401): ERROR: Error reading authentication key: '006'. (line 10 of " + path + ")",
		} {
			if strings.Count(all, want) != 1 {
				t.Errorf("log lacks %q:\n%s", want, all)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		if b.o.Keys.ByID("001") != alpha {
			t.Error("keys are lost with the file")
		}
		mu.Lock()
		defer mu.Unlock()
		if n := strings.Count(strings.Join(lines, "\n"), "(1402): ERROR: Authentication key file '"+path+"' not found."); n == 0 || n > 11 {
			t.Errorf("%d lines about the missing file", n)
		}
	})
}

// TestNoKeepaliveIsForgotten has keepalives come while nothing is written, as on a disk that hangs: afterwards each agent has its file, with what
// the newest keepalive said.
func TestNoKeepaliveIsForgotten(t *testing.T) {
	const agents = 5000
	root := t.TempDir()
	var lines strings.Builder
	for i := range agents {
		fmt.Fprintf(&lines, "%d host-%d any aaaa\n", 10000+i, i)
	}
	write(t, root, "etc/client.keys", lines.String())
	store, err := keys.Open(filepath.Join(root, "etc/client.keys"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := New(Options{Root: root, Keys: store, LogEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	f.Attach(&recorder{})
	for _, system := range []string{"older", "newest"} {
		for _, k := range store.All() {
			f.Control(k, keys.AES, []byte(system+"\n"+first(f.shared.current()).md5+" merged.mg\n"), time.Now())
		}
	}
	if n := f.Stats().Pending; n != agents {
		t.Errorf("%d agents wait, want %d", n, agents)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- f.Run(ctx) }()
	waitFor(t, "every file", func() bool { return f.Stats().Pending == 0 })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, k := range store.All() {
		text, err := os.ReadFile(filepath.Join(root, "queue/agent-info", k.Name+"-any"))
		if err != nil || string(text) != "newest\ncrypto_method:aes\n" {
			t.Fatalf("%q, %v", text, err)
		}
	}
}

// TestKeepalivesAtTheEndAreWritten stops the manager before it came to the files.
func TestKeepalivesAtTheEndAreWritten(t *testing.T) {
	b := newBench(t, nil, nil)
	b.stop()
	b.keepalive("001", "Linux\nx merged.mg\n")
	ended, end := context.WithCancel(t.Context())
	end()
	if err := b.Run(ended); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.root, "queue/agent-info/alpha-any")); err != nil {
		t.Error(err)
	}
}

// TestUnwrittenInfoIsTriedAgain has a directory in the place of the file, until somebody removes it. The agent says nothing meanwhile.
func TestUnwrittenInfoIsTriedAgain(t *testing.T) {
	b := newBench(t, nil, func(o *Options) { o.Poll = time.Millisecond })
	defer b.stop()
	path := filepath.Join(b.root, "queue/agent-info/alpha-any")
	if err := os.Mkdir(path, 0o750); err != nil {
		t.Fatal(err)
	}
	b.keepalive("001", "Linux\nx merged.mg\n")
	waitFor(t, "the shared files, which come after the state", func() bool { return len(b.out.take()) > 0 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the state", func() bool {
		text, err := os.ReadFile(path)
		return err == nil && string(text) == "Linux\ncrypto_method:aes\n"
	})
}

// waitFor waits for what the disk shows.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
