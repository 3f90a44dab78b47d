package logcollector

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// journalEntry is what is read of a record of `journalctl -o json`. Every member may be null, a string, an array of bytes when it is not text,
// or an array of these when the field occurs more than once.
type journalEntry struct {
	Identifier json.RawMessage `json:"SYSLOG_IDENTIFIER"`
	Host       json.RawMessage `json:"_HOSTNAME"`
	Message    json.RawMessage `json:"MESSAGE"`
	Stamp      string          `json:"__REALTIME_TIMESTAMP"`
	Cursor     string          `json:"__CURSOR"`
}

const (
	maxJournalLine  = 4 << 20 // of JSON text; longer records are left out and counted
	firstRetry      = time.Second
	lastRetry       = time.Minute
	cursorTries     = 3 // failed starts after which a cursor is given up
	maxIdentifier   = 127
	journalLocation = "journald"
)

// startJournals starts following the journals that are configured.
func (c *Collector) startJournals(ctx context.Context) {
	if len(c.journals) == 0 {
		return
	}
	path, err := exec.LookPath("journalctl")
	if err != nil {
		c.log.Warn("journald not available on this system: %v", err)
		return
	}
	for _, f := range c.journals {
		c.log.Code(1951, "INFO", "Analyzing journald log: '%s'.", f.Location)
		j := &journal{c: c, program: path, cfg: f}
		c.work.Go(func() { j.run(ctx) })
	}
}

// journal follows the system journal through journalctl.
type journal struct {
	c       *Collector
	program string
	cfg     config.Localfile
	got     bool   // a record was read since the last start
	lost    uint64 // records that were too long
}

// errDelivery marks that the sink failed, not the journal.
var errDelivery = errors.New("delivery failed")

// run follows until ctx ends or a delivery fails, and starts journalctl again when it ends.
func (j *journal) run(ctx context.Context) {
	unit := j.cfg.Location
	if j.c.store.cursor(unit) == "" {
		j.tail(ctx)
	}
	failed := 0
	for pause := firstRetry; ctx.Err() == nil; pause = min(2*pause, lastRetry) {
		j.got = false
		err := j.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errDelivery):
			j.c.fail(err)
			return
		case j.got:
			pause, failed = firstRetry, 0
		default:
			failed++
		}
		j.c.log.Every("journal "+unit, time.Minute).Error("Unable to open journal: %v", err)
		if failed == cursorTries && j.c.store.cursor(unit) != "" {
			j.c.log.Warn("the journal's position is not accepted any more; '%s' is followed from now on.", unit)
			j.c.store.setCursor(unit, "")
			j.tail(ctx)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// tail stores the position of the newest record, so that what comes from now on is not lost however soon we are stopped.
func (j *journal) tail(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(limited, j.program, "-n", "1", "-o", "json", "--no-pager", "-q").Output()
	if err != nil {
		return // an empty journal; it is followed from its end
	}
	var e journalEntry
	if json.Unmarshal(bytes.TrimSpace(out), &e) == nil && e.Cursor != "" {
		j.c.store.setCursor(j.cfg.Location, e.Cursor)
	}
}

// arguments of journalctl. No text of the configuration can become an option.
func (j *journal) arguments() []string {
	args := []string{"-f", "-q", "-a", "-o", "json", "--no-pager"}
	if cursor := j.c.store.cursor(j.cfg.Location); cursor != "" {
		args = append(args, "--no-tail", "--after-cursor="+cursor)
	} else {
		args = append(args, "-n", "0")
	}
	if !strings.HasPrefix(j.cfg.Location, "all") && !strings.HasPrefix(j.cfg.Location, "/") {
		args = append(args, "--identifier="+j.cfg.Location)
	}
	return args
}

// follow runs journalctl once. The position moves on after delivery.
func (j *journal) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.program, j.arguments()...)
	cmd.WaitDelay = time.Second
	var said bounded
	said.max = 512
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = j.read(ctx, out)
	cancel()
	werr := cmd.Wait()
	if err != nil {
		return err
	}
	return fmt.Errorf("journalctl ended: %w: %s", orEnd(werr), bytes.TrimSpace(said.buf.Bytes()))
}

func orEnd(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

func (j *journal) read(ctx context.Context, from io.Reader) error {
	in := bufio.NewReaderSize(from, 64<<10)
	var line []byte
	for {
		var err error
		var long bool
		if line, long, err = readLine(in, line[:0]); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if long {
			j.lost++
			j.c.log.Every("journal long", time.Hour).Warn("a journal record of more than %d bytes is left out (%d so far).", maxJournalLine, j.lost)
			continue
		}
		var e journalEntry
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if text := e.text(time.Local); text != "" {
			if err := j.c.sink.Send(ctx, event.Message{Kind: event.KindLog, Location: journalLocation, Text: text}); err != nil {
				return fmt.Errorf("%w: %w", errDelivery, err)
			}
		}
		j.got = true
		if e.Cursor != "" {
			j.c.store.setCursor(j.cfg.Location, e.Cursor)
		}
	}
}

// readLine reads a line into buf; long reports that it was too long, and was left out.
func readLine(in *bufio.Reader, buf []byte) (line []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if !long {
			buf = append(buf, part...)
		}
		long = long || len(buf) > maxJournalLine
		switch {
		case err == nil:
			return bytes.TrimSuffix(buf, []byte("\n")), long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, false, err
		}
	}
}

// text makes the event text: time with zone, host, identifier, message (spec logcollector.md, section 16). The line end that OSSEC adds is
// left out: the manager deletes it. A record without what is needed gives "".
func (e *journalEntry) text(zone *time.Location) string {
	host, id, msg := journalField(e.Host), journalField(e.Identifier), journalField(e.Message)
	usec, err := strconv.ParseInt(e.Stamp, 10, 64)
	if id == "" || host == "" || msg == "" || err != nil {
		return ""
	}
	if len(id) > maxIdentifier {
		id = id[:maxIdentifier]
	}
	s := time.UnixMicro(usec).In(zone).Format("2006-01-02T15:04:05-07:00 ") + host + " " + id + ": " + msg
	if len(s) > maxEvent {
		s = s[:maxEvent]
	}
	return strings.ReplaceAll(s, "\x00", " ")
}

// journalField reads a field of which the first value counts.
func journalField(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	if raw[0] == '"' {
		var s string
		json.Unmarshal(raw, &s) //nolint:errcheck // then it is empty
		return s
	}
	var b []int
	if json.Unmarshal(raw, &b) == nil {
		out := make([]byte, 0, len(b))
		for _, n := range b {
			out = append(out, byte(n))
		}
		return string(out)
	}
	var more []json.RawMessage
	if json.Unmarshal(raw, &more) == nil && len(more) > 0 && len(more[0]) > 0 && (more[0][0] == '"' || !bytes.Contains(more[0][1:], []byte("["))) {
		return journalField(more[0])
	}
	return ""
}
