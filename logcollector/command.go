package logcollector

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
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
	c    *Collector
	cfg  config.Localfile
	name string // alias or command text, without colons
	full bool
}

func newCommand(f config.Localfile, c *Collector) *command {
	name := f.Alias
	if name == "" {
		name = f.Command
	}
	cmd := &command{c: c, cfg: f, name: location(name), full: f.Format == "full_command"}
	if cmd.full {
		c.log.Info("Monitoring full output of command(%d): %s", f.Frequency, f.Command)
	} else {
		c.log.Info("Monitoring output of command(%d): %s", f.Frequency, f.Command)
	}
	return cmd
}

// run runs the command at its interval until ctx ends. The first run is after one interval, so that a start is not a burst of commands.
func (k *command) run(ctx context.Context) {
	every := max(time.Duration(k.cfg.Frequency)*time.Second, 2*k.c.opts.Poll)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, text := range k.events(ctx) {
			if k.c.sink.Send(ctx, event.Message{Kind: event.KindLog, Location: k.name, Text: text}) != nil {
				return
			}
		}
	}
}

// events runs the command once and makes events of its output. The command is the operator's own text, and is for a shell by definition;
// nothing that was collected ever becomes part of it.
func (k *command) events(ctx context.Context) []string {
	limited, cancel := context.WithTimeout(ctx, k.c.opts.CommandLimit)
	defer cancel()
	cmd := exec.CommandContext(limited, "/bin/sh", "-c", k.cfg.Command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Stderr = os.Stderr
	out := &bounded{max: maxOutput}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		k.c.log.Error("Unable to execute command: '%s'.", k.cfg.Command)
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
	return k.lines(out.buf.Bytes())
}

func (k *command) prefix() string {
	p := "ossec: output: '" + k.name + "':"
	if len(p) > maxPrefix {
		p = p[:maxPrefix]
	}
	return p
}

func (k *command) lines(out []byte) []string {
	var events []string
	p := k.prefix() + " "
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

// whole makes the one event of full_command: carriage returns removed, pairs of line ends become one.
func (k *command) whole(out []byte) []string {
	if len(out) == 0 {
		return nil
	}
	if len(out) > maxFullOutput {
		out = out[:maxFullOutput]
		if i := bytes.LastIndexByte(out, '\n'); i >= 0 {
			out = out[:i]
		}
	}
	s := string(out)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	s = strings.TrimSuffix(s, "\n")
	s = strings.ReplaceAll(s, "\r", "")
	s = strings.ReplaceAll(s, "\n\n", "\n")
	return []string{k.prefix() + "\n" + s}
}

// bounded keeps the first max bytes and discards the rest, so that the command does not die of a closed pipe.
type bounded struct {
	buf bytes.Buffer
	max int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.max - b.buf.Len(); room > 0 {
		b.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

var _ io.Writer = (*bounded)(nil)
