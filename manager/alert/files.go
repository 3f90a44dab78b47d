package alert

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Kind is one of the daily files.
type Kind int

// The kinds of daily files (spec outputs.md, section 7).
const (
	Alerts Kind = iota
	AlertsJSON
	Archives
	ArchivesJSON
	Firewall
	numKinds
)

var kinds = [numKinds]struct{ dir, current, stem, ext string }{
	Alerts:       {"alerts", "alerts.log", "ossec-alerts", ".log"},
	AlertsJSON:   {"alerts", "alerts.json", "ossec-alerts", ".json"},
	Archives:     {"archives", "archives.log", "ossec-archive", ".log"},
	ArchivesJSON: {"archives", "archives.json", "ossec-archive", ".json"},
	Firewall:     {"firewall", "firewall.log", "ossec-firewall", ".log"},
}

// String is the name of the current file, "alerts.log".
func (k Kind) String() string { return kinds[k].current }

// DailyPath is the path of a daily file below the install root.
func DailyPath(root string, k Kind, day time.Time) string {
	y, m, d := day.Date()
	return filepath.Join(root, "logs", kinds[k].dir, fmt.Sprintf("%d", y), months[m-1], fmt.Sprintf("%s-%02d%s", kinds[k].stem, d, kinds[k].ext))
}

// CurrentPath is the path of the hard link to today's file.
func CurrentPath(root string, k Kind) string {
	return filepath.Join(root, "logs", kinds[k].dir, kinds[k].current)
}

// Files owns the daily files of one manager. It is not safe for concurrent use: one goroutine writes.
type Files struct {
	root    string
	enabled [numKinds]bool
	open    [numKinds]*os.File
	day     [numKinds]time.Time // midnight at which the day of the open file began
	failed  [numKinds]error     // why the file could not be opened
	behind  [numKinds]bool      // the last Write failed: what it left belongs behind what it wrote
	lead    [numKinds]string    // ends an entry that was found cut off, so that the next one stands for itself
}

// Options say which files beside alerts.log, archives.log and firewall.log are written.
type Options struct{ AlertsJSON, ArchivesJSON bool }

// OpenFiles opens the files of the day of now.
func OpenFiles(root string, opts Options, now time.Time) (*Files, error) {
	f := &Files{root: root, enabled: [numKinds]bool{Alerts: true, Archives: true, Firewall: true,
		AlertsJSON: opts.AlertsJSON, ArchivesJSON: opts.ArchivesJSON}}
	if err := f.Roll(now); err != nil {
		f.Close()
		return nil, err
	}
	for k := range numKinds {
		if !f.enabled[k] { // a link left from before the kind was turned off; the daily file stays
			if err := os.Remove(CurrentPath(root, k)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				f.Close()
				return nil, fmt.Errorf("removing a link of an output that is off: %w", err)
			}
		}
	}
	return f, nil
}

// backward is how far a time must lie before the open day to count as another day. Less is an event that waited past midnight: it belongs
// into the open files, because those of its day may be closed for good already.
const backward = time.Hour

// Due reports whether Roll has something to do.
func (f *Files) Due(now time.Time) bool {
	for k := range numKinds {
		if f.enabled[k] && (f.open[k] == nil || f.ended(k, now)) {
			return true
		}
	}
	return false
}

// ended reports whether the open file of a kind is not the one for now.
func (f *Files) ended(k Kind, now time.Time) bool {
	if now.Before(f.day[k]) {
		return f.day[k].Sub(now) > backward
	}
	return !midnight(now).Equal(f.day[k])
}

func midnight(now time.Time) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, now.Location())
}

// Roll switches to the files of the day of now, when it is another day. An ended file without content is deleted. A file that cannot be opened
// is tried again at the next Roll; until then what is written to it fails. A file into which the last Write did not get everything stays: an
// entry must not be cut in two by the change of day.
func (f *Files) Roll(now time.Time) error {
	var errs []error
	for k := range numKinds {
		if !f.enabled[k] || f.open[k] != nil && (f.behind[k] || !f.ended(k, now)) {
			continue
		}
		f.closeOne(k)
		f.day[k] = midnight(now)
		f.open[k], f.lead[k], f.failed[k] = openDaily(f.root, k, now)
		errs = append(errs, f.failed[k])
	}
	return errors.Join(errs...)
}

// openDaily opens the file of a day for appending and makes it the current one. lead has to be written before the first entry.
func openDaily(root string, k Kind, now time.Time) (file *os.File, lead string, err error) {
	path := DailyPath(root, k, now)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, "", fmt.Errorf("opening the day's %s: %w", k, err)
	}
	file, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, "", fmt.Errorf("opening the day's %s: %w", k, err)
	}
	if lead, err = missingEnd(file); err == nil {
		err = link(path, CurrentPath(root, k))
	}
	if err != nil {
		file.Close()
		return nil, "", fmt.Errorf("opening the day's %s: %w", k, err)
	}
	return file, lead, nil
}

// missingEnd gives what the last entry of a file lacks: a manager that is killed while the disk is full leaves one that is cut off. Entries
// are lines, and those of alerts.log in their normal form end with an empty line.
func missingEnd(f *os.File) (string, error) {
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	tail := make([]byte, min(st.Size(), 64<<10))
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil {
		return "", err
	}
	end := "\n"
	switch {
	case len(tail) == 0 || bytes.HasSuffix(tail, []byte("\n\n")):
		return "", nil
	case bytes.Contains(append([]byte{'\n'}, tail...), []byte("\n** Alert ")):
		end = "\n\n"
	}
	if tail[len(tail)-1] == '\n' {
		return end[1:], nil
	}
	return end, nil
}

// link makes current a hard link to path. The old link is there until the new one is.
func link(path, current string) error {
	fresh := current + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, current); err != nil {
		return err
	}
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) { // a rename between links of one file does nothing
		return err
	}
	return nil
}

func (f *Files) closeOne(k Kind) {
	file := f.open[k]
	if file == nil {
		return
	}
	f.open[k] = nil
	if st, err := file.Stat(); err == nil && st.Size() == 0 {
		os.Remove(file.Name())
	}
	file.Close()
}

// Write appends entries to one kind and returns how many bytes got there. After an error the caller writes the rest before anything else, as
// entries must stay whole. Kinds that are not enabled discard.
func (f *Files) Write(k Kind, entries []byte) (int, error) {
	if !f.enabled[k] || len(entries) == 0 {
		return len(entries), nil
	}
	f.behind[k] = true
	if f.open[k] == nil {
		return 0, fmt.Errorf("writing %s: %w", k, f.failed[k])
	}
	if lead := f.lead[k]; lead != "" {
		n, err := f.open[k].WriteString(lead)
		f.lead[k] = lead[n:]
		if err != nil {
			return 0, fmt.Errorf("writing %s: %w", k, err)
		}
	}
	n, err := f.open[k].Write(entries)
	if err != nil {
		return n, fmt.Errorf("writing %s: %w", k, err)
	}
	f.behind[k] = false
	return n, nil
}

// Enabled reports whether the kind is written.
func (f *Files) Enabled(k Kind) bool { return f.enabled[k] }

// Close closes all files.
func (f *Files) Close() error {
	var errs []error
	for k := range numKinds {
		if f.open[k] != nil {
			errs = append(errs, f.open[k].Close())
			f.open[k] = nil
		}
	}
	return errors.Join(errs...)
}
