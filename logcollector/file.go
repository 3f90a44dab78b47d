package logcollector

import (
	"io/fs"
	"os"
	"path/filepath"
)

// identity tells files apart whatever their names.
type identity struct{ dev, ino uint64 }

// status is what a look at a file tells.
type status struct {
	id    identity
	size  int64
	mtime int64 // ns since 1970
	mode  fs.FileMode
	links uint64
}

func (s status) regular() bool { return s.mode.IsRegular() }

// pipe reports whether the file is read as a stream without positions.
func (s status) pipe() bool {
	return s.mode&(fs.ModeNamedPipe|fs.ModeCharDevice) != 0
}

// openFile opens for reading, without waiting for a writer, so that a FIFO cannot hold the collector. The status is that of the file that
// was opened, whatever the name stands for by now.
func openFile(path string) (*os.File, status, error) {
	f, err := openNoWait(path)
	if err != nil {
		return nil, status{}, err
	}
	st, err := statFile(f)
	if err != nil {
		f.Close()
		return nil, status{}, err
	}
	return f, st, nil
}

// identities lists the regular files of a directory.
func identities(dir string) map[identity]string {
	files := map[identity]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return files
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if st, err := statPath(path); err == nil && st.regular() {
			files[st.id] = path
		}
	}
	return files
}
