package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// maintenance is what a location knows of its maintenance marker (spec syscheck.md, section 14).
type maintenance struct {
	on      bool
	checked time.Time // when "on" was read
	silent  int       // acceptances that the marker does not count yet
	warned  time.Time
}

// Marker is the content of a maintenance marker file.
type Marker struct {
	EnabledAt     int64 // unix seconds
	PendingEnd    bool  // ends with the next completed scan
	SilentUpdates int   // changes accepted without an alert
}

const (
	onCached   = 2 * time.Second
	longMaint  = 24 * time.Hour
	warnEvery  = time.Hour
	markerHead = "#!maint"
)

// MarkerName gives the name of the maintenance marker of a location: one per agent, in queue/syscheck.
func MarkerName(location string) string {
	switch location {
	case "syscheck", "syscheck-registry":
		return ".syscheck.maint"
	}
	host, _, _ := strings.Cut(location, "->")
	return "." + host + ".maint"
}

// ReadMarker reads a maintenance marker; it gives an error that wraps fs.ErrNotExist while there is none. A marker without enabled_at has
// its file's time.
func ReadMarker(path string) (Marker, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Marker{}, err
	}
	var m Marker
	for l := range bytes.Lines(b) {
		key, value, _ := strings.Cut(strings.TrimRight(string(l), "\r\n"), "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			continue
		}
		switch key {
		case "enabled_at":
			m.EnabledAt = n
		case "pending_end":
			m.PendingEnd = n != 0
		case "silent_updates":
			m.SilentUpdates = int(n)
		}
	}
	if m.EnabledAt == 0 {
		if st, err := os.Stat(path); err == nil {
			m.EnabledAt = st.ModTime().Unix()
		}
	}
	return m, nil
}

// WriteMarker replaces a maintenance marker.
func WriteMarker(path string, m Marker) error {
	pending := 0
	if m.PendingEnd {
		pending = 1
	}
	text := fmt.Sprintf("%s\nenabled_at=%d\npending_end=%d\nsilent_updates=%d\n", markerHead, m.EnabledAt, pending, m.SilentUpdates)
	return atomicfile.Write(path, []byte(text), 0o660)
}

// fileOf gives the path of a file named after a location, "" if the location is no file name.
func (s *Store) fileOf(name string) string {
	if name == "" || len(name) > 250 || strings.ContainsAny(name, "/\x00") {
		return ""
	}
	return filepath.Join(s.dir, name)
}

// maintained reports whether changes of the location are accepted silently.
func (s *Store) maintained(l *location, now time.Time) bool {
	m := &l.maint
	if m.on && now.Sub(m.checked) < onCached && !now.Before(m.checked) {
		return true
	}
	path := s.fileOf(MarkerName(l.name))
	if path == "" {
		return false
	}
	marker, err := ReadMarker(path)
	on := err == nil
	if on != m.on {
		m.on = on
		word := "disabled"
		if on {
			word = "enabled"
		}
		s.log.Info("Syscheck maintenance mode %s for '%s'.", word, l.name)
	}
	if !on {
		return false
	}
	m.checked = now
	if age := now.Sub(time.Unix(marker.EnabledAt, 0)); age > longMaint && now.Sub(m.warned) >= warnEvery {
		m.warned = now
		s.log.Warn("Syscheck maintenance mode still enabled for '%s' for %d hours; FIM changes are silently accepted.", l.name, int(age.Hours()))
	}
	return true
}

// accepted counts and logs a change that maintenance mode accepted.
func (s *Store) accepted(l *location, added bool, path string, now time.Time) {
	l.maint.silent++
	word := "modify"
	if added {
		word = "new"
	}
	line := now.Format("2006-01-02 15:04:05 ") + l.name + " " + word + " " + path + "\n"
	f, err := os.OpenFile(s.opts.MaintenanceLog, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o660) //nolint:gosec // as the other logs
	if err == nil {
		_, err = f.WriteString(line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.log.Every("fim maintenance", time.Minute).Error("Accepted changes cannot be listed: %v", err)
	}
}

// writeMarkers brings the counters in the markers up to date.
func (s *Store) writeMarkers() error {
	for _, l := range s.locations {
		if l.maint.silent == 0 {
			continue
		}
		path := s.fileOf(MarkerName(l.name))
		marker, err := ReadMarker(path)
		if err == nil {
			marker.SilentUpdates += l.maint.silent
			if err := WriteMarker(path, marker); err != nil {
				return fmt.Errorf("maintenance marker: %w", err)
			}
		}
		l.maint.silent = 0
	}
	return nil
}

// endMaintenance ends a maintenance that waited for a completed scan.
func (s *Store) endMaintenance(l *location) error {
	path := s.fileOf(MarkerName(l.name))
	if path == "" {
		return nil
	}
	marker, err := ReadMarker(path)
	if err != nil || !marker.PendingEnd {
		return nil
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("ending maintenance mode: %w", err)
	}
	l.maint = maintenance{}
	s.log.Info("Syscheck maintenance mode ended for '%s' after baseline scan.", l.name)
	return nil
}

// writeComplete writes the file that tells other tools that the location has had a full scan (spec section 10).
func (s *Store) writeComplete(l *location) {
	path := s.fileOf("." + l.name + ".cpt")
	if path == "" {
		return
	}
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := os.WriteFile(path, []byte("#!X"), 0o640); err != nil { //nolint:gosec // readable for the group, as OSSEC's
		s.log.Every("fim cpt", time.Hour).Error("%v", err)
	}
}
