package syscheck

import "sync"

// pathLocks serialises the checks of each path. The zero value is ready.
type pathLocks struct {
	mu   sync.Mutex
	held map[string]*pathLock
}

type pathLock struct {
	mu    sync.Mutex
	users int // that hold it or wait for it
}

// lock waits until nobody else holds path. A worker may do so only while it holds no other.
func (p *pathLocks) lock(path string) {
	p.mu.Lock()
	l := p.held[path]
	if l == nil {
		l = p.add(path)
	}
	l.users++
	p.mu.Unlock()
	l.mu.Lock()
}

// tryLock reports whether it could lock path.
func (p *pathLocks) tryLock(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[path] != nil {
		return false
	}
	l := p.add(path)
	l.users++
	return l.mu.TryLock()
}

func (p *pathLocks) add(path string) *pathLock {
	if p.held == nil {
		p.held = map[string]*pathLock{}
	}
	l := &pathLock{}
	p.held[path] = l
	return l
}

// unlock ends what lock or tryLock began.
func (p *pathLocks) unlock(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.held[path]
	if l.users--; l.users == 0 {
		delete(p.held, path)
	}
	l.mu.Unlock()
}
