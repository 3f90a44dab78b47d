package list

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	db := Parse([]byte("bob:1\r\n:empty\nk:v:w\nnocolon\n#x:1\n###commented:1\nc2:1 ### note\n   \ntrail :1\ndup:1\ndup:2\nlast: "))
	want := []Entry{{"bob", "1"}, {"", "empty"}, {"k", "v:w"}, {"#x", "1"}, {"c2", "1"}, {"trail ", "1"}, {"dup", "1"}, {"dup", "2"}, {"last", " "}}
	if !slices.Equal(db.Entries(), want) {
		t.Errorf("%q, want %q", db.Entries(), want)
	}
	if v, ok := db.Get("dup"); v != "1" || !ok {
		t.Errorf("dup: %q %v: the first of equal keys counts", v, ok)
	}
	if _, ok := db.Get("trail"); ok {
		t.Error("keys are not trimmed")
	}
}

func TestParseSplitsLongLines(t *testing.T) {
	long := strings.Repeat("a", MaxLine-2) + ":v" + "x:y\nz:1\n"
	if got := Parse([]byte(long)).Entries(); len(got) != 3 || got[1] != (Entry{"x", "y"}) || got[2] != (Entry{"z", "1"}) {
		t.Errorf("%d entries: %.40q", len(got), got)
	}
}

func TestGetAddress(t *testing.T) {
	db := New([]Entry{{"10.5.", "net"}, {"10.5.9.9", "host"}, {"192.168", "no dot"}, {"11.", "x"}})
	for addr, want := range map[string]string{"10.5.9.9": "host", "10.5.9.8": "net", "10.5": "", "192.168.1.1": "", "11.2.3.4": "x", "110.1.1.1": "", "": ""} {
		if got, _ := db.GetAddress(addr); got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
	if got, _ := db.GetAddress("10.5." + strings.Repeat(".", 6000)); got != "net" {
		t.Errorf("long text: %q", got)
	}
	var none *DB
	if _, ok := none.GetAddress("1.2.3.4"); ok {
		t.Error("a nil list has a key")
	}
}

// lookupCDB reads the format as its author describes it: by the hash tables, not by the records.
func lookupCDB(data []byte, key string) (string, bool) {
	u32 := func(i uint32) uint32 { return binary.LittleEndian.Uint32(data[i:]) }
	h := uint32(5381)
	for i := range len(key) {
		h = h*33 ^ uint32(key[i])
	}
	table, n := u32(h%256*8), u32(h%256*8+4)
	if n == 0 {
		return "", false
	}
	for i, at := uint32(0), h/256%n; i < n; i, at = i+1, (at+1)%n {
		slot, pos := u32(table+at*8), u32(table+at*8+4)
		if pos == 0 {
			return "", false
		}
		if slot != h {
			continue
		}
		kl, vl := u32(pos), u32(pos+4)
		if string(data[pos+8:pos+8+kl]) == key {
			return string(data[pos+8+kl : pos+8+kl+vl]), true
		}
	}
	return "", false
}

func TestCDBHoldsWhatTheTextHolds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 300, 5000} {
		var entries []Entry
		for i := range n {
			entries = append(entries, Entry{fmt.Sprintf("key%d", rnd.IntN(n)), fmt.Sprint(i)})
		}
		db := New(entries)
		data, err := db.AppendCDB([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		data = data[len("before"):]
		back, err := ReadCDB(data)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(back.Entries(), entries) {
			t.Fatalf("%d entries differ after writing and reading", n)
		}
		for i := range n + 5 {
			k := fmt.Sprintf("key%d", i)
			a, okA := db.Get(k)
			b, okB := lookupCDB(data, k)
			c, okC := back.Get(k)
			if a != b || okA != okB || a != c || okA != okC {
				t.Fatalf("%s: text %q %v, by hash %q %v, read %q %v", k, a, okA, b, okB, c, okC)
			}
		}
	}
}

func TestCDBKnownBytes(t *testing.T) {
	data, err := New([]Entry{{"one", "Hello"}}).AppendCDB(nil)
	if err != nil {
		t.Fatal(err)
	}
	// The hash begins with 5381; each byte multiplies it by 33 and is exclusive-ored in.
	h := uint32(5381)
	for _, c := range []byte("one") {
		h = h*33 ^ uint32(c)
	}
	record := append([]byte{3, 0, 0, 0, 5, 0, 0, 0}, "oneHello"...)
	if !bytes.Equal(data[2048:2048+len(record)], record) {
		t.Errorf("record % x", data[2048:2048+len(record)])
	}
	if len(data) != 2048+len(record)+16 {
		t.Errorf("%d bytes: head, one record, one table of two slots", len(data))
	}
	if got := binary.LittleEndian.Uint32(data[h%256*8:]); got != uint32(2048+len(record)) {
		t.Errorf("table at %d", got)
	}
}

func TestMake(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "lists"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(root, "lists", "t")
	if err := os.WriteFile(text, []byte("a:1\nb:2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	name := Name("lists/t.cdb")
	if db, err := Load(root, name); err != nil || db.Len() != 2 {
		t.Fatalf("a list that was not compiled must be readable: %v", err)
	}
	run := func(force bool) (string, string) {
		var out, detail strings.Builder
		if err := Make(root, []string{name}, MakeOptions{Force: force, Out: &out, Detail: &detail}); err != nil {
			t.Fatal(err)
		}
		return out.String(), detail.String()
	}
	for i, c := range []struct {
		force       bool
		out, detail string
	}{
		{false, " * File lists/t.cdb needs to be updated\n", ""},
		{false, " * File lists/t.cdb does not need to be compiled\n", ""},
		{true, " * File lists/t.cdb needs to be updated\n", "  * adding - key: a value: 1\n  * adding - key: b value: 2\n"},
	} {
		if out, detail := run(c.force); out != c.out || detail != c.detail {
			t.Errorf("run %d: %q %q, want %q %q", i, out, detail, c.out, c.detail)
		}
	}
	if err := os.WriteFile(text, []byte("c:3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(text, future, future); err != nil {
		t.Fatal(err)
	}
	if db, _ := Load(root, name); db.Len() != 1 {
		t.Error("a changed text must be seen before it is compiled")
	}
	if out, _ := run(false); !strings.Contains(out, "needs to be updated") {
		t.Error("a changed text must be compiled again")
	}
	if err := Make(root, []string{"lists/none", name}, MakeOptions{}); err == nil || !strings.Contains(err.Error(), "lists/none") {
		t.Errorf("a missing list: %v", err)
	}
}

func TestName(t *testing.T) {
	for in, want := range map[string]string{"users": "rules/users", "lists/u": "lists/u", "lists/u.cdb": "lists/u", "a.cdbx": "rules/a"} {
		if got := Name(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzReadCDB(f *testing.F) {
	for _, n := range []int{0, 1, 10} {
		var e []Entry
		for i := range n {
			e = append(e, Entry{fmt.Sprint("k", i), "v"})
		}
		data, err := New(e).AppendCDB(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		db, err := ReadCDB(data)
		if err != nil {
			return
		}
		again, err := db.AppendCDB(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadCDB(again)
		if err != nil || !slices.Equal(back.Entries(), db.Entries()) {
			t.Fatalf("entries change when written again: %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("a:1\nb:2 ### x\r\n:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		db := Parse(data)
		cdb, err := db.AppendCDB(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadCDB(cdb)
		if err != nil || !slices.Equal(back.Entries(), db.Entries()) {
			t.Fatalf("the compiled form differs: %v", err)
		}
	})
}
