package alert

import (
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
	day     time.Time // midnight at which the day of the open files began
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
		if f.enabled[k] && f.open[k] == nil {
			return true
		}
	}
	return f.ended(now)
}

// ended reports whether the open files are not those for now.
func (f *Files) ended(now time.Time) bool {
	if now.Before(f.day) {
		return f.day.Sub(now) > backward
	}
	y, m, d := now.Date()
	return !time.Date(y, m, d, 0, 0, 0, 0, now.Location()).Equal(f.day)
}

// Roll switches to the files of the day of now, when it is another day. An ended file without content is deleted. A file that cannot be opened
// is tried again at the next Roll; until then what is written to it fails.
func (f *Files) Roll(now time.Time) error {
	ended := f.ended(now)
	var errs []error
	for k := range numKinds {
		if !f.enabled[k] || (!ended && f.open[k] != nil) {
			continue
		}
		f.closeOne(k)
		file, err := openDaily(f.root, k, now)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.open[k] = file
	}
	if ended {
		y, m, d := now.Date()
		f.day = time.Date(y, m, d, 0, 0, 0, 0, now.Location())
	}
	return errors.Join(errs...)
}

func openDaily(root string, k Kind, now time.Time) (*os.File, error) {
	path, current := DailyPath(root, k, now), CurrentPath(root, k)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("opening the day's %s: %w", kinds[k].current, err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the day's %s: %w", kinds[k].current, err)
	}
	if err := os.Remove(current); err != nil && !errors.Is(err, fs.ErrNotExist) {
		file.Close()
		return nil, fmt.Errorf("replacing the link %s: %w", current, err)
	}
	if err := os.Link(path, current); err != nil {
		file.Close()
		return nil, fmt.Errorf("linking %s: %w", current, err)
	}
	return file, nil
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

// Write appends entries to one kind and returns how many bytes got there. Kinds that are not enabled discard.
func (f *Files) Write(k Kind, entries []byte) (int, error) {
	if !f.enabled[k] || len(entries) == 0 {
		return len(entries), nil
	}
	if f.open[k] == nil {
		return 0, fmt.Errorf("writing %s: the file could not be opened", kinds[k].current)
	}
	n, err := f.open[k].Write(entries)
	if err != nil {
		return n, fmt.Errorf("writing %s: %w", kinds[k].current, err)
	}
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
