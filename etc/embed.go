// Package etc holds what gets installed: default configuration, decoders, rules and rootcheck data, embedded into the programs.
//
// Files shows them the way an installer wants them: configuration files below "etc/", and "decoder.xml", "rules/" and "shared/" (for etc/shared)
// beside it. The default ossec.conf of the three kinds of install are etc/ossec-server.conf, etc/ossec-agent.conf and etc/ossec-local.conf; they
// name every file of rules/, which a test checks. After adding a rules file run `go generate ./etc`.
package etc

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:generate go test -run TestEveryRulesFileIsIncluded -update .

//go:embed *
var embedded embed.FS

// Files are the default files.
var Files fs.FS = view{}

// confDir is the directory in which the top-level files are shown.
const confDir = "etc"

// view shows the embedded directory without Go files and with its top-level files below confDir.
type view struct{}

// shownAt gives the place of a top-level name: "" for a name that is not shown.
func shownAt(name string, dir bool) string {
	switch {
	case strings.HasSuffix(name, ".go"):
		return ""
	case dir || name == "decoder.xml":
		return name
	}
	return confDir + "/" + name
}

// real translates a shown path to an embedded one.
func real(name string) (string, bool) {
	if rest, ok := strings.CutPrefix(name, confDir+"/"); ok {
		return rest, !strings.Contains(rest, "/") && shownAt(rest, false) == name
	}
	if !strings.Contains(name, "/") && name != "." {
		st, err := fs.Stat(embedded, name)
		return name, err == nil && shownAt(name, st.IsDir()) == name
	}
	return name, name != "."
}

// Open implements fs.FS. The directories "." and "etc" are made of entries; ReadDir lists them.
func (v view) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if name == "." || name == confDir {
		entries, err := v.ReadDir(name)
		return &listing{name: path.Base(name), entries: entries}, err
	}
	at, ok := real(name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return embedded.Open(at)
}

// ReadDir implements fs.ReadDirFS.
func (v view) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." && name != confDir {
		at, ok := real(name)
		if !ok {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
		}
		return embedded.ReadDir(at)
	}
	all, err := embedded.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var out []fs.DirEntry
	if name == "." {
		out = append(out, fs.FileInfoToDirEntry(dirInfo(confDir)))
	}
	for _, e := range all {
		at := shownAt(e.Name(), e.IsDir())
		if at != "" && path.Dir(at) == name {
			out = append(out, e)
		}
	}
	return sorted(out), nil
}

// Names lists every default file, in byte order.
func Names() []string {
	var out []string
	_ = fs.WalkDir(Files, ".", func(p string, d fs.DirEntry, err error) error { // embedded files cannot fail to be read
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return err
	})
	return out
}

// Rules lists the names of the rules files, in byte order.
func Rules() []string {
	entries, _ := embedded.ReadDir("rules") // embedded, cannot fail
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".xml") {
			out = append(out, e.Name())
		}
	}
	return out
}
