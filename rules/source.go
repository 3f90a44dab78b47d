package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/rules/decode"
	"github.com/vedette-hids/vedette/rules/list"
)

// ReadSources reads the files of a <rules> section below the install root. A decoder file that cannot be read is a problem at once; a
// rules file that cannot be read is reported by Load, with the others' problems; a list that is missing is a warning, it matches
// nothing. A list that was not compiled, or changed since, is read from its text.
func ReadSources(root string, cfg config.Rules) (Sources, config.Problems) {
	var src Sources
	var probs config.Problems
	for _, name := range cfg.Decoders {
		data, err := readSource(below(root, name))
		switch {
		case err == nil && cfg.DefaultDecoders && name != cfg.Decoders[0] && !hasElement(data):
			// The optional local file may be empty.
		case err == nil:
			src.Decoders = append(src.Decoders, decode.Source{Name: name, Data: data})
		case cfg.DefaultDecoders && name != cfg.Decoders[0] && errors.Is(err, fs.ErrNotExist):
		default:
			probs = append(probs, config.Problem{Pos: config.Position{File: name}, Code: 1226,
				Text: "ERROR: Error reading XML file '" + name + "': XMLERR: File '" + name + "' not found.", Hint: "(" + err.Error() + ")"})
		}
	}
	for _, name := range cfg.Lists {
		name = list.Name(name)
		db, err := list.Load(root, name)
		if err != nil {
			probs = append(probs, config.Problem{Pos: config.Position{File: name}, Code: 1126, Warning: true,
				Text: "WARN: Unable to open list '" + name + "'.", Hint: "Rules that consult it do not match (" + err.Error() + ")."})
		}
		src.Lists = append(src.Lists, ListFile{Name: name, DB: db})
	}
	for _, name := range cfg.Rules {
		data, err := readSource(below(root, name))
		src.Rules = append(src.Rules, File{Name: name, Data: data, Err: err})
	}
	return src, probs
}

// maxSource is the size in bytes up to which a file is read: fifty times that of all rules of OSSEC together.
const maxSource = 64 << 20

// readSource reads a regular file of at most maxSource bytes.
func readSource(path string) ([]byte, error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case st.Size() > maxSource:
		return nil, fmt.Errorf("%s is too large: %d bytes, more than %d", path, st.Size(), maxSource)
	}
	return os.ReadFile(path)
}

// below is the path of a file named in the configuration.
func below(root, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(root, name)
}

// hasElement reports whether a file has anything but blanks and comments, roughly: whether there is an element to complain about.
func hasElement(data []byte) bool {
	doc, err := readDocument(File{Name: "x", Data: data})
	return err != nil || len(doc.Roots) > 0
}
