package pipeline_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/internal/smalldisk"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/pipeline"
	"github.com/vedette-hids/vedette/rules"
)

// tightFiles are daily files on a disk that can be full: then the first write takes half of what it is given, and the others nothing.
type tightFiles struct {
	*alert.Files
	full  atomic.Bool
	split atomic.Bool
}

func (f *tightFiles) Write(k alert.Kind, entries []byte) (int, error) {
	if !f.full.Load() {
		return f.Files.Write(k, entries)
	}
	n := 0
	if f.split.CompareAndSwap(false, true) {
		n, _ = f.Files.Write(k, entries[:len(entries)/2]) //nolint:errcheck // counted below
	}
	return n, fmt.Errorf("writing %s: %w", k, syscall.ENOSPC)
}

// running is a pipeline in which every log line is an alert.
type running struct {
	*pipeline.Pipeline
	logs *pipeline.Logs
	said atomic.Pointer[string] // the log so far
	stop context.CancelFunc
	done chan struct{}
}

func run(t *testing.T, root string, o pipeline.Options, logs *pipeline.Logs) *running {
	t.Helper()
	rs, problems := rules.Load(rules.Sources{Rules: []rules.File{{Name: "r.xml", Data: []byte(
		`<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category><description>Logs.</description></rule>` +
			`<rule id="2" level="5"><if_sid>1</if_sid><match>line</match><description>A line.</description></rule>` +
			`<rule id="3" level="7"><category>ossec</category><description>A file.</description></rule></group>`)}}}, rules.DefaultOptions())
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	r := &running{logs: logs, done: make(chan struct{})}
	empty := ""
	r.said.Store(&empty)
	lg := olog.New("", nil)
	lg.Tap(func(line string) { s := *r.said.Load() + line + "\n"; r.said.Store(&s) })
	log := lg.Prog("ossec-analysisd")
	logs.Log = log
	o.Ruleset, o.State, o.Recorder, o.Log = rs, rules.NewState(rs, rules.Stores{}), logs, log
	r.Pipeline = pipeline.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { defer close(r.done); r.Run(ctx) }() //nolint:errcheck // always nil
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func open(t *testing.T, root string) *alert.Files {
	t.Helper()
	files, err := alert.OpenFiles(root, alert.Options{AlertsJSON: true, ArchivesJSON: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.Close() })
	return files
}

func line(n int) *event.Event {
	m := event.Message{Kind: event.KindLog, Location: "/var/log/x", Text: fmt.Sprintf("line %d %s", n, strings.Repeat("x", 3000))}
	return event.NewEvent(m, time.Now())
}

// complete checks that the files hold the lines from 0 to n-1, each once, in order and whole.
func complete(t *testing.T, root string, n int, kinds ...alert.Kind) {
	t.Helper()
	for _, k := range kinds {
		data, err := os.ReadFile(alert.CurrentPath(root, k))
		if err != nil {
			t.Fatal(err)
		}
		length, next, begin := 3000, 0, "line "
		switch k {
		case alert.Alerts:
			length = 1000 // the text form cuts
		case alert.ArchivesJSON:
			begin = `"full_log":"line ` // the text is there twice
		}
		for _, entry := range strings.Split(string(data), begin)[1:] {
			var i int
			if _, err := fmt.Sscanf(entry, "%d x", &i); err != nil || i != next || !strings.Contains(entry, strings.Repeat("x", length)) {
				t.Fatalf("%s: %.40q where line %d is expected", k, entry, next)
			}
			next++
		}
		if next != n {
			t.Errorf("%s holds %d lines of %d", k, next, n)
		}
	}
}

func TestNothingIsSettledWhileTheDiskIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		files := &tightFiles{Files: open(t, root)}
		p := run(t, root, pipeline.Options{Queue: 512, Workers: 1}, &pipeline.Logs{Files: files, ArchiveText: true, ArchiveJSON: true})
		for i := range 10 {
			if err := p.Submit(t.Context(), line(i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if _, settled := p.Settled(); settled != 10 {
			t.Fatalf("%d of 10 events are settled", settled)
		}
		files.full.Store(true)
		const all = 6000
		var submitted atomic.Int64
		go func() {
			for i := 10; i < all; i++ {
				if err := p.Submit(t.Context(), line(i)); err != nil {
					t.Error(err)
				}
				submitted.Add(1)
			}
		}()
		time.Sleep(3 * time.Minute) // the clock of the bubble: it stands until everyone waits
		synctest.Wait()
		held := submitted.Load()
		// About 1500 in the recorder, four batches of 256 that are prepared, and the queue.
		if held >= 5000 || held < 512 {
			t.Errorf("%d events were taken although nothing can be written", held)
		}
		c := p.Counters()
		if _, settled := p.Settled(); settled != 10 || c.Unwritten != c.Received-10 || c.Unwritten < 500 || c.Pauses < 100 || c.Lost != 0 {
			t.Errorf("settled %d, %+v", settled, c)
		}
		if n := p.logs.Failed(); n == 0 {
			t.Error("no write counts as failed")
		}
		said := *p.said.Load()
		for _, want := range []string{"ossec-analysisd: ERROR: writing alerts.log: no space left on device", "ERROR: writing archives.json: no space", "ERROR: The analysis waits: what came of "} {
			if n := strings.Count(said, want); n < 2 || n > 4 {
				t.Errorf("%q was said %d times in three minutes:\n%s", want, n, said)
			}
		}
		files.full.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if total, settled := p.Settled(); total != all || settled != all {
			t.Errorf("%d events of %d are settled when there is room again", settled, total)
		}
		if c := p.Counters(); c.Unwritten != 0 || c.Lost != 0 {
			t.Errorf("%+v", c)
		}
		if said := *p.said.Load(); !strings.Contains(said, "that could not be written is on file now") {
			t.Errorf("the end is not told:\n%s", said)
		}
		complete(t, root, all, alert.Alerts, alert.AlertsJSON, alert.Archives, alert.ArchivesJSON)
		p.stop()
		<-p.done
	})
}

func TestEndWhileTheDiskIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		files := &tightFiles{Files: open(t, root)}
		p := run(t, root, pipeline.Options{Queue: 512, Workers: 2}, &pipeline.Logs{Files: files, ArchiveText: true, ArchiveJSON: true})
		files.full.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for i := 0; p.Submit(ctx, line(i)) == nil; i++ { //nolint:revive // until the analysis waits
			}
		}()
		time.Sleep(time.Minute)
		cancel()
		<-ended
		p.stop()
		<-p.done
		total, settled := p.Settled()
		if c := p.Counters(); settled != 0 || c.Lost != total || total < 512 {
			t.Errorf("settled %d of %d, %+v", settled, total, c)
		}
		if want := fmt.Sprintf("ERROR: %d events are lost, except for those that agents send again", total); !strings.Contains(*p.said.Load(), want) {
			t.Errorf("not told: %s", *p.said.Load())
		}
	})
}

// tightStore is an integrity baseline on a disk that can be full.
type tightStore struct{ full atomic.Bool }

func (s *tightStore) Apply(ev *event.Event) (bool, error) {
	if s.full.Load() {
		return false, fmt.Errorf("integrity message of %q: %w", ev.Location, syscall.ENOSPC)
	}
	ev.FullLog, ev.Type = "Integrity checksum changed for: '"+ev.Raw+"'", event.TypeOSSEC
	return true, nil
}

func TestIntegrityMessagesWaitForTheirStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		fim := &tightStore{}
		fim.full.Store(true)
		p := run(t, root, pipeline.Options{FIM: fim}, &pipeline.Logs{Files: open(t, root)})
		for _, m := range []event.Message{
			{Kind: event.KindLog, Location: "/var/log/x", Text: "line before"},
			{Kind: event.KindSyscheck, Location: "syscheck", Text: "0:0 /etc/passwd"},
			{Kind: event.KindLog, Location: "/var/log/x", Text: "line after"},
		} {
			if err := p.Submit(t.Context(), event.NewEvent(m, time.Now())); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(59 * time.Second)
		if total, settled := p.Settled(); total != 3 || settled != 1 {
			t.Errorf("settled %d of %d", settled, total)
		}
		if c := p.Counters(); c.Invalid != 0 || c.Pauses < 50 {
			t.Errorf("%+v", c)
		}
		if said := *p.said.Load(); strings.Count(said, `ERROR: The analysis waits: integrity message of "syscheck": no space left`) != 1 {
			t.Errorf("%s", said)
		}
		fim.full.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, settled := p.Settled(); settled != 3 {
			t.Errorf("settled %d of 3 when there is room again", settled)
		}
		data, err := os.ReadFile(alert.CurrentPath(root, alert.Alerts))
		if err != nil {
			t.Fatal(err)
		}
		before, file, after := strings.Index(string(data), "line before"), strings.Index(string(data), "/etc/passwd"), strings.Index(string(data), "line after")
		if before < 0 || file < before || after < file {
			t.Errorf("%s", data)
		}
		p.stop()
		<-p.done
	})
}

// TestARealFullDisk fills a file system and makes room again, twice.
func TestARealFullDisk(t *testing.T) {
	smalldisk.Run(t, 32<<20, func(t *testing.T, dir string) {
		root := filepath.Join(dir, "ossec")
		failed, done := make(chan struct{}, 1), make(chan struct{}, 1)
		files := &watchedFiles{Files: open(t, root), failed: failed}
		p := run(t, root, pipeline.Options{}, &pipeline.Logs{Files: files, ArchiveText: true, Written: func() error {
			select {
			case done <- struct{}{}:
			default:
			}
			return nil
		}})
		n := 0
		for range 2 {
			filler := smalldisk.Fill(t, dir)
			before := uint64(n)
			for range 1000 {
				if err := p.Submit(t.Context(), line(n)); err != nil {
					t.Fatal(err)
				}
				n++
			}
			<-failed
			if _, settled := p.Settled(); settled >= uint64(n) || settled < before {
				t.Errorf("settled %d of %d", settled, n)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			for _, settled := p.Settled(); settled < uint64(n); _, settled = p.Settled() {
				<-done // told just before it counts, so this goes on with the next second's at the latest
			}
		}
		complete(t, root, n, alert.Alerts, alert.AlertsJSON, alert.Archives)
		if said := *p.said.Load(); !strings.Contains(said, "no space left on device") || !strings.Contains(said, "/alerts/") {
			t.Errorf("%s", said)
		}
	})
}

// watchedFiles tells when a write fails.
type watchedFiles struct {
	*alert.Files
	failed chan struct{}
}

func (f *watchedFiles) Write(k alert.Kind, entries []byte) (int, error) {
	n, err := f.Files.Write(k, entries)
	if err != nil {
		select {
		case f.failed <- struct{}{}:
		default:
		}
	}
	return n, err
}

// TestADayThatEndsWhileTheDiskIsFull keeps the entry that is half written in one file, and the order.
func TestADayThatEndsWhileTheDiskIsFull(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		root := filepath.Join(dir, "ossec")
		evening := time.Date(2026, 11, 30, 23, 59, 0, 0, time.UTC)
		files, err := alert.OpenFiles(root, alert.Options{AlertsJSON: true}, evening)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		l := &pipeline.Logs{Files: files}
		record := func(at time.Time, want pipeline.Progress) {
			t.Helper()
			ev, out := oneAlert(at)
			ev.FullLog = strings.Repeat("x", 3000)
			l.Record(ev, out)
			if got := l.Idle(at); got != want {
				t.Errorf("%s: %v, want %v", at, got, want)
			}
		}
		for range 3 {
			record(evening, pipeline.Written)
		}
		filler := smalldisk.Fill(t, dir)
		record(evening.Add(time.Second), pipeline.Behind) // begins in what is left of the file's last page
		if data, err := os.ReadFile(alert.CurrentPath(root, alert.Alerts)); err != nil || strings.Count(string(data), "** Alert") != 4 || strings.HasSuffix(string(data), "\n") {
			t.Fatalf("no entry is torn: %q, %v", data, err)
		}
		night := evening.Add(2 * time.Minute)
		record(night, pipeline.Behind)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		record(night.Add(time.Hour), pipeline.Written)
		record(night.Add(2*time.Hour), pipeline.Written)
		for path, want := range map[string]int{alert.DailyPath(root, alert.Alerts, evening): 5, alert.DailyPath(root, alert.Alerts, night): 2} {
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r := alert.NewReader(f)
			r.Broken = func() { t.Errorf("%s: an entry is torn", path) }
			n := 0
			for _, err := r.Next(); err == nil; _, err = r.Next() {
				n++
			}
			if n != want {
				t.Errorf("%s: %d entries, want %d", path, n, want)
			}
		}
	})
}
