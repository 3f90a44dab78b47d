package list

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// Mode is the mode of compiled files: readable by the analysis user's group.
const Mode = 0o640

// Load reads the list name (as Name gives it) below root: the compiled file, or the text when the compiled file is missing or older.
// The error wraps fs.ErrNotExist when there is nothing to read.
func Load(root, name string) (*DB, error) {
	text, cdb := filepath.Join(root, name), filepath.Join(root, name+".cdb")
	if stale, err := outdated(text, cdb); err == nil && stale {
		data, err := os.ReadFile(text)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", name, err)
		}
		return Parse(data), nil
	}
	data, err := os.ReadFile(cdb)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	db, err := ReadCDB(data)
	if err != nil {
		return nil, fmt.Errorf("list %s.cdb: %w", name, err)
	}
	return db, nil
}

// outdated reports whether text is newer than cdb or cdb is missing. It fails when text cannot be examined.
func outdated(text, cdb string) (bool, error) {
	ti, err := os.Stat(text)
	if err != nil {
		return false, err
	}
	ci, err := os.Stat(cdb)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return ti.ModTime().After(ci.ModTime()), nil
}

// MakeOptions are the choices of ossec-makelists.
type MakeOptions struct {
	Force  bool      // compile every list, and report each entry to Detail
	Out    io.Writer // a line per list; nil = silent
	Detail io.Writer // with Force a line per entry; nil = silent
}

// Make compiles each of the lists (as Name gives them) below root whose text is newer than its compiled file, or all of them. A file is
// replaced at once, so a reader never sees half of it. It goes on after an error and returns all of them joined.
func Make(root string, names []string, o MakeOptions) error {
	var errs []error
	for _, name := range names {
		if err := makeOne(root, name, o); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func makeOne(root, name string, o MakeOptions) error {
	text, cdb := filepath.Join(root, name), filepath.Join(root, name+".cdb")
	stale, err := outdated(text, cdb)
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	if !stale && !o.Force {
		say(o.Out, " * File %s.cdb does not need to be compiled\n", name)
		return nil
	}
	say(o.Out, " * File %s.cdb needs to be updated\n", name)
	data, err := os.ReadFile(text)
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	db := Parse(data)
	if o.Force {
		for _, e := range db.Entries() {
			say(o.Detail, "  * adding - key: %s value: %s\n", e.Key, e.Value)
		}
	}
	b, err := db.AppendCDB(nil)
	if err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	if err := atomicfile.Write(cdb, b, Mode); err != nil {
		return fmt.Errorf("list %s: %w", name, err)
	}
	return nil
}

func say(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, format, args...)
	}
}
