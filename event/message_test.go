package event

import (
	"errors"
	"testing"
	"time"
)

// The location is the sender's, and it is written into line-oriented files: a name with a line break must not forge an entry.
func TestLocationCannotHoldControlBytes(t *testing.T) {
	agent := &Agent{ID: "001", Name: "web", IP: "10.0.0.1"}
	ev := FromAgent(KindLog, agent, []byte("/tmp/x\n** Alert 1.1; mail - forged,\r\x7f:a\nb"), time.Time{})
	const source = "/tmp/x ** Alert 1.1; mail - forged,  "
	if ev.Location != "(web) 10.0.0.1->"+source || ev.Source != source || ev.Raw != "a\nb" {
		t.Errorf("%q, %q, %q", ev.Location, ev.Source, ev.Raw)
	}
	if ev := NewEvent(Message{Kind: KindLog, Location: "a\nb:c", Text: "d"}, time.Time{}); ev.Location != "a b:c" || ev.Source != "a b:c" || ev.Raw != "d" {
		t.Errorf("%q, %q, %q", ev.Location, ev.Source, ev.Raw)
	}
	for in, want := range map[string]string{
		"1:/tmp/a\nb\tc:text":        "/tmp/a b c",
		"1:(web) 1.1.1.1->/a\x01b:t": "(web) 1.1.1.1->/a b",
		"1:/tmp/ü:text":              "/tmp/ü",
	} {
		if ev, err := ParseQueue(in, time.Time{}); err != nil || ev.Location != want {
			t.Errorf("%q: %+v, %v", in, ev, err)
		}
	}
}

func TestParseQueueSplitsTheSourceFromTheAgent(t *testing.T) {
	ev, err := ParseQueue("8:(web 01) 2001:db8::1->syscheck:1:2 /x", time.Time{})
	if err != nil || ev.Kind != KindSyscheck || ev.Source != "syscheck" || *ev.Agent != (Agent{Name: "web 01", IP: "2001:db8::1"}) || ev.Raw != "1:2 /x" {
		t.Errorf("%+v %+v %v", ev, ev.Agent, err)
	}
	for _, bad := range []string{"", "1:a", "1:ab", "x/ab:c", "1:(web) 1.1.1.1:text", "1:(web)->ab", "1:..:t", "1:a/../b:t"} {
		if ev, err := ParseQueue(bad, time.Time{}); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %+v, %v", bad, ev, err)
		}
	}
}
