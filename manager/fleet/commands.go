package fleet

import (
	"errors"
	"fmt"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

var (
	// ErrUnknownAgent is returned for an id or name that no usable key has (log message 1320).
	ErrUnknownAgent = errors.New("no such agent")
	// ErrNotConnected is returned for an agent that was not heard for too long; nothing was sent.
	ErrNotConnected = errors.New("agent is not connected")
)

// sendWindow is how long after its last control message an agent is reachable, in seconds, at least (spec protocol.md, section 10).
const sendWindow = 1200

// Send sends a command, the text behind "#!-" (at most 1023 bytes are used), to the agent with an id. A nil error means that it left, not that
// it arrived.
func (f *Fleet) Send(id, text string) error {
	k := f.o.Keys.ByID(id)
	if k == nil {
		return fmt.Errorf("sending to agent '%s': %w", id, ErrUnknownAgent)
	}
	return f.send(k, text)
}

// SendName is Send for the first agent with a name.
func (f *Fleet) SendName(name, text string) error {
	k := f.o.Keys.ByName(name)
	if k == nil {
		return fmt.Errorf("sending to agent '%s': %w", name, ErrUnknownAgent)
	}
	return f.send(k, text)
}

// SendAll sends a command to every connected agent and returns to how many it left.
func (f *Fleet) SendAll(text string) int {
	n := 0
	for _, k := range f.o.Keys.All() {
		if f.send(k, text) == nil {
			n++
		}
	}
	return n
}

// Respond asks the agent with an id to run an active response.
func (f *Fleet) Respond(id string, r *event.Response) error {
	return f.Send(id, agentwire.Exec+agentwire.ExecText(r))
}

// RespondAll asks every connected agent to run an active response.
func (f *Fleet) RespondAll(r *event.Response) int {
	return f.SendAll(agentwire.Exec + agentwire.ExecText(r))
}

// Rescan asks an agent to run syscheck and rootcheck now.
func (f *Fleet) Rescan(id string) error { return f.Send(id, agentwire.Rescan) }

// Restart asks an agent to restart.
func (f *Fleet) Restart(id string) error { return f.Send(id, agentwire.Exec+agentwire.RestartRequest) }

func (f *Fleet) send(k *keys.Key, text string) error {
	if f.sender == nil || !f.reachable(k) {
		f.stats.unsent.Add(1)
		return fmt.Errorf("sending to agent '%s': %w", k.ID, ErrNotConnected)
	}
	payload := agentwire.Header + text
	if n := len(agentwire.Header+agentwire.Exec) + agentwire.MaxExec; len(payload) > n {
		payload = payload[:n]
	}
	if err := f.sender.Send(k, []byte(payload)); err != nil {
		f.stats.unsent.Add(1)
		return err
	}
	f.stats.sent.Add(1)
	f.log.Debug("Command to agent '%s' (%s): %s", k.Name, k.ID, text)
	return nil
}

// reachable reports whether an agent was heard lately.
func (f *Fleet) reachable(k *keys.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sessions[k]
	if s == nil || s.control == 0 {
		return false
	}
	return f.o.Now().Unix()-s.control <= max(sendWindow, 3*s.interval())
}
