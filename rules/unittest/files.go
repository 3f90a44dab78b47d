package unittest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vedette-hids/vedette/rules"
)

// maxFile bounds a file of tests, in bytes.
const maxFile = 32 << 20

// Read reads test files. Of a directory it reads all files below that are named *.ini, *.yaml or *.yml, in the order of their names. No test at
// all is an error.
func Read(paths []string) ([]Case, error) {
	var out []Case
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			parse := parserOf(name)
			if parse == nil {
				if name == path {
					return fmt.Errorf("%s: a file of tests is named *.ini, *.yaml or *.yml", name)
				}
				return nil
			}
			cases, err := readFile(name, parse)
			out = append(out, cases...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no tests in " + strings.Join(paths, ", "))
	}
	return out, nil
}

func parserOf(name string) func(string, []byte) ([]Case, error) {
	switch filepath.Ext(name) {
	case ".ini":
		return ParseINI
	case ".yaml", ".yml":
		return ParseYAML
	}
	return nil
}

func readFile(name string, parse func(string, []byte) ([]Case, error)) ([]Case, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, fmt.Errorf("%s: more than %d MiB", name, maxFile>>20)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parse(name, data)
}

// Summary is a report for programs.
type Summary struct {
	Cases    int       `json:"tests"`
	Steps    int       `json:"lines"`
	Failures []Failed  `json:"failures"`
	Rules    int       `json:"rules"`
	Covered  int       `json:"rules_covered"`
	Missing  []Missing `json:"not_covered,omitempty"`
}

// Failed is one expectation that did not hold.
type Failed struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Test string `json:"test"`
	Step int    `json:"step"` // from 1
	Text string `json:"text"`
}

// Missing is a rule that no step exercised.
type Missing struct {
	ID   int    `json:"id"`
	File string `json:"file"`
	Line int    `json:"line"`
}

// Summary gives the report as a value; with coverage it lists the rules that no step exercised.
func (r *Report) Summary(rs *rules.Ruleset, coverage bool) Summary {
	uncovered := r.Uncovered(rs)
	s := Summary{Cases: r.Cases, Steps: r.Steps, Failures: []Failed{}, Rules: len(rs.Rules()), Covered: len(rs.Rules()) - len(uncovered)}
	for _, f := range r.Failures {
		s.Failures = append(s.Failures, Failed{f.Case.File, f.Case.Line, f.Case.Name, f.Step + 1, f.Text})
	}
	if coverage {
		for _, u := range uncovered {
			s.Missing = append(s.Missing, Missing{u.ID, u.Pos.File, u.Pos.Line})
		}
	}
	return s
}
