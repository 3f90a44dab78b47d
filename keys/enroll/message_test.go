package enroll

import (
	"errors"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/keys"
)

func TestParseReplyChecksTheKey(t *testing.T) {
	good := strings.Repeat("a1", 32)
	for line, want := range map[string]error{
		"OSSEC K:'1024 web any " + good + "'":                          nil,
		"OSSEC K:'1024 web 10.0.0.1 " + good + "' more":                nil,
		"OSSEC K:'1024 web 2001:db8::1 " + good + "'":                  nil,
		"OSSEC K:'1024 web any " + good:                                ErrReplyForm,
		"OSSEC K:'1024 web any'":                                       ErrReplyFields,
		"OSSEC K:'1024 web any " + good + " x'":                        ErrReplyFields,
		"OSSEC K:'abc web any " + good + "'":                           ErrReplyFields,
		"OSSEC K:'1024 w;b any " + good + "'":                          ErrReplyFields,
		"OSSEC K:'1024 web 10.0.0.0/8 " + good + "'":                   ErrReplyFields,
		"OSSEC K:'1024 web !10.0.0.1 " + good + "'":                    ErrReplyFields,
		"OSSEC K:'1024 web any " + good[:63] + "'":                     ErrReplyFields,
		"OSSEC K:'1024 web any " + good[:63] + "z'":                    ErrReplyFields,
		"OSSEC K:'1024 web any " + strings.ToUpper(good)[:62] + "\r1'": ErrReplyFields,
	} {
		e, ok, err := ParseReply(line)
		if !ok || !errors.Is(err, want) || (want == nil && e.ID != "1024") {
			t.Errorf("%q: %v %v %v", line, e, ok, err)
		}
	}
	if _, ok, err := ParseReply("ERROR: Unable to add agent."); ok || err != nil {
		t.Error("an error line is no key")
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{
		"OSSEC A:'web-01'\n", "OSSEC A:'nonl'", "OSSEC A:'abc", "OSSEC A:'trail' more\n", "OSSEC PASS: s3cret pass OSSEC A:'pw'\n", "OSSEC PASS: wrong OSSEC A:'pw'\n",
		"OSSEC PASS: s3cret pass \n", "HELLO\n", "", "OSSEC A:''", "OSSEC A:'a\nb'", strings.Repeat("x", MaxRequest),
	} {
		f.Add([]byte(s))
	}
	password := "s3cret pass"
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, err := ParseRequest(b, nil); err == nil {
			if strings.ContainsAny(name, "'\n") || !complete(b) {
				t.Errorf("name %q of %q", name, b)
			}
			if again, err := ParseRequest([]byte(FormatRequest(name, "")), nil); len(name) < 4000 && (err != nil || again != name) {
				t.Errorf("%q comes back as %q, %v", name, again, err)
			}
		}
		if _, err := ParseRequest(b, &password); err == nil && !strings.HasPrefix(string(b), "OSSEC PASS: s3cret pass OSSEC A:'") {
			t.Errorf("accepted without the password: %q", b)
		}
	})
}

func FuzzParseReply(f *testing.F) {
	f.Add("OSSEC K:'1024 web-01 any " + strings.Repeat("0f", 32) + "'")
	f.Add("OSSEC K:'1024 web-01 10.0.0.1 x'")
	f.Add("ERROR: Unable to add agent.")
	f.Fuzz(func(t *testing.T, line string) {
		e, ok, err := ParseReply(line)
		if !ok || err != nil {
			return
		}
		if strings.ContainsAny(e.String(), "\n\r\x00'") {
			t.Errorf("%q gives a line %q", line, e)
		}
		if k := keys.Parse([]byte(e.String() + "\n")).First(); k == nil || k.ID != e.ID || k.Secret() != e.Key {
			t.Errorf("%q gives a line that cannot be read: %q", line, e)
		}
	})
}
