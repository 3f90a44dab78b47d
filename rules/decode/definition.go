package decode

import (
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/config/xmlconf"
	"github.com/vedette-hids/vedette/event"
)

// definition is one <decoder> element as written.
type definition struct {
	name string
	pos  config.Position
	bad  bool // has errors already

	parent, programName, programNamePCRE2     piece
	prematch, prematchPCRE2, regex, regexPCRE piece
	preAt, regexAt                            offset
	order                                     []orderName
	fts                                       uint16
	typ                                       event.DecoderType
	comment                                   string
	accumulate, ownName                       bool
	plugin                                    plugin

	node *node // made by check
}

// piece is the text of an element that may be repeated: the texts are joined.
type piece struct {
	text    string
	set     bool
	element string // name of the first one
	line    int    // where it stands
}

func (p *piece) add(c *xmlconf.Node) {
	if !p.set {
		p.element, p.line = c.Name, c.Line
	}
	p.text, p.set = p.text+c.Text, true
}

func (d *definition) hasParent() bool   { return d.parent.set }
func (d *definition) hasProgram() bool  { return d.programName.set || d.programNamePCRE2.set }
func (d *definition) hasPrematch() bool { return d.prematch.set || d.prematchPCRE2.set }
func (d *definition) hasRegex() bool    { return d.regex.set || d.regexPCRE.set }

// patternKind is the language of an extraction pattern.
type patternKind uint8

const (
	noPattern patternKind = iota
	osRegex
	pcre2
)

// extraction tells which extraction pattern is used: the plain form wins.
func (d *definition) extraction() patternKind {
	switch {
	case d.regex.set:
		return osRegex
	case d.regexPCRE.set:
		return pcre2
	}
	return noPattern
}

// decoderTypes are the values of the type element.
var decoderTypes = map[string]event.DecoderType{
	"syslog": event.TypeSyslog, "firewall": event.TypeFirewall, "ids": event.TypeIDS, "web-log": event.TypeWebLog, "squid": event.TypeSquid,
	"windows": event.TypeWindows, "host-information": event.TypeHostInfo, "ossec": event.TypeOSSEC,
}

// offsets are the values of the offset attribute.
var offsets = map[string]offset{"after_parent": afterParent, "after_prematch": afterPrematch, "after_regex": afterRegex}

// read reads a root element; nil when it is not a usable decoder.
func (l *loader) read(root *xmlconf.Node, pos config.Position) *definition {
	name, ok := nameAttr(root)
	if !strings.EqualFold(root.Name, "decoder") || !ok {
		l.add(pos, 1230, fmt.Sprintf("ERROR: Invalid element in the configuration: '%s'.", root.Name))
		return nil
	}
	def := &definition{name: name, pos: pos}
	if len(root.Children) == 0 {
		l.add(pos, 1231, "ERROR: Invalid NULL element in the configuration.")
		def.bad = true
		return def
	}
	for _, c := range root.Children {
		if !l.element(def, c, config.Position{File: pos.File, Line: c.Line}) {
			def.bad = true
		}
	}
	return def
}

// element reads one element of a decoder into def; false if it has an error.
func (l *loader) element(def *definition, c *xmlconf.Node, pos config.Position) bool {
	switch name := strings.ToLower(c.Name); {
	case name == "parent":
		def.parent.add(c)
	case name == "program_name":
		def.programName.add(c)
	case name == "program_name_pcre2":
		def.programNamePCRE2.add(c)
	case name == "prematch":
		return l.patternElement(def, c, pos, &def.prematch, &def.preAt)
	case name == "prematch_pcre2":
		return l.patternElement(def, c, pos, &def.prematchPCRE2, &def.preAt)
	case name == "regex":
		return l.patternElement(def, c, pos, &def.regex, &def.regexAt)
	case name == "pcre2":
		return l.patternElement(def, c, pos, &def.regexPCRE, &def.regexAt)
	case name == "order":
		return l.orderElement(def, c, pos)
	case c.Name == "type": // unlike all others, in lower case only
		typ, ok := decoderTypes[c.Text]
		if !ok {
			l.add(pos, 0, fmt.Sprintf("Invalid decoder type '%s'.", c.Text))
		}
		def.typ = typ
		return ok
	case name == "fts":
		return l.ftsElement(def, c, pos)
	case name == "ftscomment":
		def.comment += c.Text
	case name == "accumulate":
		def.accumulate = true
	case name == "use_own_name":
		def.ownName = def.ownName || c.Text == "true"
	case name == "plugin_decoder":
		def.plugin = plugins[c.Text]
		if def.plugin == nil {
			l.add(pos, 2110, fmt.Sprintf("ERROR: Invalid decoder argument for plugin_decoder: '%s'.", c.Text))
			return false
		}
	default:
		l.add(pos, 0, fmt.Sprintf("Invalid element '%s' for decoder 'decoder'", c.Name))
		return false
	}
	return true
}

// patternElement reads a pattern with its offset attribute; only the first piece of a repeated element may have one.
func (l *loader) patternElement(def *definition, c *xmlconf.Node, pos config.Position, to *piece, at *offset) bool {
	first := !to.set
	to.add(c)
	if len(c.Attrs) == 0 {
		return true
	}
	a := c.Attrs[0]
	value, known := offsets[a.Value]
	switch {
	case !strings.EqualFold(a.Name, "offset"):
		l.add(pos, 2121, fmt.Sprintf("ERROR: Invalid decoder attribute: '%s'", a.Name))
	case !known:
		l.add(pos, 2120, fmt.Sprintf("ERROR: Invalid offset value: '%s'", a.Value))
	case !first:
		l.add(pos, 2109, fmt.Sprintf("ERROR: Duplicated offsets for same regex: '%s'.", def.name))
	default:
		*at = value
		return true
	}
	l.configError(def, pos)
	return false
}

// configError adds the general message that follows many others.
func (l *loader) configError(def *definition, pos config.Position) {
	l.add(pos, 2107, fmt.Sprintf("ERROR: Decoder configuration error: '%s'.", def.name))
}

func (l *loader) orderElement(def *definition, c *xmlconf.Node, pos config.Position) bool {
	names, ok := parseOrder(c.Text)
	if !ok {
		l.add(pos, 0, fmt.Sprintf("decode-xml: Wrong field '' in the order of decoder '%s'", def.name))
		return false
	}
	if len(names) > l.d.opts.orderSize() {
		l.add(pos, 0, "ERROR: Order has too many fields.")
		return false
	}
	def.order = names
	return true
}

func (l *loader) ftsElement(def *definition, c *xmlconf.Node, pos config.Position) bool {
	ok := true
	for _, name := range strings.SplitN(c.Text, ",", maxFTSPieces) {
		bit := ftsFieldOf(name)
		if bit == 0 {
			l.add(pos, 0, fmt.Sprintf("decode-xml: Wrong field '%s' in the fts decoder '%s'", strings.TrimLeft(name, " "), def.name))
			ok = false
		}
		def.fts |= bit
	}
	return ok
}
