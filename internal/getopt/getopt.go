// Package getopt reads arguments as the C library's getopt does for OSSEC's tools: single letters, joined or apart, values in the same
// or the next argument.
package getopt

import (
	"fmt"
	"strings"
)

// Option is one flag with its value.
type Option struct {
	Flag  byte
	Value string
}

// Error is a flag that is not known, or has no value. Its text follows the program's name on standard error.
type Error struct {
	Flag    byte
	NoValue bool
}

func (e *Error) Error() string {
	if e.NoValue {
		return fmt.Sprintf("option requires an argument -- '%c'", e.Flag)
	}
	return fmt.Sprintf("invalid option -- '%c'", e.Flag)
}

// Parse takes the flags of spec ("hVi:": letters, a colon behind those with a value) out of args, in order, and returns them with the
// arguments that are no flags. On an *Error the options before the bad one are returned.
func Parse(args []string, spec string) (opts []Option, rest []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return opts, append(rest, args[i+1:]...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		for j := 1; j < len(arg); j++ {
			flag := arg[j]
			at := strings.IndexByte(spec, flag)
			if at < 0 || flag == ':' {
				return opts, rest, &Error{Flag: flag}
			}
			if at+1 >= len(spec) || spec[at+1] != ':' {
				opts = append(opts, Option{Flag: flag})
				continue
			}
			value := arg[j+1:]
			if value == "" {
				if i++; i >= len(args) {
					return opts, rest, &Error{Flag: flag, NoValue: true}
				}
				value = args[i]
			}
			opts = append(opts, Option{flag, value})
			break
		}
	}
	return opts, rest, nil
}
