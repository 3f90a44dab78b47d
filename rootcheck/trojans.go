package rootcheck

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
)

// trojan is one line of the rootkit_trojans database.
type trojan struct{ file, pattern, message string }

// parseTrojans reads lines "FILE !REGEX!MESSAGE" (spec section 4).
func parseTrojans(text string) []trojan {
	var out []trojan
	eachLine(text, func(_ int, line string) {
		parts := strings.SplitN(line, "!", 3)
		if len(parts) < 3 {
			return
		}
		for i := range parts {
			parts[i] = strings.Trim(parts[i], " \t\r")
		}
		if parts[0] == "" || parts[1] == "" {
			return
		}
		if parts[2] == "" {
			parts[2] = "Generic"
		}
		out = append(out, trojan{parts[0], parts[1], parts[2]})
	})
	return out
}

// places gives the paths at which a trojan's program is looked for.
func (s *Scanner) places(t trojan) []string {
	if t.file[0] == '/' {
		return []string{t.file}
	}
	var out []string
	for _, dir := range []string{"/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/"} {
		out = append(out, s.base+dir+t.file)
	}
	return out
}

// sought is one search in one file; programs often have several paths.
type sought struct {
	dev, ino uint64
	pattern  string
}

// checkTrojans looks for the strings of known trojans in programs.
func (s *Scanner) checkTrojans(ctx context.Context) error {
	if s.cfg.RootkitTrojans == "" {
		s.log.Text("No rootcheck_trojans file configured.")
		return nil
	}
	text, err := readDatabase(s.file(s.cfg.RootkitTrojans))
	if err != nil {
		s.log.Text("No rootcheck_trojans file: '%s'", s.cfg.RootkitTrojans)
		return nil
	}
	known := make(map[sought]bool)
	for _, t := range parseTrojans(text) {
		re, err := regexp.CompilePOSIX(t.pattern)
		if err != nil {
			s.log.Text("Posix Regex compile error (%s).", t.pattern)
			continue
		}
		for _, path := range s.places(t) {
			found, err := holdsTrojan(ctx, path, t.pattern, re, known)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			err = s.reportFile(ctx, path, "Trojaned version of file '%s' detected. Signature used: '%s' (%s).", path, t.pattern, t.message)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// holdsTrojan searches one file; a file that cannot be read holds nothing. The error is the context's.
func holdsTrojan(ctx context.Context, path, pattern string, re *regexp.Regexp, known map[sought]bool) (bool, error) {
	f, err := openRegular(path)
	if err != nil {
		return false, ctx.Err()
	}
	defer f.Close()
	key := sought{pattern: pattern}
	st, err := f.Stat()
	if err != nil {
		return false, nil
	}
	i, ok := inodeOf(st)
	if ok {
		key.dev, key.ino = i.dev, i.ino
		if found, done := known[key]; done {
			return found, nil
		}
	}
	found, err := hasString(&reader{ctx, f}, re)
	if err != nil {
		return false, ctx.Err()
	}
	if ok {
		known[key] = found
	}
	return found, nil
}

// Lengths of the strings of a program: shorter runs of printable characters are no strings, longer ones are cut.
const (
	minString = 4
	maxString = 1024
)

// hasString reports whether one of the printable strings of r, as strings(1) shows them, matches.
func hasString(r io.Reader, re *regexp.Regexp) (bool, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	run := make([]byte, 0, maxString)
	for {
		c, err := in.ReadByte()
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if err == nil && (c >= ' ' && c <= '~' || c == '\t') {
			run = append(run, c)
			if len(run) < maxString {
				continue
			}
		}
		if len(run) >= minString && re.Match(run) {
			return true, nil
		}
		run = run[:0]
		if err != nil {
			return false, nil
		}
	}
}

// isRegular reports whether a path is a regular file, not followed when it is a symbolic link.
func isRegular(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode().IsRegular()
}
