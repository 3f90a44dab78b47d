package logcollector

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// journalEntry is what is read of a record of `journalctl -o json`.
type journalEntry struct {
	Identifier string          `json:"SYSLOG_IDENTIFIER"`
	Host       string          `json:"_HOSTNAME"`
	Message    json.RawMessage `json:"MESSAGE"`
	Stamp      string          `json:"__REALTIME_TIMESTAMP"`
	Cursor     string          `json:"__CURSOR"`
}

const maxJournalLine = 1 << 20

// journal follows the system journal through journalctl until ctx ends, and starts it again when it dies.
func (c *Collector) journal(ctx context.Context, f config.Localfile) {
	c.log.Code(1951, "INFO", "Analyzing journald log: '%s'.", f.Location)
	path, err := exec.LookPath("journalctl")
	if err != nil {
		c.log.Warn("journald not available on this system: %v", err)
		return
	}
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		err := c.journalOnce(ctx, path, f)
		if ctx.Err() != nil {
			return
		}
		c.log.Every("journal", time.Minute).Error("Unable to open journal: %v", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (c *Collector) journalOnce(ctx context.Context, program string, f config.Localfile) error {
	args := []string{"-f", "-o", "json", "--no-pager"}
	cursor := c.journalCursor(f)
	if old, err := os.ReadFile(cursor); err == nil && len(old) > 0 && !c.opts.StartAtEnd {
		args = append(args, "--after-cursor="+strings.TrimSpace(string(old)))
	} else {
		args = append(args, "-n", "0")
	}
	if !strings.HasPrefix(f.Location, "all") && !strings.HasPrefix(f.Location, "/") {
		args = append(args, "-t", f.Location)
	}
	cmd := exec.CommandContext(ctx, program, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait() //nolint:errcheck // it ends by our signal
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 64<<10), maxJournalLine)
	saved := c.opts.Now()
	for lines.Scan() {
		var e journalEntry
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		text, ok := e.text(time.Local)
		if ok {
			if err := c.sink.Send(ctx, event.Message{Kind: event.KindLog, Location: "journald", Text: text}); err != nil {
				return err
			}
		}
		if now := c.opts.Now(); cursor != "" && now.Sub(saved) >= saveEvery {
			saved = now
			atomicfile.Write(cursor, []byte(e.Cursor+"\n"), 0o640) //nolint:errcheck // the next record tries again
		}
	}
	return lines.Err()
}

func (c *Collector) journalCursor(f config.Localfile) string {
	if c.opts.PositionFile == "" {
		return ""
	}
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '.' {
			return '_'
		}
		return r
	}, f.Location)
	return filepath.Join(filepath.Dir(c.opts.PositionFile), "journal-"+name+".cursor")
}

// text makes the event text: time with zone, host, identifier, message.
func (e *journalEntry) text(zone *time.Location) (string, bool) {
	msg := journalMessage(e.Message)
	if e.Identifier == "" || e.Host == "" || msg == "" {
		return "", false
	}
	usec, err := strconv.ParseInt(e.Stamp, 10, 64)
	if err != nil {
		return "", false
	}
	id := e.Identifier
	if len(id) > 127 {
		id = id[:127]
	}
	return fmt.Sprintf("%s %s %s: %s", time.UnixMicro(usec).In(zone).Format("2006-01-02T15:04:05-07:00"), e.Host, id, msg), true
}

// journalMessage reads MESSAGE, which is a string, or an array of bytes when it is not text.
func journalMessage(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var b []int
	if json.Unmarshal(raw, &b) != nil {
		return ""
	}
	out := make([]byte, 0, len(b))
	for _, n := range b {
		out = append(out, byte(n))
	}
	return string(out)
}
