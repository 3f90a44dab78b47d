package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/vedette-hids/vedette/internal/table"
)

// terminal reports whether a stream of the call is a terminal.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours reports whether the output may be coloured.
func (c *call) colours() bool { return terminal(c.stdout) && os.Getenv("NO_COLOR") == "" }

// print shows a table.
func (c *call) print(t *table.Table) error { return t.Write(c.stdout, c.colours()) }

// printJSON shows a value for programs.
func (c *call) printJSON(v any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// confirm asks before something is done that cannot be undone by asking again. Without a terminal there is nobody to ask.
func (c *call) confirm(question string) error {
	if !terminal(c.stdin) {
		return errors.New("nobody to ask: add --yes to go ahead")
	}
	fmt.Fprintf(c.stdout, "%s [y/N] ", question)
	var answer string
	fmt.Fscanln(c.stdin, &answer) //nolint:errcheck // no answer means no
	if !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return errors.New("nothing done")
	}
	return nil
}

// ago says how long something is past, in the largest unit that fits.
func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return span(now.Sub(*t)) + " ago"
}

// span is a duration for people: "45s", "12m", "3h", "9d".
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(max(d, 0)/time.Second)) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}

// parseAge reads "30d", "2w" and what Go calls a duration.
func parseAge(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(s, suffix); ok {
			if v, err := strconv.ParseUint(n, 10, 16); err == nil {
				return time.Duration(v) * unit, nil
			}
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not an age such as 30d, 12h or 90m", s)
	}
	return d, nil
}

// clock is a time for people, in local time.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// facts prints names and values below each other.
func (c *call) facts(w io.Writer, pairs ...string) {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%-*s  %s\n", width+1, pairs[i]+":", table.Printable(pairs[i+1]))
		}
	}
}
