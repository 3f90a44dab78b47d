package syscheck

import (
	"sync"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// seen remembers the digests of contents that were read a moment ago: a library, the symbolic links to it and its hard links lie next to
// each other, and are read once instead of three times. Contents are known by their stamp, so a change makes another content of it.
type seen struct {
	mu      sync.Mutex
	digests map[stamp]sum.Digests
	order   []stamp // ring of the keys, oldest replaced first
	next    int
	busy    map[stamp]chan struct{} // being read now; closed at the end
}

const (
	seenMin  = 16 << 10 // smaller contents are read again sooner than found
	seenSize = 1024
)

func newSeen() *seen {
	return &seen{digests: map[stamp]sum.Digests{}, busy: map[stamp]chan struct{}{}}
}

// find gives the digests of a content, or a channel that closes when the worker that reads it now has come to its end; then find has to be
// asked again. When it gives neither, the caller has to read the content and then call put. It never blocks: whoever waits may hold what
// the other one waits for.
func (s *seen) find(key stamp, set sum.Set) (d sum.Digests, found bool, wait <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.digests[key]; ok && d.Has&set == set {
		d.Has &= set
		return d, true, nil
	}
	if wait, ok := s.busy[key]; ok {
		return d, false, wait
	}
	s.busy[key] = make(chan struct{})
	return d, false, nil
}

// put ends the reading of a content. d is kept if it has digests, which the caller may claim only when the content did not change meanwhile.
func (s *seen) put(key stamp, d sum.Digests) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait, ok := s.busy[key]; ok {
		close(wait)
		delete(s.busy, key)
	}
	if d.Has == 0 {
		return
	}
	if _, ok := s.digests[key]; !ok {
		if len(s.order) < seenSize {
			s.order = append(s.order, key)
		} else {
			delete(s.digests, s.order[s.next])
			s.order[s.next] = key
			s.next = (s.next + 1) % seenSize
		}
	}
	s.digests[key] = d
}
