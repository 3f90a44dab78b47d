// Package olog writes logs/ossec.log in OSSEC's line form, which operators and rules read:
//
//	2026/11/24 10:00:00 ossec-agentd: INFO: text
//	2026/11/24 10:00:00 ossec-remoted(1403): ERROR: text
//
// The file is opened for each line, as OSSEC does, so that it can be rotated by rename or truncated at any time
// (spec operations.md, section 6). A line that cannot be written to the file goes to the fallback.
package olog

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Logger owns one log file and an optional second writer (a terminal in the foreground).
type Logger struct {
	mu    sync.Mutex
	path  string
	also  io.Writer
	now   func() time.Time
	last  map[string]limit
	tap   func(line string)
	asked int                      // debug level of every program, from the command line; 0 = as levels say
	level map[string]int           // by program
	progs map[string]*atomic.Int32 // the level in force, shared by all Logs of a program
}

type limit struct {
	at      time.Time
	skipped int
}

// New makes a logger that appends to the file at path ("" = none) and to also (nil = none).
func New(path string, also io.Writer) *Logger {
	return &Logger{path: path, also: also, now: time.Now, last: map[string]limit{}, progs: map[string]*atomic.Int32{}}
}

// SetDebug sets the debug level of every program, as -d does; above 0 it counts instead of SetLevels.
func (l *Logger) SetDebug(level int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = level
	l.applyLevels()
}

// SetLevels sets the debug level of single programs, as internal options do; it can be called again at any time.
func (l *Logger) SetLevels(byProgram map[string]int) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.level = byProgram
	l.applyLevels()
}

// applyLevels brings changed levels into force. l.mu is held.
func (l *Logger) applyLevels() {
	for name, in := range l.progs {
		in.Store(l.levelOf(name))
	}
}

func (l *Logger) levelOf(prog string) int32 {
	if l.asked > 0 {
		return int32(l.asked)
	}
	return int32(l.level[prog])
}

// SetClock replaces the clock, for tests.
func (l *Logger) SetClock(now func() time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = now
}

// Tap gives every line (without the line end) to f as well; nil ends it.
func (l *Logger) Tap(f func(line string)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tap = f
}

// Prog gives the log of one program name.
func (l *Logger) Prog(name string) *Log {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	in := l.progs[name]
	if in == nil {
		in = new(atomic.Int32)
		in.Store(l.levelOf(name))
		l.progs[name] = in
	}
	return &Log{l: l, prog: name, level: in}
}

// Line writes a text that has its program name already.
func (l *Logger) Line(text string) {
	if l != nil {
		l.write(text)
	}
}

func (l *Logger) write(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.now().Format("2006/01/02 15:04:05 ") + clean(text)
	if l.tap != nil {
		l.tap(line)
	}
	line += "\n"
	if l.path != "" {
		if err := appendLine(l.path, line); err != nil && l.also == nil {
			fmt.Fprint(os.Stderr, line)
		}
	}
	if l.also != nil {
		io.WriteString(l.also, line) //nolint:errcheck // a closed terminal must not stop a daemon
	}
}

// clean keeps a value from forging a second line.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' {
			return ' '
		}
		return r
	}, s)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o660)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Log writes lines of one program. A nil Log discards.
type Log struct {
	l     *Logger
	prog  string
	level *atomic.Int32
	limit time.Duration
	key   string
}

// Every returns a Log that writes at most one line per key and interval; the next line that passes tells how many were left out.
func (g *Log) Every(key string, d time.Duration) *Log {
	if g == nil {
		return nil
	}
	return &Log{l: g.l, prog: g.prog, level: g.level, limit: d, key: key}
}

// Info writes "prog: INFO: text".
func (g *Log) Info(format string, args ...any) { g.line(0, "INFO", format, args) }

// Warn writes "prog: WARN: text".
func (g *Log) Warn(format string, args ...any) { g.line(0, "WARN", format, args) }

// Error writes "prog: ERROR: text".
func (g *Log) Error(format string, args ...any) { g.line(0, "ERROR", format, args) }

// Debug writes "prog: DEBUG: text" when the debug level is at least 1: steps that an operator follows.
func (g *Log) Debug(format string, args ...any) {
	if g.Debugging(1) {
		g.line(0, "DEBUG", format, args)
	}
}

// Debug2 writes "prog: DEBUG: text" when the debug level is at least 2: what happens with each message.
func (g *Log) Debug2(format string, args ...any) {
	if g.Debugging(2) {
		g.line(0, "DEBUG", format, args)
	}
}

// Debugging reports whether lines of a debug level are written. Ask it where making the arguments of such a line costs something.
func (g *Log) Debugging(level int) bool { return g != nil && g.level.Load() >= int32(level) }

// Code writes "prog(code): LEVEL: text".
func (g *Log) Code(code int, level, format string, args ...any) { g.line(code, level, format, args) }

// Text writes "prog: text" without a level, for the few messages that have none.
func (g *Log) Text(format string, args ...any) { g.line(0, "", format, args) }

func (g *Log) line(code int, level, format string, args []any) {
	if g == nil {
		return
	}
	var b strings.Builder
	b.WriteString(g.prog)
	if code != 0 {
		b.WriteString("(" + strconv.Itoa(code) + ")")
	}
	b.WriteString(": ")
	if level != "" {
		b.WriteString(level + ": ")
	}
	if len(args) == 0 {
		b.WriteString(format)
	} else {
		fmt.Fprintf(&b, format, args...)
	}
	if g.limit > 0 {
		skipped, ok := g.l.pass(g.prog+"\x00"+g.key, g.limit)
		if !ok {
			return
		}
		if skipped > 0 {
			fmt.Fprintf(&b, " (%d similar lines left out)", skipped)
		}
	}
	g.l.write(b.String())
}

// maxKeys bounds the memory that rate limiting takes, whatever strangers send.
const maxKeys = 4096

func (l *Logger) pass(key string, d time.Duration) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	st, seen := l.last[key]
	if seen && now.Sub(st.at) < d {
		st.skipped++
		l.last[key] = st
		return 0, false
	}
	if !seen && len(l.last) >= maxKeys {
		clear(l.last)
	}
	l.last[key] = limit{at: now}
	return st.skipped, true
}
