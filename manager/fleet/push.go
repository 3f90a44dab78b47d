package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// push is the transfer of some shared files to one agent.
type push struct {
	key   *keys.Key
	files []*sharedFile
	fast  bool // the agent reads fast enough for more than 31 chunks per second

	once    sync.Once
	stopped chan struct{}
}

func (p *push) cancel() { p.once.Do(func() { close(p.stopped) }) }

// fastPause is the pause between bursts to a Vedette agent.
const fastPause = 40 * time.Millisecond

// checkFiles compares what an agent holds with what it should hold (spec protocol.md, section 13).
func (f *Fleet) checkFiles(key *keys.Key, j *job) {
	k := &j.text
	if k.Problem != "" {
		f.log.Every("strchr "+key.ID, f.o.LogEvery).Text("Invalid message from '%s' (%s)", key.IP, k.Problem)
	}
	merged, files := f.shared.current()
	var send []*sharedFile
	switch {
	case merged == nil:
		return
	case k.Merged:
		if k.Files[len(k.Files)-1].MD5 != merged.md5 {
			send = []*sharedFile{merged}
		}
	default:
		send = missing(files, k.Files)
	}
	if len(send) > 0 {
		f.log.Debug("Agent '%s' (%s) does not have the present '%s': %d file(s) to send.", key.Name, key.ID, send[0].name, len(send))
		f.queuePush(key, send, k.Vedette)
	}
}

// missing lists the files that were not named with the right sum.
func missing(files []*sharedFile, have []agentwire.FileSum) (out []*sharedFile) {
	sums := make(map[string]string, len(have))
	for _, h := range have {
		sums[h.Name] = h.MD5
	}
	for _, s := range files {
		if sums[s.name] != s.md5 {
			out = append(out, s)
		}
	}
	return out
}

// queuePush starts a transfer soon. An agent that is being sent the same files keeps that transfer; one with other files gives way.
func (f *Fleet) queuePush(key *keys.Key, files []*sharedFile, fast bool) {
	f.mu.Lock()
	s := f.session(key)
	if s.push != nil {
		if s.push.files[0].md5 == files[0].md5 {
			f.mu.Unlock()
			return
		}
		s.push.cancel()
	}
	p := &push{key: key, files: files, fast: fast, stopped: make(chan struct{})}
	s.push = p
	f.waiting = append(f.waiting, p)
	f.mu.Unlock()
	select {
	case f.pushC <- struct{}{}:
	default:
	}
}

// runPushes runs transfers, a bounded number at a time, in the order in which they were asked for.
func (f *Fleet) runPushes(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, f.o.Pushes)
	for {
		p := f.nextPush()
		if p == nil {
			select {
			case <-ctx.Done():
				return
			case <-f.pushC:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		wg.Go(func() {
			defer func() { <-slots }()
			f.runPush(ctx, p)
		})
	}
}

func (f *Fleet) nextPush() *push {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.waiting = nil
		return nil
	}
	p := f.waiting[0]
	f.waiting[0] = nil
	f.waiting = f.waiting[1:]
	return p
}

func (f *Fleet) runPush(ctx context.Context, p *push) {
	defer func() {
		f.mu.Lock()
		if s := f.sessions[p.key]; s != nil && s.push == p {
			s.push = nil
		}
		f.mu.Unlock()
	}()
	for _, file := range p.files {
		if file.name == agentwire.MergedName {
			f.log.Debug("Sending file '%s' to agent.", file.name)
		} else {
			f.log.Text("Sending file '%s' to agent.", file.name)
		}
		f.stats.pushes.Add(1)
		if !f.pushFile(ctx, p, file) {
			f.log.Debug("Sending file '%s' to agent '%s' (%s) ended early.", file.name, p.key.Name, p.key.ID)
			return
		}
		f.log.Debug("File '%s', %d bytes, was sent to agent '%s' (%s).", file.name, len(file.data), p.key.Name, p.key.ID)
		f.stats.pushed.Add(1)
	}
}

// pushFile sends one file: its announcement, chunks with a pause after each 31, its end.
func (f *Fleet) pushFile(ctx context.Context, p *push, file *sharedFile) bool {
	pause := f.o.Pause
	if p.fast {
		pause = min(pause, fastPause)
	}
	send := func(payload []byte) bool {
		select {
		case <-p.stopped:
			return false
		default:
		}
		if err := f.sender.Send(p.key, payload); err != nil {
			f.log.Every("push "+p.key.ID, time.Minute).Warn("Sending file '%s' to agent '%s': %v", file.name, p.key.Name, err)
			return false
		}
		return true
	}
	if !send([]byte(agentwire.Header + agentwire.FileBegin + file.md5 + " " + file.name + "\n")) {
		return false
	}
	for i, rest := 1, file.data; len(rest) > 0; i++ {
		n := min(len(rest), agentwire.ChunkSize)
		if !send(rest[:n]) {
			return false
		}
		rest = rest[n:]
		if i%agentwire.ChunksPerSecond == 0 && !p.wait(ctx, pause) {
			return false
		}
	}
	return send([]byte(agentwire.Header + agentwire.FileEnd))
}

// wait pauses; false when the transfer was cancelled.
func (p *push) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.stopped:
		return false
	case <-ctx.Done():
		return false
	}
}
