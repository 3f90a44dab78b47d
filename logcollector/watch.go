package logcollector

import (
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// watcher follows the directories of files: one watch serves all files of a directory, and sees new ones. Where a name is a symbolic link,
// the directory of its target is watched as well. A nil watcher watches nothing; polling is the net.
type watcher struct {
	w     *fsnotify.Watcher
	dirs  map[string]identity    // watched, and which directory that was
	files map[string][]*follower // by the path that events name
	real  map[*follower]string   // target of followers whose name is a link
}

func newWatcher() (*watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &watcher{w: w, dirs: map[string]identity{}, files: map[string][]*follower{}, real: map[*follower]string{}}, nil
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w == nil {
		return nil
	}
	return w.w.Events
}

func (w *watcher) errors() <-chan error {
	if w == nil {
		return nil
	}
	return w.w.Errors
}

func (w *watcher) close() {
	if w != nil {
		w.w.Close()
	}
}

// add makes events of a file known. It is called again when the file behind the name has changed.
func (w *watcher) add(f *follower) {
	if w == nil {
		return
	}
	if _, known := w.real[f]; !known {
		w.real[f] = ""
		w.files[f.path] = append(w.files[f.path], f)
		w.directory(filepath.Dir(f.path))
	}
	target, err := filepath.EvalSymlinks(f.path)
	if err != nil || target == f.path || target == w.real[f] {
		return
	}
	w.unlink(f, w.real[f])
	w.real[f] = target
	w.files[target] = append(w.files[target], f)
	w.directory(filepath.Dir(target))
}

func (w *watcher) remove(f *follower) {
	if w == nil {
		return
	}
	w.unlink(f, f.path)
	w.unlink(f, w.real[f])
	delete(w.real, f)
}

func (w *watcher) unlink(f *follower, path string) {
	list := w.files[path]
	for i := range list {
		if list[i] == f {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(w.files, path)
		return
	}
	w.files[path] = list
}

// directory watches a directory that is there and not watched yet.
func (w *watcher) directory(dir string) {
	if w == nil {
		return
	}
	old, known := w.dirs[dir]
	st, err := statPath(dir)
	switch {
	case err != nil:
		if known && old != (identity{}) {
			w.w.Remove(dir) //nolint:errcheck // the kernel may have done so
		}
		w.dirs[dir] = identity{}
		return
	case known && old == st.id:
		return
	case known && old != (identity{}):
		w.w.Remove(dir) //nolint:errcheck // another directory has the name now
	}
	w.dirs[dir] = identity{}
	if w.w.Add(dir) == nil {
		w.dirs[dir] = st.id
	}
}

// refresh looks at the directories again: one that has appeared, or has been replaced, is watched from now on. A watch that the kernel
// ended with its directory comes back with it.
func (w *watcher) refresh(files []*follower) {
	if w == nil {
		return
	}
	if len(w.dirs) > 2*len(files)+64 {
		w.prune(files)
	}
	for dir := range w.dirs {
		w.directory(dir)
	}
}

// prune forgets directories that are gone and have no files.
func (w *watcher) prune(files []*follower) {
	used := map[string]bool{}
	for _, f := range files {
		used[filepath.Dir(f.path)] = true
		if t := w.real[f]; t != "" {
			used[filepath.Dir(t)] = true
		}
	}
	for dir, id := range w.dirs {
		if !used[dir] && id == (identity{}) {
			delete(w.dirs, dir)
		}
	}
}

// lost is told of a directory that has gone.
func (w *watcher) lost(path string) {
	if _, ok := w.dirs[path]; ok {
		w.dirs[path] = identity{}
	}
}
