package forward

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/atomicfile"
	"github.com/vedette-hids/vedette/internal/olog"
)

// maxSharedFile bounds what a manager may make the agent store.
const maxSharedFile = 64 << 20

// fileReceiver receives one shared file after the other (spec protocol.md, section 13): into a temporary file, which replaces the present one
// only when its sum is right.
type fileReceiver struct {
	dir string // etc/shared
	log *olog.Log

	sum, name string // announced; name "" = no file was begun
	tmp       *os.File
	hash      hash.Hash
	size      int64
}

// isOpen reports whether data is expected.
func (r *fileReceiver) isOpen() bool { return r.tmp != nil }

// begin starts a file; one that is being received is given up.
func (r *fileReceiver) begin(text []byte) {
	r.abort()
	sum, name, ok := agentwire.ParseFileBegin(text)
	if !ok {
		return
	}
	tmp, err := os.CreateTemp(r.dir, ".receiving.*")
	if err != nil {
		r.log.Every("receive", time.Minute).Error("Unable to receive file '%s': %v", name, err)
		return
	}
	r.log.Debug("Receiving file '%s'.", name)
	r.sum, r.name, r.tmp, r.hash, r.size = sum, name, tmp, md5.New(), 0
}

// data appends a chunk; a NUL byte ends its text, as it does for every OSSEC peer.
func (r *fileReceiver) data(chunk []byte) {
	chunk = untilNUL(chunk)
	r.size += int64(len(chunk))
	if r.size > maxSharedFile {
		r.log.Error("File '%s' is larger than %d MiB: refused.", r.name, maxSharedFile>>20)
		r.abort()
		return
	}
	r.hash.Write(chunk)
	if _, err := r.tmp.Write(chunk); err != nil {
		r.log.Every("receive", time.Minute).Error("Unable to receive file '%s': %v", r.name, err)
		r.abort()
	}
}

// stop ends the writing but remembers the file, so that its end is reported as a failure.
func (r *fileReceiver) stop() {
	if r.tmp != nil {
		r.removeTemp()
	}
}

// abort forgets the file.
func (r *fileReceiver) abort() {
	r.stop()
	r.name = ""
}

func (r *fileReceiver) removeTemp() {
	r.tmp.Close()
	os.Remove(r.tmp.Name())
	r.tmp = nil
}

// end verifies the file and puts it in place; merged.mg is unpacked. The old file stays when the sum is wrong.
func (r *fileReceiver) end() {
	if r.name == "" {
		return
	}
	name := r.name
	r.name = ""
	if r.tmp == nil || hex.EncodeToString(r.hash.Sum(nil)) != r.sum {
		if r.tmp != nil {
			r.removeTemp()
		}
		r.log.Every("md5 "+name, time.Second/2).Error("Failed md5 for: /etc/shared/%s -- deleting.", name)
		return
	}
	path := filepath.Join(r.dir, name)
	if err := r.install(path); err != nil {
		r.log.Error("Unable to store file '%s': %v", name, err)
		return
	}
	r.log.Debug("File '%s' received: %d bytes.", name, r.size)
	if name == agentwire.MergedName {
		r.unpack(path)
	}
}

func (r *fileReceiver) install(path string) error {
	tmp := r.tmp
	r.tmp = nil
	err := tmp.Chmod(0o640)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// unpack writes the files of a bundle that changed.
func (r *fileReceiver) unpack(path string) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = agentwire.ReadMerged(data, r.unpackFile)
	}
	if err != nil {
		r.log.Error("Unable to unmerge file '/etc/shared/%s': %v", agentwire.MergedName, err)
	}
}

func (r *fileReceiver) unpackFile(name string, content []byte) {
	err := r.replace(name, content)
	if err != nil {
		r.log.Error("Unable to unmerge file '/etc/shared/%s': %v", name, err)
	}
}

func (r *fileReceiver) replace(name string, content []byte) error {
	if !agentwire.SafeName(name) {
		return errors.New("name not allowed")
	}
	path := filepath.Join(r.dir, name)
	if st, err := os.Lstat(path); err == nil {
		if !st.Mode().IsRegular() && st.Mode().Type() != fs.ModeSymlink {
			return fmt.Errorf("is a %v", st.Mode().Type())
		}
		if old, err := os.ReadFile(path); err == nil && string(old) == string(content) && st.Mode().IsRegular() {
			return nil
		}
	}
	return atomicfile.Write(path, content, 0o640)
}
