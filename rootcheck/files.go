package rootcheck

import (
	"context"
	"strings"
)

// rootkitFile is one line of the rootkit_files database.
type rootkitFile struct{ path, name string }

// maxAnywhere is the number of entries that are looked for everywhere.
const maxAnywhere = 512

// parseRootkitFiles reads lines "PATH ! NAME ::LINK" (spec section 3).
func parseRootkitFiles(text string) []rootkitFile {
	var out []rootkitFile
	eachLine(text, func(_ int, line string) {
		end := strings.IndexAny(line, " \t")
		if end < 0 {
			return
		}
		rest, ok := strings.CutPrefix(strings.TrimLeft(line[end:], " \t"), "!")
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '\t' {
			return
		}
		name := strings.TrimLeft(rest, " \t")
		name, _, _ = strings.Cut(name, ":")
		name, _, _ = strings.Cut(name, " ")
		if name != "" {
			out = append(out, rootkitFile{line[:end], name})
		}
	})
	return out
}

// checkFiles looks for the files of known rootkits, and prepares the system check for those that can be anywhere.
func (s *Scanner) checkFiles(ctx context.Context) error {
	if s.cfg.RootkitFiles == "" {
		s.log.Text("No rootcheck_files file configured.")
		return nil
	}
	text, err := readDatabase(s.file(s.cfg.RootkitFiles))
	if err != nil {
		s.log.Text("No rootcheck_files file: '%s'", s.cfg.RootkitFiles)
		return nil
	}
	s.anywhere = make(map[string]string)
	for _, r := range parseRootkitFiles(text) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(r.path, "*"); ok {
			s.addAnywhere(strings.TrimPrefix(rest, "/"), r.name)
			continue
		}
		path := s.base + "/" + r.path
		if !exists(path) {
			continue
		}
		if err := s.reportFile(ctx, path, "Rootkit '%s' detected by the presence of file '%s'.", r.name, path); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scanner) addAnywhere(base, name string) {
	switch _, dup := s.anywhere[base]; {
	case dup || base == "":
	case len(s.anywhere) >= maxAnywhere:
		s.log.Every("anywhere", 1e9).Code(1250, "ERROR", "Maximum number of global files reached: %d", maxAnywhere)
	default:
		s.anywhere[base] = name
	}
}
