package report

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/pattern"
)

// field is what filters, sections and relations can look at.
type field int

const (
	bySrcIP field = iota
	byUser
	byLevel
	byGroup
	byLocation
	byRule
	byFile
	numFields
)

// fields in the order in which their sections are printed; titles differ for the related entries of file names.
var fields = [numFields]struct{ name, title, related string }{
	bySrcIP:    {"srcip", "Source ip", "Source ip"},
	byUser:     {"user", "Username", "Username"},
	byLevel:    {"level", "Level", "Level"},
	byGroup:    {"group", "Group", "Group"},
	byLocation: {"location", "Location", "Location"},
	byRule:     {"rule", "Rule", "Rule"},
	byFile:     {"filename", "Filenames", "Filename"},
}

// relationOrder is the order in which several relations of one field are printed.
var relationOrder = [...]field{byLocation, bySrcIP, byUser, byRule, byGroup, byLevel, byFile}

func fieldOf(name string) (field, bool) {
	for f := range numFields {
		if fields[f].name == name {
			return f, true
		}
	}
	return 0, false
}

// ErrField is wrapped by the errors of fields that do not exist.
var ErrField = errors.New("unknown report field")

// Options of a Summary.
type Options struct {
	Title    string
	ShowLogs bool
	MaxDump  int // bytes of the log dump; 0 = 64 MiB

	tests     []func(e *alert.Entry) bool
	named     map[field]int // index in tests by field: a later filter replaces an earlier one of the same field
	relations [numFields][]field
}

// Filter adds a condition: only alerts that meet all of them count. Fields and values are those of ossec-reportd -f.
func (o *Options) Filter(name, value string) error {
	f, ok := fieldOf(name)
	if !ok {
		return fmt.Errorf("%w: invalid filter '%s'", ErrField, name)
	}
	test, err := filter(f, value)
	if err != nil {
		return fmt.Errorf("filter %s '%s': %w", name, value, err)
	}
	if i, ok := o.named[f]; ok {
		o.tests[i] = test
		return nil
	}
	if o.named == nil {
		o.named = map[field]int{}
	}
	o.named[f] = len(o.tests)
	o.tests = append(o.tests, test)
	return nil
}

func filter(f field, value string) (func(e *alert.Entry) bool, error) {
	switch f {
	case byLevel:
		least := leading(value)
		return func(e *alert.Entry) bool { return e.Level >= least }, nil
	case byRule:
		ids := numbers(value)
		return func(e *alert.Entry) bool { return slices.Contains(ids, e.Rule) }, nil
	case byLocation:
		m, err := pattern.CompileMatch(value)
		if err != nil {
			return nil, err
		}
		return func(e *alert.Entry) bool { return m.MatchString(e.Location) }, nil
	case byGroup:
		return func(e *alert.Entry) bool { return strings.Contains(e.Groups, value) }, nil
	case bySrcIP:
		return func(e *alert.Entry) bool { return e.SrcIP != "" && strings.Contains(e.SrcIP, value) }, nil
	case byUser:
		return func(e *alert.Entry) bool { return e.User != "" && strings.Contains(e.User, value) }, nil
	}
	return func(e *alert.Entry) bool { return e.File != "" && strings.Contains(e.File, value) }, nil
}

// numbers reads "100, 200 300x": the digits that each part begins with.
func numbers(value string) []int {
	var ids []int
	for _, part := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }) {
		if part[0] >= '0' && part[0] <= '9' {
			ids = append(ids, leading(part))
		}
	}
	return ids
}

func leading(s string) int {
	n := 0
	for n < len(s) && n < 18 && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	i, _ := strconv.Atoi(s[:n])
	return i
}

// Relate adds a section that lists, for every value of one field, the different values of another.
func (o *Options) Relate(name, to string) error {
	f, ok := fieldOf(name)
	if !ok {
		return fmt.Errorf("%w: invalid related entry '%s'", ErrField, name)
	}
	t, ok := fieldOf(to)
	if !ok {
		return fmt.Errorf("%w: invalid relation '%s'", ErrField, to)
	}
	if !slices.Contains(o.relations[f], t) {
		o.relations[f] = append(o.relations[f], t)
	}
	return nil
}

// FromConfig gives the options of a <reports> section. Filters that are not possible come back as problems and are left out.
func FromConfig(r config.Report) (Options, []error) {
	o := Options{Title: r.Title, ShowLogs: r.ShowLogs, MaxDump: maxMailDump}
	var problems []error
	for _, f := range r.Filters {
		add := o.Filter
		if f.Relation {
			add = o.Relate
		}
		if err := add(f.Field, f.Value); err != nil {
			problems = append(problems, err)
		}
	}
	return o, problems
}

// maxMailDump is how many bytes of logs a mailed report has at most: mail servers refuse more.
const maxMailDump = 8 << 20
