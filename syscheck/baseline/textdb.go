package baseline

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// OSSEC's text database (spec syscheck.md, section 10): lines "PREFIX SUM !TIME PATH" with the prefix glued to the sum.

// noTime is the time of a row whose line had none.
const noTime = -1

// parseLine takes a line apart. Lines that say nothing about a path (comments, empty ones, those without a blank) are not live and are kept
// whole in path, with an empty prefix.
func parseLine(line string) (r row, live bool) {
	head, rest, ok := strings.Cut(line, " ")
	if !ok || len(head) < 3 || line[0] == '#' && (len(line) < 3 || !isPrefix(line[1:3])) {
		return row{path: line, time: noTime}, false
	}
	r = row{prefix: head[:3], sum: head[3:], path: rest, time: noTime}
	if t, path, ok := strings.Cut(rest, " "); ok && strings.HasPrefix(t, "!") {
		if n, err := strconv.ParseInt(t[1:], 10, 64); err == nil && strconv.FormatInt(n, 10) == t[1:] && n >= 0 {
			r.time, r.path = n, path
		}
	}
	return r, r.prefix[0] != '#'
}

// isPrefix recognises the second and third character of a prefix.
func isPrefix(two string) bool { return two == "++" || two == "!+" || two == "!!" || two == "!?" }

// appendLine is the opposite of parseLine.
func appendLine(b []byte, r *row) []byte {
	if r.prefix == "" {
		return append(append(b, r.path...), '\n')
	}
	b = append(append(b, r.prefix...), r.sum...)
	b = append(b, ' ')
	if r.time != noTime {
		b = append(b, '!')
		b = strconv.AppendInt(b, r.time, 10)
		b = append(b, ' ')
	}
	return append(append(b, r.path...), '\n')
}

// importAll takes over the text databases in the directory.
func (s *Store) importAll() error {
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		name := e.Name()
		if !e.Type().IsRegular() || strings.HasPrefix(name, ".") || strings.HasPrefix(name, ownPrefix) {
			continue
		}
		if err := s.importFile(name); err != nil {
			return fmt.Errorf("taking over %q: %w", name, err)
		}
	}
	return nil
}

// identity is what a text database looked like when it was read or written: if it still does, nothing is read again.
func identity(st os.FileInfo) string {
	return fmt.Sprintf("%d %d", st.Size(), st.ModTime().UnixNano())
}

// importFile replaces the state of a location by its text database, unless that was done before and the file is the same.
func (s *Store) importFile(name string) error {
	f, err := os.Open(filepath.Join(s.dir, name))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	st, err := f.Stat()
	if err != nil {
		return err
	}
	var seen string
	err = s.db.QueryRow("SELECT file FROM location WHERE name = ?", []byte(name)).Scan(&seen)
	if err != nil && !errors.Is(err, sql.ErrNoRows) || seen == identity(st) {
		return ignoreNone(err)
	}
	if st.Size() == 0 && seen == "" { // OSSEC creates it empty; it says nothing about what this database knows
		return nil
	}
	l, err := s.at(name)
	if err != nil {
		return err
	}
	if err := s.clear(l); err != nil {
		return err
	}
	lines, err := s.readText(l, f)
	if err != nil {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.dir, "."+name+".cpt")); err == nil {
		l.complete = true
		s.forget(l)
	}
	if _, err := s.db.Exec("UPDATE location SET file = ?, complete = ? WHERE id = ?", identity(st), l.complete, l.id); err != nil {
		return err
	}
	s.log.Info("File integrity: %d lines of '%s' were taken over.", lines, name)
	return nil
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// readText puts the lines of a text database into a location. The last live line of a path counts.
func (s *Store) readText(l *location, in io.Reader) (lines int, err error) {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			lines++
			if perr := s.readLine(l, strings.TrimSuffix(line, "\n")); perr != nil {
				return lines, perr
			}
		}
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}

func (s *Store) readLine(l *location, line string) error {
	parsed, live := parseLine(line)
	l.seq++
	parsed.seq = l.seq
	if !live {
		l.history = append(l.history, parsed)
		s.pending++
	} else {
		old, err := s.look(l, parsed.path)
		if err != nil {
			return err
		}
		s.put(l, old, parsed, false)
	}
	if s.pending >= maxPending {
		return s.flush()
	}
	return nil
}

// clear forgets everything about a location.
func (s *Store) clear(l *location) error {
	l.live, l.history, l.new, l.kept = map[string]*row{}, nil, true, 0
	s.forget(l)
	s.remember(l)
	for _, q := range [...]string{"DELETE FROM live WHERE location = ?", "DELETE FROM history WHERE location = ?"} {
		if _, err := s.db.Exec(q, l.id); err != nil {
			return err
		}
	}
	return nil
}

// Export writes the state of a location in the form of OSSEC's text database.
func (s *Store) Export(w io.Writer, location string) error {
	out := bufio.NewWriterSize(w, 64<<10)
	var buf []byte
	err := s.Lines(location, func(l Line) error {
		buf = appendLine(buf[:0], &l.row)
		_, err := out.Write(buf)
		return err
	})
	return errors.Join(err, out.Flush())
}

// ExportFile writes the text database of a location to queue/syscheck, where OSSEC and its tools look for it. It keeps the mode and owner
// of a file that is there.
func (s *Store) ExportFile(location string) error {
	path := s.fileOf(location)
	if path == "" {
		return fmt.Errorf("export: %q is no file name", location)
	}
	f, err := os.CreateTemp(s.dir, ownPrefix+"export.*")
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone after the rename
	mode := fs.FileMode(0o640)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
		keepOwner(f, st)
	}
	err = errors.Join(s.Export(f, location), f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("export of %q: %w", location, err)
	}
	return s.written(location, path)
}

// written notes the text database as known.
func (s *Store) written(location, path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.db.Exec("UPDATE location SET file = ? WHERE name = ?", identity(st), []byte(location)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}
