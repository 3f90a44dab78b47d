package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documentation is docs/configuration.md.
func documentation(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDocumentationHasEveryInternalOption(t *testing.T) {
	doc := documentation(t)
	for _, s := range OptionSpecs() {
		if row := fmt.Sprintf("| %s | %d | %d–%d | %s |", s.Key, s.Default, s.Min, s.Max, s.Meaning); !strings.Contains(doc, row) {
			t.Errorf("missing or out of date: %s", row)
		}
	}
}

func TestDocumentationNamesEveryElement(t *testing.T) {
	doc := documentation(t)
	quoted := regexp.MustCompile(`"([a-z][a-z0-9_-]+)"`)
	for _, file := range []string{"global", "rulefiles", "syscheck", "rootcheck", "localfile", "response", "network", "outputs", "auth"} {
		src, err := os.ReadFile(file + ".go")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(src)) {
			if !strings.HasPrefix(strings.TrimSpace(line), "case ") && !strings.Contains(line, "e.Name == ") && !strings.Contains(line, "EqualFold(e.Name") {
				continue
			}
			for _, m := range quoted.FindAllStringSubmatch(line, -1) {
				name := m[1]
				if strings.HasPrefix(name, "prelude_") || strings.HasPrefix(name, "zeromq_") || name == "use_geoip" {
					continue // "everything that begins with"; no effect
				}
				if !strings.Contains(doc, name) {
					t.Errorf("%s.go knows %q, the page does not", file, name)
				}
			}
		}
	}
}

func TestExamplesOfTheDocumentationAreValid(t *testing.T) {
	count := 0
	for _, m := range regexp.MustCompile("(?s)```(xml|agent.conf)\n(.*?)```").FindAllStringSubmatch(documentation(t), -1) {
		count++
		if m[1] == "xml" {
			if _, ps := Parse("", "docs/configuration.md", []byte(m[2])); len(ps) != 0 {
				t.Errorf("%s%v", m[2], ps)
			}
			continue
		}
		who := AgentIdentity{Name: "x", Profile: "web", OS: "Linux"}
		cfg := newConfig("")
		if ps := parseAgentConf("", "agent.conf", []byte(m[2]), who, cfg, nil); len(ps) != 0 || len(cfg.Localfiles) != 1 {
			t.Errorf("%s%v", m[2], ps)
		}
	}
	if count < 6 {
		t.Errorf("only %d examples", count)
	}
}
