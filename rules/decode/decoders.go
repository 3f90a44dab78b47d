package decode

import (
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
)

// Source is one decoder file: its name for messages and its content.
type Source struct {
	Name string
	Data []byte
	// MayBeEmpty accepts a file without elements, as OSSEC does for the default etc/local_decoder.xml.
	MayBeEmpty bool
}

// Options adjust loading and decoding. The zero value has OSSEC's shipped settings.
type Options struct {
	// OrderSize is the largest number of names in an order, internal option analysisd.decoder_order_size; 0 = 256.
	OrderSize int
	// Exact restores OSSEC's evaluation of sibling groups whose members do not stand next to each other (spec section 6).
	Exact bool
	// RuleKnown reports whether a rule of that id is loaded; the OSSECAlert plugin asks it while decoding, from any worker. nil knows none.
	RuleKnown func(id int) bool
	// Warn takes the text of a run-time warning ("WARN: Rule id '…' not found internally: …"), from any worker. nil discards.
	Warn func(text string)
}

// DefaultOrderSize is the shipped value of analysisd.decoder_order_size.
const DefaultOrderSize = 256

func (o Options) orderSize() int {
	if o.OrderSize <= 0 {
		return DefaultOrderSize
	}
	return o.OrderSize
}

// Decoders is a compiled set of decoder files. It is immutable and safe for concurrent use.
type Decoders struct {
	programs list // top-level decoders with a program name, for events that have one
	plain    list // all other top-level decoders, for the other events
	names    map[string]bool
	count    int
	opts     Options
}

// Known reports whether a decoder of that name exists, loaded or internal: what `decoded_as` may name. A child that goes by its parent's
// name is known under its own name too, although no event is ever decoded as it (spec section 4.3).
func (d *Decoders) Known(name string) bool { return d.names[name] }

// Len returns the number of loaded decoders, internal ones not counted.
func (d *Decoders) Len() int { return d.count }

// The internal decoders, which are always known (spec section 9).
const (
	Rootcheck           = "rootcheck"
	SyscheckChanged     = "syscheck_integrity_changed"
	SyscheckChanged2nd  = "syscheck_integrity_changed_2nd"
	SyscheckChanged3rd  = "syscheck_integrity_changed_3rd"
	SyscheckNewEntry    = "syscheck_new_entry"
	SyscheckDeleted     = "syscheck_deleted"
	HostinfoNew         = "hostinfo_new"
	HostinfoModified    = "hostinfo_modified"
	maxCaptures         = 64 // delivered by a pattern (spec patterns.md, section 9)
	maxOrderPieces      = 1024
	maxFTSPieces        = 8
	fieldNameOfFilename = "filename"
)

var internalNames = []string{Rootcheck, SyscheckChanged, SyscheckChanged2nd, SyscheckChanged3rd, SyscheckNewEntry, SyscheckDeleted,
	HostinfoNew, HostinfoModified}

// matcher is a compiled pattern that is only asked whether it occurs.
type matcher interface {
	MatchString(s string) bool
}

// finder is a compiled pattern with an end offset and captures.
type finder interface {
	matcher
	Find(s string, caps []string) (end int, out []string, ok bool)
}

// offset says where in the log a pattern starts to look.
type offset uint8

const (
	fromStart     offset = iota
	afterParent          // end of the parent's prematch
	afterPrematch        // end of the own prematch
	afterRegex           // end of the previous group member's regex
)

// node is one compiled decoder.
type node struct {
	name     string // as written
	shown    string // attached to events: the parent's name unless use_own_name
	parent   string // "" for a top-level decoder
	comment  string // ftscomment
	typ      event.DecoderType
	fts      uint16
	accumul  bool
	program  matcher // nil: none; so are the next two
	prematch finder
	regex    finder
	preAt    offset
	regexAt  offset
	order    []orderName
	plugin   plugin // nil: none
	children list   // top-level decoders only

	programPrefix, prematchPrefix prefix // what a text must begin with for these patterns
}

// orderName is one name of an order: a standard field, or a dynamic one when dynamic is not empty.
type orderName struct {
	field   event.Field
	dynamic string
}

// Captured is one captured field as the test tool prints it.
type Captured struct {
	Label string // "extra_data", "proto", a dynamic name
	Value string
}

// Scratch is the working memory of one worker. The zero value is ready; it must not be shared between goroutines.
type Scratch struct {
	// Trace asks Decode to list the captured fields of each event in Captured, in capture order.
	Trace    bool
	Captured []Captured

	caps     []string
	bits     []uint64
	literals pattern.Bitset
	owner    *Decoders // whose program names are cached
	programs map[string][]uint64
}
