package keys

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Limits of what the tools create (spec protocol.md, sections 1.2 and 24).
const (
	MinName     = 2
	MaxName     = 128
	MaxIDDigits = 8
	MaxText     = 256 // decoded key text
)

// RemovedMark stands in place of the name in the line of a removed agent.
const RemovedMark = "#*#*#*#*#*#*#*#*#*#*#"

// Entry is one line of client.keys as the tools see it.
type Entry struct {
	ID, Name, IP, Key string
	Removed           bool // only ID is set
}

// String gives the line, without line end.
func (e Entry) String() string {
	if e.Removed {
		return e.ID + " " + RemovedMark
	}
	return strings.Join([]string{e.ID, e.Name, e.IP, e.Key}, " ")
}

// ValidName reports whether a new agent may have this name: 2 to 128 of A-Z a-z 0-9 - _ and period.
func ValidName(s string) bool {
	if len(s) < MinName || len(s) > MaxName {
		return false
	}
	for _, b := range []byte(s) {
		if (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') && b != '-' && b != '_' && b != '.' {
			return false
		}
	}
	return true
}

// ValidID reports whether s is one to eight digits.
func ValidID(s string) bool {
	return s != "" && len(s) <= MaxIDDigits && strings.Trim(s, "0123456789") == ""
}

// PadID gives an id of digits the usual three; anything else stays.
func PadID(s string) string {
	if s == "" || len(s) >= 3 || strings.Trim(s, "0123456789") != "" {
		return s
	}
	return strings.Repeat("0", 3-len(s)) + s
}

// NewSecret makes the last field of a new key line: 32 random bytes as 64 hexadecimal digits.
func NewSecret() (string, error) {
	var b [32]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("making a key: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// ErrText is wrapped by every error of ParseText.
var ErrText = errors.New("invalid authentication key")

// ErrTextFields is what ParseText returns when only the key field is missing, which OSSEC's tool answers a little differently.
var ErrTextFields = fmt.Errorf("%w: no key behind id, name and address", ErrText)

// ExportText makes the text that is carried to an agent: base64 of the key line (spec protocol.md, section 2).
func ExportText(line string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(line[:min(len(line), MaxText)])))
}

// ParseText reads what ExportText made. Characters outside the alphabet are ignored and padding may be missing, because the text is copied
// by hand. The fields are split but not judged; see Entry.Check.
func ParseText(text string) (Entry, error) {
	clean := strings.Map(func(r rune) rune {
		if r < 0x80 && (r|0x20 >= 'a' && r|0x20 <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/') {
			return r
		}
		return -1
	}, text)
	line, err := base64.RawStdEncoding.DecodeString(clean)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrText, err)
	}
	if len(line) > MaxText {
		return Entry{}, fmt.Errorf("%w: longer than %d bytes", ErrText, MaxText)
	}
	f := strings.SplitN(strings.TrimRight(string(line), "\r\n\x00"), " ", 4)
	if len(f) == 3 {
		return Entry{}, ErrTextFields
	}
	if len(f) != 4 {
		return Entry{}, fmt.Errorf("%w: %d fields instead of 4", ErrText, len(f))
	}
	return Entry{ID: f[0], Name: f[1], IP: f[2], Key: f[3]}, nil
}

// Check tells what is wrong with an entry that comes from elsewhere: id, name, address, and a key without blanks or control characters.
func (e Entry) Check() error {
	switch {
	case !ValidID(e.ID):
		return fmt.Errorf("%w: id %q is not one to eight digits", ErrText, e.ID)
	case !ValidName(e.Name):
		return fmt.Errorf("%w: name %q", ErrText, e.Name)
	case e.Key == "" || strings.IndexFunc(e.Key, func(r rune) bool { return r <= ' ' || r == 0x7f }) >= 0:
		return fmt.Errorf("%w: the key is empty or has blanks", ErrText)
	}
	if _, err := ParseNetwork(e.IP); err != nil {
		return fmt.Errorf("%w: %w", ErrText, err)
	}
	return nil
}
