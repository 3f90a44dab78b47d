package getopt

import (
	"fmt"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-h"}, "[{h }] [] <nil>"},
		{[]string{"-lj", "x", "-i7", "-i", "8"}, "[{l } {j } {i 7} {i 8}] [x] <nil>"},
		{[]string{"-ji", "-1"}, "[{j } {i -1}] [] <nil>"},
		{[]string{"-j", "--", "-i", "a"}, "[{j }] [-i a] <nil>"},
		{[]string{"-j", "-Z", "-l"}, "[{j }] [] invalid option -- 'Z'"},
		{[]string{"-:"}, "[] [] invalid option -- ':'"},
		{[]string{"-i"}, "[] [] option requires an argument -- 'i'"},
		{[]string{"-", ""}, "[] [- ] <nil>"},
	} {
		opts, rest, err := Parse(c.args, "hlji:")
		if got := show(opts) + fmt.Sprint(rest) + " " + fmt.Sprint(err); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}

func show(opts []Option) string {
	s := "["
	for i, o := range opts {
		if i > 0 {
			s += " "
		}
		s += fmt.Sprintf("{%c %s}", o.Flag, o.Value)
	}
	return s + "] "
}
