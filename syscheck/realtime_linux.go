package syscheck

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// watcher reports changes in watched directories. The kernel's watches go by inode, ours by name, and names move: the label of a watch is always
// the path under which a walk saw the directory last. A directory that is found under a new name is relabelled, so a watch never reports a
// name that a later walk knows to be wrong. (fsnotify keeps the first name, and its order of removals can lose the watch of a directory
// that took another one's place.)
type watcher struct {
	file   *os.File
	fd     int
	events chan fileEvent
	quit   chan struct{}
	done   chan struct{}

	mu     sync.Mutex
	labels map[int32]string
	wds    map[string]int32
}

const watchMask = unix.IN_MODIFY | unix.IN_ATTRIB | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR

// newWatcher opens a watcher without watches.
func newWatcher() (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	w := &watcher{
		file: os.NewFile(uintptr(fd), "inotify"), fd: fd, //nolint:gosec // a file descriptor
		events: make(chan fileEvent, 4096), quit: make(chan struct{}), done: make(chan struct{}),
		labels: map[int32]string{}, wds: map[string]int32{},
	}
	go w.read()
	return w, nil
}

// close ends all watches and the reading.
func (w *watcher) close() {
	close(w.quit)
	w.file.Close() //nolint:errcheck // nothing was written
	<-w.done
}

// add watches a directory, or gives its watch the present name.
func (w *watcher) add(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := unix.InotifyAddWatch(w.fd, dir, watchMask)
	if err != nil {
		return err
	}
	wd := int32(n) //nolint:gosec // the kernel's number
	if old, ok := w.labels[wd]; ok && old != dir && w.wds[old] == wd {
		delete(w.wds, old)
	}
	if other, ok := w.wds[dir]; ok && other != wd { // another directory stood here; where it is now, its own event tells
		delete(w.labels, other)
		unix.InotifyRmWatch(w.fd, uint32(other)) //nolint:errcheck,gosec // it may be gone
	}
	w.labels[wd], w.wds[dir] = dir, wd
	return nil
}

// removeTree ends the watches that are labelled with dir or a path below it.
func (w *watcher) removeTree(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for label, wd := range w.wds {
		if within(label, dir) {
			delete(w.wds, label)
			delete(w.labels, wd)
			unix.InotifyRmWatch(w.fd, uint32(wd)) //nolint:errcheck,gosec // it may be gone
		}
	}
}

func (w *watcher) read() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				w.send(fileEvent{err: err})
			}
			return
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(rest[12:]))
			if size > len(rest) || !w.one(rest[:size]) {
				return
			}
			rest = rest[size:]
		}
	}
}

// one takes one event of the kernel; false ends the reading.
func (w *watcher) one(b []byte) bool {
	wd := int32(binary.NativeEndian.Uint32(b)) //nolint:gosec // the kernel's number
	mask := binary.NativeEndian.Uint32(b[4:])
	if mask&unix.IN_Q_OVERFLOW != 0 {
		return w.send(fileEvent{overflow: true})
	}
	w.mu.Lock()
	dir, ok := w.labels[wd]
	if ok && mask&unix.IN_IGNORED != 0 {
		delete(w.labels, wd)
		if w.wds[dir] == wd {
			delete(w.wds, dir)
		}
	}
	w.mu.Unlock()
	if ok && mask&unix.IN_IGNORED != 0 {
		return w.send(fileEvent{path: dir, ended: true})
	}
	name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:], []byte{0})
	if !ok || len(name) == 0 { // of the directory itself: its parent tells
		return true
	}
	isDir := mask&unix.IN_ISDIR != 0
	return w.send(fileEvent{
		path:  join(dir, strings.Clone(string(name))),
		moved: isDir && mask&unix.IN_MOVED_FROM != 0,
		place: mask&(unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_MOVED_FROM) != 0,
	})
}

func (w *watcher) send(e fileEvent) bool {
	select {
	case w.events <- e:
		return true
	case <-w.quit:
		return false
	}
}

// limitReached reports whether an error means that a kernel limit for watches was hit.
func limitReached(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EMFILE) }
