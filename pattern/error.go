package pattern

import "fmt"

// The codes of Error, which load errors print (spec patterns.md, section 9).
const (
	CodeTooLong = 3  // OS_Match or OS_Regex of more than MaxLength bytes
	CodeBad     = 6  // syntax error
	CodeEmpty   = 10 // empty PCRE2 pattern
)

// Limits of the languages (spec patterns.md, section 9).
const (
	MaxLength   = 2048 // bytes of an OS_Match or OS_Regex pattern
	MaxCaptures = 64   // captures delivered by Find
)

// Error says why a pattern does not compile.
type Error struct {
	Code    int    // CodeTooLong, CodeBad or CodeEmpty
	Pattern string // as written
	Offset  int    // byte of the pattern at which the reader stopped, -1 when the whole is meant
	Reason  string // lower case, without the pattern
}

// Error gives the reason, the place and OSSEC's code.
func (e *Error) Error() string {
	p := e.Pattern
	if len(p) > 200 {
		p = p[:200] + "..."
	}
	if e.Offset < 0 {
		return fmt.Sprintf("pattern %q: %s (code %d)", p, e.Reason, e.Code)
	}
	return fmt.Sprintf("pattern %q: %s at byte %d (code %d)", p, e.Reason, e.Offset, e.Code)
}

func bad(pattern string, offset int, format string, args ...any) *Error {
	return &Error{Code: CodeBad, Pattern: pattern, Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
