package rootcheck

import (
	"context"
	"slices"
	"strings"
)

// maxItems is the number of files and processes that one entry names.
const maxItems = 255

// checkPolicies evaluates the policies in the order of the configuration (spec section 5).
func (s *Scanner) checkPolicies(ctx context.Context) error {
	for _, name := range s.cfg.SystemAudit {
		text, err := readDatabase(s.file(name))
		if err != nil {
			s.log.Text("No unixaudit file: '%s'", name)
			continue
		}
		p, problems := parsePolicy(text)
		for _, b := range problems {
			s.log.Code(b.code, "ERROR", "%s File: %s, line %d.", b.text, name, b.line)
		}
		if err := s.evaluate(ctx, name, p); err != nil {
			return err
		}
	}
	return nil
}

// evaluation is what is found for one entry.
type evaluation struct {
	*Scanner
	ctx      context.Context
	file     string
	vars     map[string]string
	listings *listings
	items    []string // " File: P." and " Process: N."
}

func (s *Scanner) evaluate(ctx context.Context, file string, p *policy) error {
	dirs := &listings{known: make(map[string][]listedEntry)}
	for _, e := range p.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		ev := &evaluation{Scanner: s, ctx: ctx, file: file, vars: p.vars, listings: dirs}
		found := !e.broken && ev.entry(e)
		if !found {
			if e.required {
				return nil
			}
			continue
		}
		if err := ev.send(e); err != nil {
			return err
		}
	}
	return nil
}

// entry tells whether the tests of an entry are true as its condition wants.
func (ev *evaluation) entry(e *policyEntry) bool {
	found, tested := false, false
	for i := range e.tests {
		t := &e.tests[i]
		yes, known := ev.test(t)
		if !known {
			continue
		}
		yes = yes != t.not
		if e.all && !yes {
			return false
		}
		tested = true
		found = found || yes
	}
	return tested && found
}

// send sends the finding of an entry: one message, or, when the last test was for files of a directory, one for each item.
func (ev *evaluation) send(e *policyEntry) error {
	items := ev.items
	switch {
	case len(items) == 0:
		items = []string{""}
	case e.tests[len(e.tests)-1].kind != 'd':
		items = items[:1]
	}
	ref := ""
	if e.ref != "" {
		ref = " Reference: " + e.ref + " ."
	}
	for _, item := range items {
		if err := ev.report(ev.ctx, "System Audit: %s.%s%s", e.name, item, ref); err != nil {
			return err
		}
	}
	return nil
}

// test evaluates one line before its negation. known is false when it names an unknown variable.
func (ev *evaluation) test(t *policyTest) (yes, known bool) {
	if t.kind == 'p' {
		return ev.process(t), true
	}
	if t.kind == 'r' {
		return false, true // no registry here
	}
	paths := t.paths
	if strings.HasPrefix(paths, "$") {
		value, ok := ev.vars[paths]
		if !ok {
			ev.log.Code(codeBadVar, "ERROR", "Invalid rk variable: '%s'. File: %s, line %d.", paths, ev.file, t.line)
			return false, false
		}
		paths = value
	}
	for path := range strings.SplitSeq(paths, ",") {
		if t.kind == 'f' {
			yes = ev.path(path, t) || yes
		} else {
			yes = ev.directory(path, t) || yes
		}
	}
	return yes, true
}

// path tests one file.
func (ev *evaluation) path(path string, t *policyTest) bool {
	var yes bool
	switch {
	case t.pattern != nil:
		yes = t.pattern.matchesFile(ev.ctx, path)
	case strings.Contains(path, "/"):
		yes = exists(path)
	}
	if yes && !t.not {
		ev.add(" File: " + path + ".")
	}
	return yes
}

func (ev *evaluation) add(item string) {
	if len(ev.items) < maxItems && !slices.Contains(ev.items, item) {
		ev.items = append(ev.items, item)
	}
}

// directory tests the files of a tree.
func (ev *evaluation) directory(dir string, t *policyTest) bool {
	if ev.ctx.Err() != nil || ev.cfg.SkipNFS && kindOfFS(dir).network {
		return false
	}
	yes := false
	for _, e := range ev.listings.read(dir) {
		path := below(dir, e.name)
		if t.name.matches(e.name) {
			yes = ev.path(path, t) || yes
		}
		if e.dir {
			yes = ev.directory(path, t) || yes
		}
	}
	return yes
}

// listings remembers directories while a policy is evaluated: its entries often walk the same trees.
type listings struct {
	known map[string][]listedEntry
	size  int
}

type listedEntry struct {
	name string
	dir  bool
}

// maxListed bounds the entries that are remembered.
const maxListed = 200_000

func (l *listings) read(dir string) []listedEntry {
	if list, ok := l.known[dir]; ok {
		return list
	}
	entries, err := readDir(dir)
	if err != nil {
		return nil
	}
	list := make([]listedEntry, len(entries))
	for i, e := range entries {
		list[i] = listedEntry{e.Name(), e.IsDir()}
	}
	if l.size += len(list) + 1; l.size <= maxListed {
		l.known[dir] = list
	}
	return list
}

// process tests the running processes: the command name, and the path of the program.
func (ev *evaluation) process(t *policyTest) bool {
	for _, pid := range listProcesses(ev.o.proc) {
		name, exe := processNames(ev.o.proc, pid)
		if name != "" && t.pattern.matches(name) || exe != "" && t.pattern.matches(exe) {
			if !t.not {
				ev.add(" Process: " + name + ".")
			}
			return true
		}
	}
	return false
}
