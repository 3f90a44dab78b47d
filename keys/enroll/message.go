package enroll

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/vedette-hids/vedette/keys"
)

// MaxRequest is the size from which on a request is refused.
const MaxRequest = 4096

const (
	passPrefix = "OSSEC PASS: "
	namePrefix = "OSSEC A:'"
	keyPrefix  = "OSSEC K:'"
)

// What a request can be refused for before it is looked at.
var (
	ErrPassword = errors.New("invalid password")
	ErrRequest  = errors.New("invalid request")
)

// ParseRequest reads `[OSSEC PASS: <password> ]OSSEC A:'<name>'` and returns the name, which is not judged. password nil means that none is
// asked for; a request that brings one is then refused. The comparison takes the same time wherever the texts differ.
func ParseRequest(b []byte, password *string) (name string, err error) {
	if len(b) >= MaxRequest {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrRequest, MaxRequest-1)
	}
	if password != nil {
		rest, ok := bytes.CutPrefix(b, []byte(passPrefix))
		n := len(*password) + 1
		if !ok || len(rest) < n || subtle.ConstantTimeCompare(rest[:n], []byte(*password+" ")) != 1 {
			return "", ErrPassword
		}
		b = rest[n:]
	}
	rest, ok := bytes.CutPrefix(b, []byte(namePrefix))
	if !ok {
		return "", fmt.Errorf("%w: does not ask for an agent", ErrRequest)
	}
	text, _, ok := bytes.Cut(rest, []byte("'"))
	if !ok || bytes.IndexByte(text, '\n') >= 0 {
		return "", fmt.Errorf("%w: no quote behind the name", ErrRequest)
	}
	return string(text), nil
}

// complete reports whether more of a request need not be waited for.
func complete(b []byte) bool {
	if bytes.IndexByte(b, '\n') >= 0 || len(b) >= MaxRequest {
		return true
	}
	_, rest, ok := bytes.Cut(b, []byte(namePrefix))
	return ok && bytes.IndexByte(rest, '\'') >= 0
}

// FormatRequest makes the request of an agent. password "" sends none.
func FormatRequest(name, password string) string {
	s := namePrefix + name + "'\n"
	if password != "" {
		s = passPrefix + password + " " + s
	}
	return s
}

// FormatKey makes the answer that gives a key.
func FormatKey(e keys.Entry) string { return keyPrefix + e.String() + "'\n\n" }

// What a reply can be refused for; agent-auth answers the two differently.
var (
	ErrReplyForm   = errors.New("reply with a key is not closed by a quote")
	ErrReplyFields = errors.New("reply with a key that cannot be used")
)

// ParseReply reads one line of a manager's answer. A line without a key gives ok false and no error.
func ParseReply(line string) (e keys.Entry, ok bool, err error) {
	rest, ok := strings.CutPrefix(line, keyPrefix)
	if !ok {
		return e, false, nil
	}
	text, _, ok := strings.Cut(rest, "'")
	if !ok {
		return e, true, ErrReplyForm
	}
	f := strings.Split(text, " ")
	if len(f) != 4 {
		return e, true, fmt.Errorf("%w: %d fields", ErrReplyFields, len(f))
	}
	e = keys.Entry{ID: f[0], Name: f[1], IP: f[2], Key: f[3]}
	if err := e.Check(); err != nil {
		return e, true, fmt.Errorf("%w: %w", ErrReplyFields, err)
	}
	if _, err := hex.DecodeString(e.Key); err != nil || len(e.Key) != 64 {
		return e, true, fmt.Errorf("%w: key is not 64 hexadecimal digits", ErrReplyFields)
	}
	if strings.ContainsAny(e.IP, "/!") {
		return e, true, fmt.Errorf("%w: address %q is not a single one", ErrReplyFields, e.IP)
	}
	return e, true, nil
}
