package keys

import (
	"errors"
	"strings"
	"testing"
)

func TestRenameKeepsEverythingButTheName(t *testing.T) {
	const text = "# comment\n001 web any aaaa\n002 db 10.0.0.1 bbbb\n003 #*#*#*#*#*#*#*#*#*#*#gone any\n"
	f := ParseFile([]byte(text))
	e, err := f.Rename("001", "www-1")
	if err != nil || e != (Entry{ID: "001", Name: "www-1", IP: "any", Key: "aaaa"}) {
		t.Fatalf("%+v %v", e, err)
	}
	if got, want := string(f.Bytes()), strings.Replace(text, "001 web", "001 www-1", 1); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for id, name := range map[string]string{"002": "www-1", "001": "a b", "003": "x1"} {
		before := string(f.Bytes())
		if _, err := f.Rename(id, name); err == nil || string(f.Bytes()) != before {
			t.Errorf("%s %s: %v", id, name, err)
		}
	}
	if _, err := f.Rename("009", "x1"); !errors.Is(err, ErrNoID) {
		t.Error(err)
	}
}
