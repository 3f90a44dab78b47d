package decode

import (
	"errors"
	"fmt"

	"github.com/vedette-hids/vedette/pattern"
)

// check makes the checks that need the whole decoder, compiles its patterns and makes its node; false if there is an error (spec section 5,
// second part of the table).
func (l *loader) check(def *definition) bool {
	if !l.checkShape(def) {
		return false
	}
	n := &node{
		name: def.name, comment: def.comment, typ: def.typ, fts: def.fts, accumul: def.accumulate,
		preAt: def.preAt, regexAt: def.regexAt, order: def.order, plugin: def.plugin,
	}
	if !def.hasParent() && n.regexAt == afterPrematch {
		n.regexAt = afterParent // a decoder without parent plays both roles (spec section 6, step 3)
	}
	ok := l.compile(def, n)
	if def.plugin != nil && (def.hasRegex() || len(def.order) > 0) {
		l.add(def.pos, 2111, fmt.Sprintf("ERROR: Additional data to plugin decoder: '%s'.", def.name))
		ok = false
	}
	def.node = n
	return ok
}

// checkShape checks which elements and offsets stand together.
func (l *loader) checkShape(def *definition) bool {
	badOffset := func(value string) bool {
		l.add(def.pos, 2120, fmt.Sprintf("ERROR: Invalid offset value: '%s'", value))
		l.configError(def, def.pos)
		return false
	}
	switch {
	case !def.hasPrematch() && !def.hasParent() && !def.hasProgram():
		l.add(def.pos, 2108, fmt.Sprintf("ERROR: No 'prematch' found in decoder: '%s'.", def.name))
		l.configError(def, def.pos)
		return false
	case !def.hasRegex() && (len(def.order) > 0 || def.fts != 0), def.hasRegex() && len(def.order) == 0:
		l.configError(def, def.pos)
		return false
	case def.regexAt == afterParent && !def.hasParent():
		return badOffset("after_parent")
	case def.regexAt == afterPrematch && def.hasParent() && !def.hasPrematch():
		return badOffset("after_prematch")
	case def.regexAt == afterRegex && !def.hasParent():
		return badOffset("after_regex")
	case def.preAt == afterParent && !def.hasParent():
		return badOffset("after_parent")
	case def.preAt != fromStart && def.preAt != afterParent:
		l.configError(def, def.pos)
		return false
	}
	return true
}

// compile compiles the patterns of a decoder into its node. Of each pair the plain form wins; the other is never compiled.
func (l *loader) compile(def *definition, n *node) bool {
	ok := true
	fail := func(p *piece, err error) {
		if err != nil {
			ok = false
			l.patternError(def, p, err)
		}
	}
	var err error
	switch {
	case def.prematch.set:
		n.prematch, err = compileRegex(def.prematch.text)
		n.prematchPrefix = regexPrefix(def.prematch.text)
		fail(&def.prematch, err)
	case def.prematchPCRE2.set:
		n.prematch, err = compilePCRE2(def.prematchPCRE2.text)
		n.prematchPrefix = pcre2Prefix(def.prematchPCRE2.text)
		fail(&def.prematchPCRE2, err)
	}
	switch {
	case def.programName.set:
		n.program, err = pattern.CompileMatch(def.programName.text)
		n.programPrefix = matchPrefix(def.programName.text)
		fail(&def.programName, err)
	case def.programNamePCRE2.set:
		n.program, err = compilePCRE2(def.programNamePCRE2.text)
		n.programPrefix = pcre2Prefix(def.programNamePCRE2.text)
		fail(&def.programNamePCRE2, err)
	}
	extract := &def.regex
	switch def.extraction() {
	case osRegex:
		n.regex, err = compileRegex(extract.text)
	case pcre2:
		extract = &def.regexPCRE
		n.regex, err = compilePCRE2(extract.text)
	default:
		return ok
	}
	fail(extract, err)
	if s, isPattern := n.regex.(interface{ IsShortcut() bool }); err == nil && isPattern && s.IsShortcut() {
		l.add(def.pos, 1451, fmt.Sprintf("ERROR: Missing sub_strings on regex: '%s'.", extract.text))
		ok = false
	}
	if c, isPattern := n.regex.(interface{ NumCaptures() int }); err == nil && isPattern && c.NumCaptures() > l.d.opts.orderSize() {
		l.warn(def.pos, fmt.Sprintf("Regex of decoder '%s' has %d groups, more than the %d fields of an order; the surplus is dropped.",
			def.name, c.NumCaptures(), l.d.opts.orderSize()))
	}
	return ok
}

// compileRegex and compilePCRE2 keep a failed pattern from becoming a non-nil interface.
func compileRegex(p string) (finder, error) {
	re, err := pattern.CompileRegex(p)
	if err != nil {
		return nil, err
	}
	return re, nil
}

func compilePCRE2(p string) (finder, error) {
	re, err := pattern.CompilePCRE2(p)
	if err != nil {
		return nil, err
	}
	return re, nil
}

// patternError reports a pattern that does not compile.
func (l *loader) patternError(def *definition, p *piece, err error) {
	code, hint := pattern.CodeBad, ""
	var pe *pattern.Error
	if errors.As(err, &pe) {
		code, hint = pe.Code, fmt.Sprintf("Decoder '%s', <%s>: %s.", def.name, p.element, pe.Reason)
	}
	pos := def.pos
	pos.Line = p.line
	l.add(pos, 1450, fmt.Sprintf("ERROR: Syntax error on regex: '%s': %d.", p.text, code))
	l.problems[len(l.problems)-1].Hint = hint
}
