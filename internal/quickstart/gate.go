package quickstart

import (
	"bytes"
	"io"
	"sync"
)

// Welcome is shown when the manager runs; its one argument is the install root.
const Welcome = `Vedette is watching this machine: its logs, its users and /etc. Alerts appear below as they come.

  everything is in   %[1]s
  configuration      %[1]s/etc/ossec.conf   (rules/ and etc/decoder.xml beside it)
  alerts             %[1]s/logs/alerts/alerts.log and alerts.json
  what it does       %[1]s/logs/ossec.log
  try                bin/vedette demo   in another terminal
  stop               Ctrl-C

`

// Gate passes the manager's messages only until it is up, so that problems of a start are seen and nothing else disturbs the alerts.
type Gate struct {
	mu   sync.Mutex
	w    io.Writer
	mark []byte
	seen chan struct{}
	open bool
}

// NewGate makes a Gate that opens when a written text contains mark. Until then only errors are shown; after it
// nothing is, the log file has it all.
func NewGate(w io.Writer, mark string) *Gate {
	return &Gate{w: w, mark: []byte(mark), seen: make(chan struct{})}
}

// Seen is closed when the mark was seen.
func (g *Gate) Seen() <-chan struct{} { return g.seen }

// Write implements io.Writer.
func (g *Gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		return len(p), nil
	}
	if bytes.Contains(p, g.mark) {
		g.open = true
		close(g.seen)
		return len(p), nil
	}
	if isLog := len(p) > 0 && p[0] >= '0' && p[0] <= '9'; !isLog || bytes.Contains(p, []byte("ERROR")) {
		return g.w.Write(p)
	}
	return len(p), nil
}
