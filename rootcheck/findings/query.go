package findings

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LocalLocation is the location of the manager's own host.
const LocalLocation = "rootcheck"

// AgentLocation gives the location of an agent with that label "(name) ip".
func AgentLocation(label string) string { return label + "->rootcheck" }

// resolvedAfter is how long before the last scan a finding was seen last when it counts as resolved, in seconds.
const resolvedAfter = 86400

// Finding is one stored line with times, in seconds since the epoch.
type Finding struct {
	Last, First int64
	Text        string
}

// Marker reports whether the finding is the start or end mark of a scan.
func (f *Finding) Marker() bool {
	for _, m := range [...]string{"Starting rootcheck scan", "Ending rootcheck scan", "Starting syscheck scan", "Ending syscheck scan"} {
		if strings.HasPrefix(f.Text, m) {
			return true
		}
	}
	return false
}

// Report is what is known of one location.
type Report struct {
	LastScan int64 // start of the last scan, 0 when there was none
	Findings []Finding
}

// Resolved reports whether a finding was no longer seen by the scans of the last day. now counts when there was no scan yet.
func (r *Report) Resolved(f *Finding, now int64) bool {
	last := r.LastScan
	if last == 0 {
		last = now
	}
	return last > f.Last+resolvedAfter
}

// Read reads the findings of a location in dir (queue/rootcheck), in the order in which they were found, scan markers included. The error
// wraps fs.ErrNotExist when there are none.
func Read(dir, location string) (*Report, error) {
	if err := checkName(location); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(dir, location))
	if err != nil {
		return nil, fmt.Errorf("reading findings: %w", err)
	}
	defer f.Close()
	r := &Report{}
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 0, 4096), 1<<20)
	for sc.Scan() {
		found, ok := parseLine(sc.Text())
		if !ok {
			continue
		}
		if r.LastScan == 0 && strings.Contains(found.Text, "Starting rootcheck scan") {
			r.LastScan = found.Last
		}
		r.Findings = append(r.Findings, found)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("reading findings: %w", err)
	}
	return r, nil
}

// parseLine reads "!LAST!FIRST TEXT".
func parseLine(line string) (Finding, bool) {
	rest, ok := strings.CutPrefix(line, "!")
	if !ok {
		return Finding{}, false
	}
	last, rest, ok := strings.Cut(rest, "!")
	if !ok {
		return Finding{}, false
	}
	first, text, ok := strings.Cut(rest, " ")
	if !ok {
		return Finding{}, false
	}
	l, err1 := strconv.ParseInt(last, 10, 64)
	f, err2 := strconv.ParseInt(first, 10, 64)
	if err1 != nil || err2 != nil {
		return Finding{}, false
	}
	return Finding{Last: l, First: f, Text: text}, true
}

// Clear empties the findings of a location; the file of the manager's own host is removed. A location without findings is no error. A
// running Store notices.
func Clear(dir, location string) error {
	if err := checkName(location); err != nil {
		return err
	}
	path := filepath.Join(dir, location)
	var err error
	if location == LocalLocation {
		err = os.Remove(path)
	} else {
		err = os.Truncate(path, 0)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clearing findings: %w", err)
	}
	return nil
}

// ClearAll empties the findings of all locations.
func ClearAll(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clearing findings: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			if err := os.Truncate(filepath.Join(dir, e.Name()), 0); err != nil {
				errs = append(errs, fmt.Errorf("clearing findings: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}
