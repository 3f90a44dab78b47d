package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/nospace"
	"github.com/vedette-hids/vedette/internal/smalldisk"
)

func open(t *testing.T, dir string, size int64) *Queue {
	t.Helper()
	q, err := Open(Options{Dir: dir, MaxBytes: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func put(t *testing.T, q *Queue, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := q.Append(fmt.Appendf(nil, "record %d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// take reads want records and checks their numbers; it commits each when commit is set.
func take(t *testing.T, q *Queue, from, to int, commit bool) {
	t.Helper()
	for i := from; i < to; i++ {
		rec, pos, ok, err := q.Next(nil)
		if err != nil || !ok {
			t.Fatalf("record %d: ok=%v err=%v", i, ok, err)
		}
		if want := fmt.Sprintf("record %d", i); string(rec) != want {
			t.Fatalf("got %q, want %q", rec, want)
		}
		if commit {
			if err := q.Commit(pos); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// drain takes all records, whose numbers must grow, and tells how many there were.
func drain(t *testing.T, q *Queue, commit bool) (got int) {
	t.Helper()
	for last := -1; ; got++ {
		rec, pos, ok, err := q.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return got
		}
		n := 0
		if _, err := fmt.Sscanf(string(rec), "record %d", &n); err != nil || n <= last {
			t.Fatalf("%q after record %d", rec, last)
		}
		last = n
		if commit {
			if err := q.Commit(pos); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRecordsComeOutInOrderAcrossSegmentsAndRestarts(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 1<<20)
	put(t, q, 0, 5000)
	take(t, q, 0, 1234, true)
	put(t, q, 5000, 6000)
	q.Close()
	q = open(t, dir, 1<<20)
	if got := q.Len(); got != 6000-1234 {
		t.Fatalf("Len %d", got)
	}
	take(t, q, 1234, 6000, true)
	if _, _, ok, _ := q.Next(nil); ok {
		t.Fatal("more than was put in")
	}
}

func TestRewindBringsBackWhatWasNotCommitted(t *testing.T) {
	q := open(t, t.TempDir(), 64<<10)
	put(t, q, 0, 1000)
	take(t, q, 0, 100, true)
	take(t, q, 100, 900, false)
	if err := q.Rewind(); err != nil {
		t.Fatal(err)
	}
	if q.Len() != 900 {
		t.Fatalf("Len %d", q.Len())
	}
	take(t, q, 100, 1000, true)
}

func TestUncommittedRecordsAreHandedOutAgainAfterACrash(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 1<<20)
	put(t, q, 0, 50)
	take(t, q, 0, 20, true)
	take(t, q, 20, 40, false)
	// no Close: the process died
	crashed := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(crashed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	take(t, open(t, crashed, 1<<20), 20, 50, true)
}

func TestPrependedRecordsComeFirst(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 64<<10)
	put(t, q, 100, 1000)
	take(t, q, 100, 300, true)
	take(t, q, 300, 400, false)
	var front [][]byte
	for i := 290; i < 300; i++ {
		front = append(front, fmt.Appendf(nil, "record %d", i))
	}
	if err := q.Prepend(front); err != nil {
		t.Fatal(err)
	}
	put(t, q, 1000, 1010)
	if q.Len() != 720 {
		t.Fatalf("Len %d", q.Len())
	}
	q.Close()
	q = open(t, dir, 64<<10)
	take(t, q, 290, 1010, true)
	if err := q.Prepend(front[:1]); err != nil {
		t.Fatal(err)
	}
	take(t, q, 290, 291, true)
}

func TestBoundForcesOutTheOldestAndCountsThem(t *testing.T) {
	dir := t.TempDir()
	const bound = 64 << 10
	q := open(t, dir, bound)
	put(t, q, 0, 10000)
	if q.Bytes() > bound {
		t.Fatalf("%d bytes in use, bound %d", q.Bytes(), bound)
	}
	left, lost := q.Len(), q.Lost()
	if lost == 0 || left+int(lost) != 10000 {
		t.Fatalf("left %d, lost %d", left, lost)
	}
	q.Close()
	q = open(t, dir, bound)
	if q.Lost() != lost || q.Len() != left {
		t.Fatalf("after restart: left %d, lost %d; want %d, %d", q.Len(), q.Lost(), left, lost)
	}
	take(t, q, int(lost), 10000, true)
	if err := q.ForgetLost(lost); err != nil || q.Lost() != 0 {
		t.Fatalf("lost %d, err %v", q.Lost(), err)
	}
}

func TestAnEmptiedQueueFreesItsSpace(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 1<<20)
	put(t, q, 0, 20000)
	take(t, q, 0, 20000, true)
	if q.Bytes() > 100 {
		t.Fatalf("%d bytes in use", q.Bytes())
	}
	put(t, q, 7, 9)
	take(t, q, 7, 9, true)
}

// TestOpenSurvivesAnyTruncation cuts and damages the files of a queue at random places: what comes out must be a run of the records
// that went in, and the queue must work afterwards.
func TestOpenSurvivesAnyTruncation(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	src := t.TempDir()
	q := open(t, src, 64<<10)
	put(t, q, 0, 1500)
	take(t, q, 0, 300, true)
	q.Close()
	for range 60 {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(src)); err != nil {
			t.Fatal(err)
		}
		damage(t, dir, rnd)
		q := open(t, dir, 64<<10)
		drain(t, q, true)
		put(t, q, 5000, 5010)
		take(t, q, 5000, 5010, true)
		q.Close()
	}
}

func damage(t *testing.T, dir string, rnd *rand.Rand) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	path := files[rnd.IntN(len(files))]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := rnd.IntN(len(data))
	if rnd.IntN(2) == 0 {
		data = data[:at]
	} else {
		data[at] ^= 0xff
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAFullDiskStopsNothingButAppend(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		const bound = 16 << 20
		spool := filepath.Join(dir, "spool")
		q := open(t, spool, bound)
		put(t, q, 0, 5000)
		take(t, q, 0, 1000, true)
		filler := smalldisk.Fill(t, dir)
		full := func() {
			t.Helper()
			for range 3 {
				if err := q.Append(make([]byte, 8<<10)); !nospace.Is(err) {
					t.Errorf("append: %v", err)
				}
			}
		}
		full()
		take(t, q, 1000, 2000, true)
		q.Close()
		q = open(t, spool, bound) // an agent that starts while the disk is full
		if n := q.Damaged(); n > 0 {
			t.Errorf("%d bytes damaged", n)
		}
		full()
		take(t, q, 2000, 3000, true)
		take(t, q, 3000, 3500, false)
		if err := q.Prepend([][]byte{[]byte("record 1999")}); !nospace.Is(err) { // copies what is left, for which there is no room
			t.Errorf("prepend: %v", err)
		}
		if err := q.AddBroken(1); err != nil {
			t.Error(err)
		}
		take(t, q, 3000, 5000, true)
		if _, _, ok, err := q.Next(nil); ok || err != nil || q.Len() != 0 {
			t.Errorf("more records, or %v", err)
		}
		full()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		put(t, q, 5000, 6000)
		take(t, q, 5000, 5500, true)
		q.Close()
		q = open(t, spool, bound)
		if q.Lost() != 0 || q.Broken() != 1 {
			t.Errorf("lost %d, broken %d", q.Lost(), q.Broken())
		}
		take(t, q, 5500, 6000, true)
	})
}

// TestOpenWithoutRoomIsTriedAgain has no place for a first segment.
func TestOpenWithoutRoomIsTriedAgain(t *testing.T) {
	smalldisk.Run(t, 1<<20, func(t *testing.T, dir string) {
		filler := smalldisk.Fill(t, dir)
		spool := filepath.Join(dir, "spool")
		if _, err := Open(Options{Dir: spool}); !nospace.Is(err) {
			t.Fatal(err)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		q := open(t, spool, 0)
		put(t, q, 0, 10)
		take(t, q, 0, 10, true)
	})
}

// TestRecordsThatCannotBeReadAgainAreCounted damages segments of an open queue.
func TestRecordsThatCannotBeReadAgainAreCounted(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, 64<<10)
	put(t, q, 0, 1500)
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, path := range []string{files[1], files[len(files)-1]} {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{0xff, 0xff}, 1000); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	all := 1500
	for range 3 {
		got := drain(t, q, false)
		if broken := int(q.Broken()); broken == 0 || got+broken != all || q.Len() != 0 {
			t.Errorf("%d records of %d, %d broken, %d are said to be there", got, all, broken, q.Len())
		}
		put(t, q, all, all+10) // behind the damage
		all += 10
		if got := drain(t, q, false); got != 10 {
			t.Errorf("%d of 10 records behind the damage", got)
		}
		if err := q.Rewind(); err != nil {
			t.Fatal(err)
		}
	}
	broken := q.Broken()
	q.Close()
	q = open(t, dir, 64<<10)
	if q.Broken() != broken || q.Damaged() == 0 {
		t.Errorf("broken %d, want %d; %d bytes damaged", q.Broken(), broken, q.Damaged())
	}
	if got := drain(t, q, false); got != all-int(broken) {
		t.Errorf("%d records after a restart, %d before", got, all-int(broken))
	}
	if err := q.ForgetBroken(broken); err != nil || q.Broken() != 0 {
		t.Errorf("%d, %v", q.Broken(), err)
	}
}

func TestUseAfterCloseFails(t *testing.T) {
	q := open(t, t.TempDir(), 0)
	q.Close()
	if err := q.Append([]byte("x")); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := q.Append([]byte(strings.Repeat("x", MaxRecord+1))); err == nil {
		t.Fatal("oversized record accepted")
	}
}

func BenchmarkAppend(b *testing.B) {
	q, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	rec := []byte(strings.Repeat("x", 110))
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Append(rec); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReplay reads and commits record by record.
func BenchmarkReplay(b *testing.B) {
	q, err := Open(Options{Dir: b.TempDir(), MaxBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	rec := []byte(strings.Repeat("x", 110))
	b.ReportAllocs()
	buf := make([]byte, 0, 256)
	for b.Loop() {
		if q.Len() == 0 {
			b.StopTimer()
			for range 100000 {
				if err := q.Append(rec); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
		_, pos, ok, err := q.Next(buf)
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
		if err := q.Commit(pos); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
