package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
	Daemons Daemon // programs of OSSEC that read this part of the file; 0 = all
	Root    bool   // it is a root element of agent.conf that does not belong there: nothing of the file is used
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

// LogText is the problem as a program of OSSEC logs it, without time: "ossec-remoted(1235): ERROR: ...".
func (p Problem) LogText(program string) string {
	if p.Code == 0 {
		return program + ": " + p.Text
	}
	return fmt.Sprintf("%s(%d): %s", program, p.Code, p.Text)
}

// LogLine is the problem as one program that plays all parts logs it at its start: OSSEC's line, and where it is.
func (p Problem) LogLine() string {
	line := p.LogText(p.Program())
	switch {
	case p.Pos.File != "" && p.Pos.Line > 0:
		line += fmt.Sprintf(" (line %d of %s)", p.Pos.Line, p.Pos.File)
	case p.Pos.File != "":
		line += " (" + p.Pos.File + ")"
	}
	if p.Hint != "" {
		line += " " + p.Hint
	}
	return line
}

// Program is the OSSEC program that would report the problem: the one that reads the part of the file.
func (p Problem) Program() string {
	for i, n := range daemonNames {
		if p.Daemons&(1<<i) != 0 {
			return n
		}
	}
	return daemonNames[0]
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

// For returns the problems of the parts that at least one of the given programs reads. An agent, for example, does not care for an
// active response that only the manager would refuse: ps.For(AgentPrograms).
func (ps Problems) For(d Daemon) Problems {
	var out Problems
	for _, p := range ps {
		if p.Daemons == 0 || p.Daemons&d != 0 {
			out = append(out, p)
		}
	}
	return out
}

// Errors returns the problems that prevent the start.
func (ps Problems) Errors() Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return p.Warning })
}

// Warnings returns the problems that do not prevent the start.
func (ps Problems) Warnings() Problems {
	return slices.DeleteFunc(slices.Clone(ps), func(p Problem) bool { return !p.Warning })
}

// Print writes the problems for a person, one a line, and returns how many of them prevent the start.
func (ps Problems) Print(w io.Writer) (errors int) {
	for _, p := range ps {
		fmt.Fprintln(w, p.Error())
		if !p.Warning {
			errors++
		}
	}
	return errors
}

// ErrorAt is the text of message 1202, with which OSSEC's programs close a list of problems of a file.
func ErrorAt(file string) string {
	return "ERROR: Configuration error at '" + file + "'. Exiting."
}

// LogTexts gives the lines that the named OSSEC program would log for its own part of the problems, without time; when one of them prevents
// the start, the closing line of that program follows (1202, for ossec-agentd also 1215, for ossec-agentlessd 7101, for ossec-execd none after 1226). file is the path that line
// names.
func (ps Problems) LogTexts(program, file string) []string {
	d, _ := ParseDaemon(program)
	mine := ps.For(d)
	var out []string
	for _, p := range mine {
		if line := p.LogText(program); len(out) == 0 || out[len(out)-1] != line {
			out = append(out, line)
		}
	}
	if mine.Err() == nil {
		return out
	}
	closing := Problem{Code: 1202, Text: ErrorAt(file)}
	switch d {
	case Agentd:
		if mine[len(mine)-1].Code == 4109 { // of the keys, not of the configuration; it says itself that it is the end
			return out
		}
		last := Problem{Code: 1215, Text: "ERROR: No client configured. Exiting."}.LogText(program)
		out = slices.DeleteFunc(out, func(line string) bool { return line == last })
		if mine.Errors()[0].Code != 4105 { // without <client> there is nothing wrong in the file
			out = append(out, closing.LogText(program))
		}
		return append(out, last)
	case Agentlessd:
		closing = Problem{Code: 7101, Text: "ERROR: Invalid agentless configuration."}
	case Execd:
		if mine.Errors()[0].Code == 1226 {
			return out
		}
	}
	return append(out, closing.LogText(program))
}

// LogAll gives a line for each problem in the form of OSSEC's log, without time, each under the name of the program that reads the part: what a
// single process that does the work of several programs writes to logs/ossec.log.
func (ps Problems) LogAll() []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.LogText(p.Program()))
	}
	return out
}

// shown is how a file is called in positions: relative to the root when it is below it.
func shown(root, file string) string {
	if root == "" {
		return file
	}
	prefix := strings.TrimSuffix(root, string(os.PathSeparator)) + string(os.PathSeparator)
	return strings.TrimPrefix(file, prefix)
}
