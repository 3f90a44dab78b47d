package keys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

func TestKeyTextVectors(t *testing.T) {
	type vector struct {
		Kind       string
		KeysLine   string `json:"keys_line"`
		ExportText string `json:"export_text"`
		ImportText string `json:"import_text"`
		After      string `json:"client_keys_after"`
		Name       string
	}
	exported, imported := 0, 0
	for _, v := range vectors.Read[vector](t, "protocol/keys.jsonl") {
		if v.ExportText != "" {
			exported++
			if got := ExportText(v.KeysLine); got != v.ExportText {
				t.Errorf("%q exports as %s, want %s", v.KeysLine, got, v.ExportText)
			}
		}
		if v.Kind != "import" {
			continue
		}
		imported++
		e, err := ParseText(v.ImportText)
		got := ""
		if err == nil {
			got = e.String() + "\n"
		}
		if v.After != got && v.After != "" {
			t.Errorf("%s: %q, %v; want %q", v.Name, got, err, v.After)
		}
	}
	if exported == 0 || imported == 0 {
		t.Errorf("%d exported, %d imported", exported, imported)
	}
}

func TestImportedFieldsAreChecked(t *testing.T) {
	for line, ok := range map[string]bool{
		"001 alpha any k": true, "001 alpha 10.0.0.0/8 k": true, "001 alpha !10.0.0.1 k": true,
		"xyz alpha any k": false, "001 a;b any k": false, "001 alpha host k": false, "001 alpha any k l": false, "001 alpha any \tk": false, "123456789 alpha any k": false,
	} {
		e, err := ParseText(ExportText(line))
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		if err := e.Check(); (err == nil) != ok || err != nil && !errors.Is(err, ErrText) {
			t.Errorf("%q: %v", line, err)
		}
	}
	if _, err := ParseText(ExportText("001 alpha any")); !errors.Is(err, ErrTextFields) {
		t.Errorf("no key: %v", err)
	}
	if _, err := ParseText(strings.Repeat("MDAx", 100)); !errors.Is(err, ErrText) {
		t.Errorf("too long: %v", err)
	}
}

func TestNextIDFollowsTheTool(t *testing.T) {
	for text, want := range map[string]string{
		"": "001", "001 a any k\n": "002", "007 " + RemovedMark + "\n": "008", "12345678 a any k\n": "001", "34560 a any k\n": "34561", "34561 a any k\n": "001",
		"1 a any k\n": "001", "abc a any k\n005 b any k\n": "006", "999 a any k\n": "1000", "1000 a any k\n0999 b any k": "1001",
	} {
		if got := ParseFile([]byte(text)).NextID(); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestEditKeepsWhatItDoesNotTouch(t *testing.T) {
	text := "# comment\n\n001 a any k1\nbroken\n 013 lead any k\n002 b any k2"
	path := writeKeys(t, text)
	err := Edit(path, 0o440, func(f *File) error {
		if _, err := f.Remove("001"); err != nil {
			return err
		}
		return f.Add(Entry{ID: "003", Name: "c", IP: "any", Key: "k3\r"})
	})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	want := "# comment\n\n001 " + RemovedMark + "\nbroken\n 013 lead any k\n002 b any k2\n003 c any k3\n"
	if string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
}

func TestFailedEditLeavesTheFileAlone(t *testing.T) {
	path := writeKeys(t, "001 a any k1\n")
	boom := errors.New("boom")
	err := Edit(path, 0o440, func(f *File) error {
		if err := f.Add(Entry{ID: "002", Name: "b", IP: "any", Key: "k"}); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Error(err)
	}
	for _, e := range []Entry{{ID: "001", Name: "x", IP: "any", Key: "k"}, {ID: "003", Name: "x\n004 y", IP: "any", Key: "k"}, {Name: "x"}, {ID: "#1", Name: "x"}} {
		if err := Edit(path, 0o440, func(f *File) error { return f.Add(e) }); err == nil {
			t.Errorf("%q was added", e)
		}
	}
	if b, _ := os.ReadFile(path); string(b) != "001 a any k1\n" {
		t.Errorf("%q", b)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".client.keys.*"))
	if err != nil || len(left) > 1 { // the lock
		t.Errorf("left behind: %v", left)
	}
}

func TestAppendClosesATornLine(t *testing.T) {
	path := writeKeys(t, "001 a any k1\n002 torn")
	if err := Append(path, Entry{ID: "003", Name: "c", IP: "any", Key: "k"}, 0o640); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "001 a any k1\n002 torn\n003 c any k\n" {
		t.Errorf("%q", b)
	}
}
