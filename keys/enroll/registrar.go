package enroll

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/vedette-hids/vedette/keys"
)

const (
	firstID     = 1024 // ids below are for manage_agents
	lastSuffix  = 255
	defaultMax  = 99_999_999 - firstID // eight digits
	keyFileMode = 0o640
)

// Refusal says why an agent does not get a key, in the words of ossec-authd.
type Refusal struct {
	Reply string // first line for the agent, without "ERROR: "
	Log   string // for the manager's log, without "ERROR: "
	Err   error  // cause, when something failed
}

func (r *Refusal) Error() string {
	if r.Err != nil {
		return r.Log + ": " + r.Err.Error()
	}
	return r.Log
}

func (r *Refusal) Unwrap() error { return r.Err }

// Registrar gives out names and ids and adds key lines to client.keys. It keeps an index of the file and reads it again only after someone
// else changed it, so that enrolling is fast with any number of agents. Safe for concurrent use; the zero value with a Path is ready.
type Registrar struct {
	Path      string // client.keys
	FixedIP   bool   // write the source address in the key line instead of "any"
	MaxAgents int    // how many ids from 1024 up may be given out; 0 = all of eight digits

	// Displace is asked to remove the agent that has the wanted name or the source address; false = it stays. nil = it stays. It edits the
	// file itself.
	Displace func(owner keys.Entry) bool

	mu    sync.Mutex
	seen  os.FileInfo
	ids   map[string]bool
	names map[string]bool
	ips   map[string]string // ip field -> id of the first live line that has it
	next  int               // no id from 1024 up below this is free
}

// Enrol gives an agent a key line and adds it to client.keys. Anything that goes wrong is a *Refusal.
func (r *Registrar) Enrol(name string, src netip.Addr) (keys.Entry, error) {
	src = src.Unmap()
	if !keys.ValidName(name) {
		return keys.Entry{}, &Refusal{Reply: "Invalid agent name: " + name, Log: fmt.Sprintf("Invalid agent name: %s from %s", name, src)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.makeRoom(name, src); err != nil {
		return keys.Entry{}, internal(name, err)
	}
	unlock, err := keys.Lock(r.Path)
	if err != nil {
		return keys.Entry{}, internal(name, err)
	}
	defer unlock()
	if err := r.refresh(); err != nil {
		return keys.Entry{}, internal(name, err)
	}
	if owner, taken := r.ips[src.String()]; taken {
		return keys.Entry{}, &Refusal{Reply: "Invalid IP address: " + owner, Log: fmt.Sprintf("Invalid IP address %s (duplicated)", owner)}
	}
	free, ok := r.freeName(name)
	if !ok {
		return keys.Entry{}, &Refusal{Reply: "Invalid agent name: " + name, Log: fmt.Sprintf("Invalid agent name %s (duplicated)", name)}
	}
	e := keys.Entry{ID: r.freeID(), Name: free, IP: "any"}
	if e.ID == "" {
		return e, internal(name, errors.New("no id is free"))
	}
	if r.FixedIP {
		e.IP = src.String()
	}
	if e.Key, err = keys.NewSecret(); err != nil {
		return e, internal(name, err)
	}
	if err := r.write(e); err != nil {
		return e, internal(name, err)
	}
	return e, nil
}

// makeRoom has the agents removed that stand in the way and may be.
func (r *Registrar) makeRoom(name string, src netip.Addr) error {
	if r.Displace == nil {
		return nil
	}
	if err := r.refresh(); err != nil {
		return err
	}
	if !r.names[name] && r.ips[src.String()] == "" {
		return nil
	}
	f, err := keys.ReadFile(r.Path)
	if err != nil {
		return err
	}
	if owner, ok := f.ByIP(src.String()); ok {
		r.Displace(owner)
	}
	if owner, ok := f.ByName(name); ok && owner.IP != src.String() {
		r.Displace(owner)
	}
	return nil
}

func internal(name string, err error) *Refusal {
	return &Refusal{Reply: "Internal manager error adding agent: " + name, Log: fmt.Sprintf("Unable to add agent: %s (internal error)", name), Err: err}
}

// freeName gives the name, or with the first number from 2 to 255 behind it that makes a free one.
func (r *Registrar) freeName(name string) (string, bool) {
	if !r.names[name] {
		return name, true
	}
	for n := 2; n <= lastSuffix; n++ {
		if s := name + strconv.Itoa(n); !r.names[s] && keys.ValidName(s) {
			return s, true
		}
	}
	return "", false
}

func (r *Registrar) freeID() string {
	limit := r.MaxAgents
	if limit <= 0 || limit > defaultMax {
		limit = defaultMax
	}
	for ; r.next < firstID+limit; r.next++ {
		if id := strconv.Itoa(r.next); !r.ids[id] {
			return id
		}
	}
	return ""
}

// refresh reads the file again when it is not as the last write or read left it.
func (r *Registrar) refresh() error {
	st, err := os.Stat(r.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return err
	}
	if !missing && r.seen != nil && os.SameFile(st, r.seen) && st.Size() == r.seen.Size() && st.ModTime().Equal(r.seen.ModTime()) {
		return nil
	}
	f, err := keys.ReadFile(r.Path)
	if err != nil {
		return err
	}
	r.ids, r.names, r.ips, r.next, r.seen = map[string]bool{}, map[string]bool{}, map[string]string{}, firstID, st
	f.EachID(func(id string) { r.ids[id] = true })
	for _, e := range f.Entries() {
		r.index(e)
	}
	return nil
}

func (r *Registrar) index(e keys.Entry) {
	r.ids[e.ID], r.names[e.Name] = true, true
	if _, taken := r.ips[e.IP]; !taken && e.IP != "any" && !strings.Contains(e.IP, "/") {
		r.ips[e.IP] = e.ID
	}
}

// write adds the line. Where the file is read-only for this user (manage_agents leaves it so) it is replaced.
func (r *Registrar) write(e keys.Entry) error {
	err := keys.Append(r.Path, e, keyFileMode)
	if errors.Is(err, fs.ErrPermission) {
		err = keys.Replace(r.Path, e, keyFileMode)
	}
	if err != nil {
		r.seen = nil
		return err
	}
	r.index(e)
	r.seen, err = os.Stat(r.Path)
	if err != nil {
		r.seen = nil // read again next time
	}
	return nil
}
