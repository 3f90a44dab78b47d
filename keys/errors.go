package keys

import (
	"errors"
	"fmt"
)

// OSSEC's message numbers of the secure channel and the key file (spec protocol.md, sections 1, 6, 7 and 25).
const (
	CodeNotAllowed   = 1213 // message from an address that no key has
	CodeInvalidIP    = 1237 // bad ip field in client.keys
	CodeBadLine      = 1401 // line of client.keys without four fields
	CodeNoFile       = 1402 // client.keys missing
	CodeFormat       = 1403 // packet not formatted as one
	CodeWrongKey     = 1404 // does not decrypt, or an old counter
	CodeChecksum     = 1406 // decrypts and inflates, but the sum is wrong
	CodeDuplicate    = 1407 // counter was seen before
	CodeInvalidID    = 1408 // unknown id, or a known id from an address it may not have
	CodeNoKeys       = 1751 // client.keys without a usable entry
	CodeUncompress   = 2202 // does not inflate, or to more than MaxPlain bytes
	CodeNotEncrypted = 1217 // message could not be made (size)
)

// Error says why a packet was refused. Code and Text are what OSSEC logs for it and users' rules match; Detail is for people.
type Error struct {
	Code   int
	Who    string // agent id, agent name or ip text that the message names; "" = the packet's source address
	ID     string // CodeInvalidID only: the id that was claimed
	Known  bool   // CodeInvalidID only: there is such an agent, but it may not have this address
	Detail string // what exactly was wrong
	Answer bool   // a startup message that is refused but shall be acknowledged: what the agent says next shows whether it is a recording
}

// Error gives the message with code and detail, without a source address.
func (e *Error) Error() string {
	s := fmt.Sprintf("(%d): %s: %s", e.Code, e.Level(), e.Text("unknown"))
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Level is "ERROR" or "WARN".
func (e *Error) Level() string {
	if e.Code == CodeNotAllowed {
		return "WARN"
	}
	return "ERROR"
}

// Text gives OSSEC's sentence, without level; source is the text of the packet's source address.
func (e *Error) Text(source string) string {
	who := e.Who
	if who == "" {
		who = source
	}
	switch e.Code {
	case CodeNotAllowed:
		return fmt.Sprintf("Message from '%s' not allowed.", who)
	case CodeFormat:
		return fmt.Sprintf("Incorrectly formatted message from '%s'.", who)
	case CodeWrongKey:
		return fmt.Sprintf("Authentication error. Wrong key from '%s'.", who)
	case CodeChecksum:
		return fmt.Sprintf("Checksum mismatch on message from '%s'.", who)
	case CodeDuplicate:
		return fmt.Sprintf("Duplicated counter for '%s'.", who)
	case CodeInvalidID:
		return fmt.Sprintf("Invalid ID %s for the source ip: '%s'.", e.ID, who)
	case CodeUncompress:
		return "Error uncompressing string."
	default:
		return e.Detail
	}
}

// ErrSize is returned by Seal for a payload that is empty or longer than MaxPayload (log message 1217).
var ErrSize = errors.New("message size outside 1 to 6016 bytes")
