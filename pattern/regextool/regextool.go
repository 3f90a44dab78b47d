// Package regextool is the tool ossec-regex: it shows which lines a pattern matches as OS_Regex and as OS_Match (spec patterns.md,
// section 10).
package regextool

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/vedette-hids/vedette/pattern"
)

// exitPattern is the exit code for a pattern that does not compile.
const exitPattern = 255

// maxLine is how many bytes of a line are read at a time.
const maxLine = 6143

// Run is the tool: args without the program's name, the result is the exit code.
func Run(args []string, stdin io.Reader, stdout io.Writer) int {
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	if len(args) != 1 || args[0] == "-h" {
		fmt.Fprint(out, "\nOSSEC HIDS ossec-regex: ossec-regex pattern\n")
		if len(args) == 1 {
			return 0
		}
		return 1
	}
	re, err := pattern.CompileRegex(args[0])
	if err != nil {
		fmt.Fprintln(out, "pattern does not compile with OSRegex_Compile")
		return exitPattern
	}
	m, err := pattern.CompileMatch(args[0])
	if err != nil {
		fmt.Fprintln(out, "pattern does not compile with OSMatch_Compile")
		return exitPattern
	}
	in := bufio.NewReaderSize(stdin, maxLine)
	for {
		b, err := in.ReadSlice('\n')
		if len(b) == 0 && err != nil {
			return 0 // the end, or nothing more can be read
		}
		line, _, _ := bytes.Cut(bytes.TrimSuffix(b, []byte("\n")), []byte{0})
		if len(line) > 1 {
			show(out, re, m, string(line))
		}
		if in.Buffered() == 0 {
			if out.Flush() != nil {
				return 1
			}
		}
	}
}

// show prints a line for each engine that matches; OSSEC has two ways to each of the two.
func show(w io.Writer, re *pattern.Regex, m *pattern.Match, line string) {
	if re.MatchString(line) {
		fmt.Fprintf(w, "+OSRegex_Execute: %s\n+OS_Regex       : %s\n", line, line)
	}
	if m.MatchString(line) {
		fmt.Fprintf(w, "+OSMatch_Compile: %s\n+OS_Match2      : %s\n", line, line)
	}
}
