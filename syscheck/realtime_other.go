//go:build !linux

package syscheck

import (
	"errors"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// watcher reports changes in watched directories, by the means of the system.
type watcher struct {
	fs     *fsnotify.Watcher
	events chan fileEvent
	quit   chan struct{}
	done   sync.WaitGroup

	mu      sync.Mutex
	watched map[string]struct{}
}

// newWatcher opens a watcher without watches.
func newWatcher() (*watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{fs: fs, events: make(chan fileEvent, 4096), quit: make(chan struct{}), watched: map[string]struct{}{}}
	w.done.Go(w.read)
	return w, nil
}

// close ends all watches and the reading.
func (w *watcher) close() {
	close(w.quit)
	w.fs.Close() //nolint:errcheck // nothing was written
	w.done.Wait()
}

// add watches a directory.
func (w *watcher) add(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.fs.Add(dir)
	if err == nil {
		w.watched[dir] = struct{}{}
	}
	return err
}

// removeTree ends the watches of dir and of the directories below it.
func (w *watcher) removeTree(dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for d := range w.watched {
		if within(d, dir) {
			delete(w.watched, d)
			w.fs.Remove(d) //nolint:errcheck // it may have ended by itself
		}
	}
}

func (w *watcher) read() {
	for {
		var e fileEvent
		select {
		case ev, ok := <-w.fs.Events:
			if !ok {
				return
			}
			e = fileEvent{path: ev.Name, moved: ev.Has(fsnotify.Rename), place: ev.Has(fsnotify.Create) || ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename)}
		case err, ok := <-w.fs.Errors:
			if !ok {
				return
			}
			e = fileEvent{overflow: errors.Is(err, fsnotify.ErrEventOverflow), err: err}
		case <-w.quit:
			return
		}
		select {
		case w.events <- e:
		case <-w.quit:
			return
		}
	}
}

func limitReached(error) bool { return false }
