package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// DirStats is the StatsStore of an install root: the files below stats/ that OSSEC's tools know.
type DirStats struct{ Dir string }

// statsMode is the mode of the files.
const statsMode = 0o640

func (d DirStats) hourly(i int) string {
	return filepath.Join(d.Dir, "hourly-average", strconv.Itoa(i))
}

func (d DirStats) weekly(day, i int) string {
	return filepath.Join(d.Dir, "weekly-average", strconv.Itoa(day), strconv.Itoa(i))
}

// each calls f for the file of every number of a.
func (d DirStats) each(a *Averages, f func(path string, n *int) error) error {
	var errs []error
	for i := range a.Hourly {
		errs = append(errs, f(d.hourly(i), &a.Hourly[i]))
	}
	for day := range a.Weekly {
		for i := range a.Weekly[day] {
			errs = append(errs, f(d.weekly(day, i), &a.Weekly[day][i]))
		}
	}
	return errors.Join(errs...)
}

// Load reads the averages. A missing file counts as 0, as does one that holds no number: statistics must not prevent the start.
func (d DirStats) Load() (Averages, error) {
	var a Averages
	err := d.each(&a, func(path string, n *int) error {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if v, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && v > 0 {
			*n = v
		}
		return nil
	})
	return a, err
}

// Save writes the averages, one number per file, without line end.
func (d DirStats) Save(a Averages) error {
	for day := range a.Weekly {
		if err := os.MkdirAll(filepath.Dir(d.weekly(day, 0)), 0o750); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(d.hourly(0)), 0o750); err != nil {
		return err
	}
	return d.each(&a, func(path string, n *int) error {
		text := strconv.Itoa(*n)
		old, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return os.WriteFile(path, []byte(text), statsMode)
		case err == nil && string(old) == text:
			return nil // most of the 200 files; each replacement waits for the disk
		}
		return atomicfile.Write(path, []byte(text), statsMode)
	})
}

// Totals appends text to totals/<year>/<Mon>/ossec-totals-<DD>.log.
func (d DirStats) Totals(day time.Time, text string) (err error) {
	dir := filepath.Join(d.Dir, "totals", day.Format("2006"), day.Format("Jan"))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("ossec-totals-%02d.log", day.Day())), os.O_WRONLY|os.O_APPEND|os.O_CREATE, statsMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteString(text)
	return err
}
