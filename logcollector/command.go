package logcollector

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// Limits of command output in bytes (spec logcollector.md, section 15).
const (
	maxCommandLine = 5631
	maxFullOutput  = 5632
	maxPrefix      = 255
	maxOutput      = 4 << 20 // of a command whose lines are events of their own
)

// command is one entry of format command or full_command.
type command struct {
	c       *Collector
	cfg     config.Localfile
	name    string // alias or command text, without colons
	full    bool
	last    time.Time // when it was last started, or the collector was
	running atomic.Bool
}

func newCommand(f config.Localfile, c *Collector) *command {
	name := f.Alias
	if name == "" {
		name = f.Command
	}
	cmd := &command{c: c, cfg: f, name: strings.ReplaceAll(name, ":", `\`), full: f.Format == "full_command"}
	if cmd.full {
		c.log.Info("Monitoring full output of command(%d): %s", f.Frequency, f.Command)
	} else {
		c.log.Info("Monitoring output of command(%d): %s", f.Frequency, f.Command)
	}
	return cmd
}

// start runs the command beside everything else when its interval has passed and it is not running.
func (k *command) start(now time.Time) {
	if now.Sub(k.last) < time.Duration(k.cfg.Frequency)*time.Second || !k.running.CompareAndSwap(false, true) {
		return
	}
	k.last = now
	ctx := k.c.ctx
	k.c.work.Go(func() {
		defer k.running.Store(false)
		for _, text := range k.events(ctx) {
			if err := k.c.sink.Send(ctx, event.Message{Kind: event.KindLog, Location: k.name, Text: text}); err != nil {
				k.c.fail(err)
				return
			}
		}
	})
}

// fail ends the run with the first error of a part that works beside the files.
func (c *Collector) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// events runs the command once and makes events of its output. The command is the operator's own text, and is for a shell by definition;
// nothing that was collected ever becomes part of it.
func (k *command) events(ctx context.Context) []string {
	limited, cancel := context.WithTimeout(ctx, k.c.opts.CommandLimit)
	defer cancel()
	cmd := shell(limited, k.cfg.Command)
	cmd.WaitDelay = time.Second // for children that keep the pipe open
	cmd.Stderr = os.Stderr
	out := &bounded{max: maxOutput}
	if k.full {
		out.max = maxFullOutput
	}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		k.c.log.Every("start "+k.name, time.Hour).Error("Unable to execute command: '%s'.", k.cfg.Command)
		return nil
	}
	if err := cmd.Wait(); err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			k.c.log.Warn("Command '%s' did not end within %s and was stopped.", k.cfg.Command, k.c.opts.CommandLimit)
		} else {
			k.c.log.Debug("Command '%s': %v", k.cfg.Command, err)
		}
	}
	if k.full {
		return k.whole(out.buf.Bytes())
	}
	if out.left > 0 {
		k.c.log.Every("output "+k.name, time.Hour).Warn("Command '%s' printed more than %d bytes; the last %d were left out.", k.cfg.Command, maxOutput, out.left)
	}
	return k.lines(out.buf.Bytes())
}

// prefix stands before output; end is what parts the two.
func (k *command) prefix(end string) string {
	p := "ossec: output: '" + k.name + "':" + end
	if len(p) > maxPrefix {
		p = p[:maxPrefix]
	}
	return p
}

func (k *command) lines(out []byte) []string {
	var events []string
	p := k.prefix(" ")
	for len(out) > 0 {
		line, rest, _ := bytes.Cut(out, []byte("\n"))
		out = rest
		for len(line) > maxCommandLine {
			events = append(events, p+text(line[:maxCommandLine]))
			line = line[maxCommandLine:]
		}
		events = append(events, p+text(line))
	}
	return events
}

// whole makes the one event of full_command: carriage returns removed, pairs of line ends become one. Output ends at a NUL, and then with
// its last complete line.
func (k *command) whole(out []byte) []string {
	if len(out) == 0 {
		return nil
	}
	full := len(out) == maxFullOutput
	s := k.prefix("\n") + string(out)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s, full = s[:i], true
	}
	if i := strings.LastIndexByte(s, '\n'); i >= 0 && (full || i == len(s)-1) {
		s = s[:i]
	}
	s = strings.ReplaceAll(s, "\r", "")
	return []string{strings.ReplaceAll(s, "\n\n", "\n")}
}

// bounded keeps the first max bytes and counts the rest, so that the command does not die of a closed pipe.
type bounded struct {
	buf  bytes.Buffer
	max  int
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(max(b.max-b.buf.Len(), 0), len(p))
	b.buf.Write(p[:n])
	b.left += len(p) - n
	return len(p), nil
}

var _ io.Writer = (*bounded)(nil)
