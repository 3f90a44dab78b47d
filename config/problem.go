package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Problem is one error or warning of a file: what stands where, and what was expected.
type Problem struct {
	Pos     Position
	Code    int    // OSSEC's message number, 0 = none
	Text    string // message without program name, as spec configuration.md section 6: "ERROR: Invalid element in the configuration: 'x'."
	Hint    string // what to do, "" = nothing to add
	Warning bool   // does not prevent the start
}

// Error gives "file:line: (code): text hint".
func (p Problem) Error() string {
	var b strings.Builder
	if p.Pos.File != "" {
		fmt.Fprintf(&b, "%s:", p.Pos.File)
		if p.Pos.Line > 0 {
			fmt.Fprintf(&b, "%d:", p.Pos.Line)
		}
		b.WriteByte(' ')
	}
	if p.Code != 0 {
		fmt.Fprintf(&b, "(%d): ", p.Code)
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString(" " + p.Hint)
	}
	return b.String()
}

// Problems is every problem found in one load.
type Problems []Problem

// Err returns nil when no problem prevents the start, else an error that lists all of them, a line each.
func (ps Problems) Err() error {
	var errs []error
	for _, p := range ps {
		if !p.Warning {
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}
