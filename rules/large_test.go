package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
)

// largeRules writes n rules of one shape behind a root.
func largeRules(n int, rule func(i int) string) File {
	var b strings.Builder
	b.WriteString(`<group name="big,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>` + "\n")
	for i := range n {
		b.WriteString(rule(i) + "\n")
	}
	b.WriteString("</group>")
	return File{Name: "rules/big.xml", Data: []byte(b.String())}
}

// TestLargeRulesFilesTakeLinearSteps links many rules in shapes that invite a search of all others for each: the positions looked at are in
// proportion to the rules.
func TestLargeRulesFilesTakeLinearSteps(t *testing.T) {
	const n = 20000
	for name, rule := range map[string]func(i int) string{
		"flat": func(i int) string {
			return fmt.Sprintf(`<rule id="%d" level="3"><match>word%d here</match></rule>`, 100+i, i)
		},
		"levels": func(i int) string {
			return fmt.Sprintf(`<rule id="%d" level="%d"><match>word%d here</match></rule>`, 100+i, i%16, i)
		},
		"chain": func(i int) string {
			parent := 1
			if i >= 50 {
				parent = 100 + i/50
			}
			return fmt.Sprintf(`<rule id="%d" level="3"><if_sid>%d</if_sid><match>w%d</match></rule>`, 100+i, parent, i)
		},
		"programs": func(i int) string {
			return fmt.Sprintf(`<rule id="%d" level="3"><program_name>^prog%d$</program_name></rule>`, 100+i, i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(DefaultOptions())
			rs, probs := l.load(Sources{Decoders: vectorDecoders(t), Rules: []File{largeRules(n, rule)}})
			if probs.Err() != nil {
				t.Fatal(probs.Err())
			}
			if l.steps > 4*n {
				t.Errorf("%d positions were looked at for %d rules", l.steps, n)
			}
			e := &engine{rs: rs, state: NewState(rs, Stores{})}
			if out, _ := e.line("Nov 23 10:00:00 h prog7: word77 here", time.Unix(1700000000, 0)); out.Rule == nil && name != "chain" {
				t.Error("no rule matches")
			}
		})
	}
}

// TestRulesThatTakeTooManyStepsAreRefused gives up on relations that would take the square of the number of rules.
func TestRulesThatTakeTooManyStepsAreRefused(t *testing.T) {
	l := newLoader(DefaultOptions())
	l.steps = maxSteps - 100000
	rs, probs := l.load(Sources{Decoders: vectorDecoders(t), Rules: []File{largeRules(2000, func(i int) string {
		return fmt.Sprintf(`<rule id="%d" level="3"><if_group>big</if_group><group>x%d,</group><match>w</match></rule>`, 100+i, i)
	})}})
	if rs != nil || probs.Err() == nil || !strings.Contains(probs.Err().Error(), "The rule") {
		t.Errorf("%v", probs.Err())
	}
}

// TestSourcesAreFiles refuses what would be read without end, and files beyond all measure.
func TestSourcesAreFiles(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "rules/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "rules/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "rules/large"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, "rules/large"), maxSource+1); err != nil {
		t.Fatal(err)
	}
	src, probs := ReadSources(root, config.Rules{Decoders: []string{"/dev/zero"}, Rules: []string{"rules/dir", "rules/fifo", "rules/large", "/dev/zero"}})
	if len(probs) != 1 || len(src.Rules) != 4 {
		t.Fatalf("%v, %d rules files", probs, len(src.Rules))
	}
	for _, f := range src.Rules {
		if f.Err == nil || f.Data != nil {
			t.Errorf("%s was read", f.Name)
		}
	}
	_, probs = Load(src, DefaultOptions())
	if text := fmt.Sprint(probs.Err()); !strings.Contains(text, "not a regular file") || !strings.Contains(text, "too large") {
		t.Errorf("the reasons are not named:\n%s", text)
	}
}

// TestMillionProgramNames keeps the caches of a worker within their bounds.
func TestMillionProgramNames(t *testing.T) {
	rs := loadText(t, `<group name="g,"><rule id="1" level="0" noalert="1"><category>syslog</category></rule>
<rule id="100" level="3"><program_name>^a|x$</program_name></rule><rule id="101" level="3"><program_name_pcre2>9\d*1$</program_name_pcre2></rule></group>`)
	e := &engine{rs: rs, state: NewState(rs, Stores{})}
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	for i := range n {
		e.line(fmt.Sprintf("Nov 23 10:00:00 h p%d: x", i), time.Unix(1700000000, 0))
		if len(e.sc.programs) > maxPrograms || len(e.sc.classes) > maxClasses || len(e.sc.sigs) > maxClasses {
			t.Fatalf("after %d names: %d names, %d classes, %d signatures are kept", i, len(e.sc.programs), len(e.sc.classes), len(e.sc.sigs))
		}
	}
}
