package rules

import (
	"strings"
	"testing"
	"time"
)

// TestHostileBytesDoNotHideALine puts what a stranger may write into a line in front of, into and behind what rules look for.
func TestHostileBytesDoNotHideALine(t *testing.T) {
	rs := loadText(t, `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><if_sid>1</if_sid><match>access denied</match></rule>
<rule id="101" level="3"><if_sid>1</if_sid><regex>user \w+ was thrown out</regex></rule>
<rule id="102" level="3"><if_sid>1</if_sid><pcre2>code=\d{3}\b</pcre2></rule></group>`)
	texts := map[int]string{100: "Access DENIED", 101: "user bob was thrown out", 102: "code=404"}
	const head = "Nov 23 10:00:00 host prog[1]: "
	for name, junk := range map[string]string{
		"nothing":          "",
		"not UTF-8":        "\xff\xfe\xc3\x28\xa0\xa1",
		"half a character": "\xe2\x82",
		"NUL":              "\x00",
		"control bytes":    "\x01\x1b[2J\x7f",
		"wide blanks":      "\u00a0\u2028",
		"64 KiB":           strings.Repeat("a", 64<<10),
		"64 KiB not UTF-8": strings.Repeat("\xc3", 64<<10),
		"64 KiB of starts": strings.Repeat("access denie user x was thrown code=40 ", 64<<10/40),
	} {
		for id, text := range texts {
			for where, line := range map[string]string{
				"before": head + junk + " " + text,
				"behind": head + text + " " + junk,
				"around": head + junk + " " + text + " " + junk,
			} {
				e := &engine{rs: rs, state: NewState(rs, Stores{})}
				if out, _ := e.line(line, time.Unix(1700000000, 0)); out.Rule == nil || out.Rule.ID != id {
					t.Errorf("%s %s %q: %v", name, where, text, out.Rule)
				}
			}
		}
	}
}

// TestEmptyLines have no rule and do no harm.
func TestEmptyLines(t *testing.T) {
	rs := loadText(t, `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><if_sid>1</if_sid><match>x</match></rule></group>`)
	e := &engine{rs: rs, state: NewState(rs, Stores{})}
	for _, line := range []string{"", " ", "\n", "\x00", "\x00\x00\n", "Nov 23 10:00:00 ", "Nov 23 10:00:00 host prog[1]:", "Nov 23 10:00:00 host prog[1]: "} {
		if out, _ := e.line(line, time.Unix(1700000000, 0)); out.Rule != nil {
			t.Errorf("%q: rule %d", line, out.Rule.ID)
		}
	}
}
