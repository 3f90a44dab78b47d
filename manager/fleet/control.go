package fleet

import (
	"context"
	"fmt"
	"hash/maphash"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// job is a keepalive whose files have to be looked at.
type job struct {
	with keys.Cipher
	text agentwire.Keepalive
	at   time.Time

	compared bool // with the shared files; only the agent-info file is missing
}

// Control takes a control message of an agent, after the listener acknowledged it. It does not wait for anything.
func (f *Fleet) Control(key *keys.Key, with keys.Cipher, text []byte, at time.Time) {
	f.stats.controls.Add(1)
	now := at.Unix()
	if string(text) == agentwire.Startup {
		f.mu.Lock()
		s := f.session(key)
		s.control, s.cipher, s.greeted = now, with, false
		if s.push != nil { // the agent began anew and ignores the rest
			s.push.cancel()
			s.push = nil
		}
		f.mu.Unlock()
		f.log.Debug("Agent '%s' (%s) starts: startup message, %s.", key.Name, key.ID, with)
		return
	}
	k, ok := agentwire.ParseKeepalive(text)
	f.mu.Lock()
	s := f.session(key)
	s.control, s.cipher = now, with
	first := !s.greeted
	if ok {
		s.greeted = true
		s.beat(now)
		s.vedette = k.Vedette
		f.remember(s, &job{with: with, text: k, at: at})
	}
	late := len(f.due) >= manyDue
	f.mu.Unlock()
	if !ok {
		f.log.Every("uname "+key.ID, f.o.LogEvery).Warn("Invalid message from agent id: '%d'(uname)", slices.Index(f.o.Keys.All(), key))
		return
	}
	f.stats.keepalives.Add(1)
	if first {
		f.log.Debug("Agent '%s' (%s) is connected, %s: %s", key.Name, key.ID, with, k.System)
	}
	if f.log.Debugging(2) {
		f.log.Debug2("Keepalive of agent '%s' (%s), %s, %d bytes.", key.Name, key.ID, with, len(text))
	}
	f.wakeJobs()
	if late {
		f.log.Every("jobs", time.Minute).Warn("Keepalives come faster than agent-info files can be written; the files are late.")
	}
}

// manyDue is the number of agents waiting for their files above which the log says so.
const manyDue = 4096

// remember keeps an agent's newest keepalive until its files have been looked at; an older one that still waits is replaced and keeps its turn.
// Memory is therefore bounded by the number of agents. f.mu is held.
func (f *Fleet) remember(s *session, j *job) {
	if s.pending == nil {
		f.due = append(f.due, s)
	}
	s.pending = j
}

func (f *Fleet) wakeJobs() {
	select {
	case f.dueC <- struct{}{}:
	default:
	}
}

// session finds or makes the session of an agent. f.mu is held.
func (f *Fleet) session(key *keys.Key) *session {
	s := f.sessions[key]
	if s == nil {
		s = &session{key: key}
		f.sessions[key] = s
	}
	return s
}

// maxInterval is the longest time between two keepalives, in seconds, that can be an agent's habit. Above it the agent was away.
const maxInterval = 4 * 3600

// beat notes a keepalive.
func (s *session) beat(now int64) {
	if gap := now - s.keepalive; s.keepalive > 0 && gap > 0 && gap <= maxInterval {
		s.gaps = [3]int32{int32(gap), s.gaps[0], s.gaps[1]}
	}
	s.keepalive = now
	s.active = true
}

// interval is the agent's own time between keepalives in seconds: the middle one of the last three, so that neither a lost keepalive nor
// an extra one counts. 0 = not known.
func (s *session) interval() int64 {
	g := s.gaps
	if g[2] == 0 {
		if g[1] != 0 {
			return int64(min(g[0], g[1]))
		}
		return int64(g[0])
	}
	slices.Sort(g[:])
	return int64(g[1])
}

// runJobs looks at the files of agents whose keepalive came. At the end it still writes what is due, so that the next start knows who was
// here, but not for longer than a slow disk may hold up the end.
func (f *Fleet) runJobs(ctx context.Context) {
	for ctx.Err() == nil {
		key, j := f.nextJob()
		if j == nil {
			select {
			case <-ctx.Done():
			case <-f.dueC:
			}
			continue
		}
		f.keepInfo(key, j)
		if !j.compared {
			j.compared = true
			f.checkFiles(key, j)
		}
	}
	for end := time.Now().Add(lastWrites); time.Now().Before(end); {
		key, j := f.nextJob()
		if j == nil {
			return
		}
		f.keepInfo(key, j)
	}
}

// lastWrites is how long agent-info files may be written after the end.
const lastWrites = 3 * time.Second

// nextJob takes the agent that has waited longest; nil when none waits.
func (f *Fleet) nextJob() (*keys.Key, *job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.due) > 0 {
		s := f.due[0]
		f.due[0] = nil
		f.due = f.due[1:]
		j := s.pending
		s.pending = nil
		if j != nil && f.sessions[s.key] == s { // the key may be gone meanwhile
			return s.key, j
		}
	}
	f.due = nil
	return nil, nil
}

// again keeps a keepalive whose file could not be written for another try, unless a newer one has come.
func (f *Fleet) again(key *keys.Key, j *job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sessions[key]; s != nil {
		s.info = 0
		if s.pending == nil {
			s.pending = j
			f.failed = append(f.failed, s)
		}
	}
}

// retryFailed gives the agents whose file could not be written another turn.
func (f *Fleet) retryFailed() {
	f.mu.Lock()
	f.due = append(f.due, f.failed...)
	f.failed = nil
	f.mu.Unlock()
	f.wakeJobs()
}

// infoPath gives the agent-info file of an agent; false when its name or address would not be one path element.
func (f *Fleet) infoPath(key *keys.Key) (string, bool) {
	name := key.Name + "-" + key.IP
	if strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") {
		return "", false
	}
	return f.path("queue/agent-info/" + name), true
}

var infoSeed = maphash.MakeSeed()

// keepInfo writes the agent-info file, or only its time when the content is the same.
func (f *Fleet) keepInfo(key *keys.Key, j *job) {
	path, ok := f.infoPath(key)
	if !ok {
		f.log.Every("info "+key.ID, time.Hour).Error("Agent '%s' has a name that cannot be a file name; its state is not shown.", key.ID)
		return
	}
	text := fmt.Sprintf("%s\ncrypto_method:%s\n", printable(j.text.System), j.with)
	if j.text.Vedette { // tools of OSSEC read two lines
		text += fmt.Sprintf("agent_conf:%s\nprofile:%s\n", printable(j.text.Running), printable(j.text.Profile))
	}
	sum := maphash.String(infoSeed, text) | 1
	f.mu.Lock()
	s := f.session(key)
	same := s.info == sum
	s.info = sum
	f.mu.Unlock()
	if same && os.Chtimes(path, j.at, j.at) == nil {
		return
	}
	err := os.WriteFile(path, []byte(text), 0o640)
	if err == nil {
		err = os.Chtimes(path, j.at, j.at)
	}
	if err != nil {
		f.log.Every("info", time.Minute).Error("Writing the state of agent '%s': %v", key.Name, err)
		f.again(key, j)
	}
}

// printable makes the agent's description harmless for the terminals and files it is shown in.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > agentwire.MaxControlBody {
		s = s[:agentwire.MaxControlBody]
	}
	return s
}
