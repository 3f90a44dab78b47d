package event

import "time"

// Field names a standard decoded field (spec decoders.md, section 7).
type Field uint8

// The standard fields. Cmd (command) is set only by the syscheck and process accounting decoders of other products; it is kept for
// alerts.json, whose order of members names it.
const (
	SrcIP Field = iota
	DstIP
	SrcPort
	DstPort
	Protocol
	Action
	SrcUser
	DstUser
	ID
	URL
	Status
	Data
	SystemName
	Filename
	Cmd
	NumFields
)

// Fields holds the standard fields of an event. A field can be set to the empty string, which is not the same as unset.
type Fields struct {
	val [NumFields]string
	set uint32
}

// Get returns the value and whether the field is set.
func (f *Fields) Get(k Field) (string, bool) { return f.val[k], f.set&(1<<k) != 0 }

// Value returns the value, "" when unset.
func (f *Fields) Value(k Field) string { return f.val[k] }

// Has reports whether the field is set.
func (f *Fields) Has(k Field) bool { return f.set&(1<<k) != 0 }

// Set stores a value; the last one wins.
func (f *Fields) Set(k Field, v string) { f.val[k] = v; f.set |= 1 << k }

// Mask gives which fields are set, one bit each (1 << field).
func (f *Fields) Mask() uint32 { return f.set }

// Unset removes a value.
func (f *Fields) Unset(k Field) { f.val[k] = ""; f.set &^= 1 << k }

// Reset removes all values.
func (f *Fields) Reset() { *f = Fields{} }

// NameValue is one dynamic field.
type NameValue struct{ Name, Value string }

// DecoderType is the category of a decoder; rules select on it.
type DecoderType uint8

// The decoder types (spec decoders.md, section 4).
const (
	TypeSyslog DecoderType = iota
	TypeFirewall
	TypeIDS
	TypeWebLog
	TypeSquid
	TypeWindows
	TypeHostInfo
	TypeOSSEC
	TypeOSSECAlert
)

// Event is one message on its way through the manager. The first block is set at the edge, the second by pre-decoding, the third by
// decoding. Strings may share memory with Raw. Small fields stand together: a manager makes hundreds of thousands of events in a second, and
// their size is most of its garbage.
type Event struct {
	Kind       Kind
	HasProgram bool // an empty program name counts as one
	Type       DecoderType
	FTS        bool // decoder has key fields
	Accumulate bool
	FirstSeen  bool   // rootcheck's "FTS done": if_fts passes
	FTSFields  uint16 // which are the decoder's key fields, as a set that rules/decode defines

	Agent    *Agent // nil: the manager's own host, or a syslog sender
	Location string // full textual location, "(name) ip->source" for agents
	Source   string // location on the host that it came from
	Raw      string // text as received, before control bytes are deleted
	Received time.Time

	FullLog     string // cleaned text; for integrity events the text composed by the manager
	Log         string // FullLog after the recognised header
	Hostname    string
	ProgramName string // see HasProgram

	Decoder       string // name attached to the event; "" = none (not decoded)
	DecoderParent string
	DecodedAs     string // internal id by name that `decoded_as` compares ("syscheck_deleted"); equal to the decoder's id name otherwise
	FTSComment    string
	Fields        Fields
	Dynamic       []NameValue
	ForwardedRule int         // rule that another manager matched, for TypeOSSECAlert; 0 = none
	File          *FileChange // integrity and rootcheck events
}

// FileChange describes the file of an integrity event, or of a rootcheck finding (After only).
type FileChange struct {
	Path          string
	Before, After FileState // Before is zero when unknown
	HasBefore     bool
	Diff          string // text of report_changes, "" = none
}

// FileState holds attributes as texts as they came on the wire; "" = unknown, "xxx" = not checked.
type FileState struct {
	Size, UID, GID    string
	Mode              uint32 // st_mode
	MD5, SHA1, SHA256 string
}

// DynamicValue finds a dynamic field by name.
func (e *Event) DynamicValue(name string) (string, bool) {
	for i := range e.Dynamic {
		if e.Dynamic[i].Name == name {
			return e.Dynamic[i].Value, true
		}
	}
	return "", false
}
