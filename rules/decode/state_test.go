package decode

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
)

func ftsEvent(user string, typ event.DecoderType) *event.Event {
	ev := &event.Event{Decoder: "sshd", FTS: true, FTSFields: FTSName | FTSDstUser | FTSLocation, Type: typ, Location: "/var/log/auth.log"}
	ev.Fields.Set(event.DstUser, user)
	ev.Fields.Set(event.SrcIP, "192.0.2.1") // not selected
	return ev
}

func TestFTSKey(t *testing.T) {
	key, ok := FTSKey(ftsEvent("zed", event.TypeSyslog))
	if want := "sshd  zed      /var/log/auth.log"; !ok || key != want {
		t.Errorf("key %q, want %q", key, want)
	}
	long := ftsEvent(strings.Repeat("u", 300), event.TypeSyslog)
	if key, _ = FTSKey(long); len(key) != 255 {
		t.Errorf("a long key has %d bytes", len(key))
	}
	split := ftsEvent("u", event.TypeSyslog)
	split.Location = "/var/log/x\ninjected key"
	if key, _ = FTSKey(split); strings.Contains(key, "\n") {
		t.Errorf("key %q has a line break", key)
	}
	if _, ok = FTSKey(&event.Event{Decoder: "x"}); ok {
		t.Error("a decoder without key fields has a key")
	}
}

func TestFTSStoreRecordsEachKeyOnce(t *testing.T) {
	var file []string
	s := NewFTSStore(FTSOptions{Append: func(key string) { file = append(file, key) }})
	if err := s.Load(strings.NewReader("sshd  ann      /var/log/auth.log\n\nincomplete")); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		user  string
		first bool
	}{{"ann", false}, {"bob", true}, {"bob", false}, {"cid", true}} {
		if got := s.First(ftsEvent(c.user, event.TypeSyslog)); got != c.first {
			t.Errorf("event %d (%s): first = %v", i, c.user, got)
		}
	}
	want := []string{"sshd  bob      /var/log/auth.log", "sshd  cid      /var/log/auth.log"}
	if !slices.Equal(file, want) {
		t.Errorf("appended %q, want %q", file, want)
	}
	if s.Len() != 4 {
		t.Errorf("%d keys, want 4", s.Len())
	}
}

func TestFTSOfRootcheckEvents(t *testing.T) {
	s := NewFTSStore(FTSOptions{})
	if !s.First(&event.Event{Kind: event.KindRootcheck, FirstSeen: true}) {
		t.Error("a first sighting does not pass")
	}
	if s.First(&event.Event{Kind: event.KindRootcheck}) {
		t.Error("a repeated sighting passes")
	}
}

// A series of ids keys with a common beginning of 15 bytes: the fourth is stored shortened, later ones are not new. Shortened keys take a
// place in the list too, so that the three whole ones leave it after 32 keys; then a whole key is new again.
func TestFTSSimilarityOfIDSKeys(t *testing.T) {
	var file []string
	s := NewFTSStore(FTSOptions{Append: func(key string) { file = append(file, key) }})
	var got []bool
	for i := range 34 {
		ev := &event.Event{Decoder: "t-ids", FTS: true, FTSFields: FTSName | FTSID, Type: event.TypeIDS}
		ev.Fields.Set(event.ID, fmt.Sprintf("123456789%02d", i)) // "t-ids 123456789" are 15 bytes
		got = append(got, s.First(ev))
	}
	for i, first := range got {
		if first != (i < 4 || i == 33) {
			t.Errorf("event %d: first = %v", i, first)
		}
	}
	if len(file) != 5 || file[3] != "t-ids 12345678" {
		t.Errorf("stored keys %q", file)
	}
}

func TestFTSStoreForgetsTheOldestKey(t *testing.T) {
	s := NewFTSStore(FTSOptions{MaxKeys: 3})
	for _, u := range []string{"a", "b", "c", "d"} {
		s.First(ftsEvent(u, event.TypeSyslog))
	}
	if s.Len() != 3 {
		t.Errorf("%d keys, want 3", s.Len())
	}
	if s.First(ftsEvent("d", event.TypeSyslog)) || !s.First(ftsEvent("a", event.TypeSyslog)) {
		t.Error("the wrong key was forgotten")
	}
	var users []string
	for k := range s.Keys() {
		users = append(users, strings.Fields(k)[1])
	}
	if !slices.Equal(users, []string{"c", "d", "a"}) {
		t.Errorf("keys in order %q, want c d a", users)
	}
}

func accEvent(id string, fields map[event.Field]string) *event.Event {
	ev := &event.Event{Decoder: "slapd", Hostname: "h", Accumulate: true}
	if id != "" {
		ev.Fields.Set(event.ID, id)
	}
	for f, v := range fields {
		ev.Fields.Set(f, v)
	}
	return ev
}

func TestAccumulatorForgetsAfterTwoMinutes(t *testing.T) {
	a := NewAccumulator()
	start := time.Unix(1000, 0)
	a.Update(accEvent("1", map[event.Field]string{event.SrcIP: "192.0.2.1"}), start)
	at := func(seconds int) string {
		ev := accEvent("1", nil)
		a.Update(ev, start.Add(time.Duration(seconds)*time.Second))
		return ev.Fields.Value(event.SrcIP)
	}
	if got := at(120); got != "192.0.2.1" {
		t.Errorf("after 120 s: %q", got)
	}
	if got := at(240); got != "192.0.2.1" { // each use refreshes
		t.Errorf("after 120 s more: %q", got)
	}
	if got := at(361); got != "" {
		t.Errorf("after 121 s without use: %q", got)
	}
}

func TestAccumulatorKeepsTransactionsApart(t *testing.T) {
	a := NewAccumulator()
	now := time.Unix(1000, 0)
	a.Update(accEvent("1", map[event.Field]string{event.SrcIP: "192.0.2.1"}), now)
	other := accEvent("1", nil)
	other.Hostname = "other"
	a.Update(other, now)
	noID := accEvent("", nil)
	a.Update(noID, now)
	unflagged := accEvent("1", nil)
	unflagged.Accumulate = false
	a.Update(unflagged, now)
	long := accEvent(strings.Repeat("i", 300), map[event.Field]string{event.SrcIP: "x"})
	a.Update(long, now)
	for i, ev := range []*event.Event{other, noID, unflagged} {
		if ev.Fields.Has(event.SrcIP) {
			t.Errorf("event %d got the address of another transaction", i)
		}
	}
	if a.Len() != 2 {
		t.Errorf("%d transactions, want 2", a.Len())
	}
}

func TestAccumulatorIsBounded(t *testing.T) {
	a := NewAccumulator()
	now := time.Unix(1000, 0)
	for i := range maxAccumulated + 100 {
		a.Update(accEvent(fmt.Sprint(i), nil), now)
	}
	if a.Len() > maxAccumulated {
		t.Errorf("%d transactions", a.Len())
	}
	for range accumulatorPurge {
		a.Update(accEvent("new", nil), now.Add(time.Hour))
	}
	if a.Len() != 1 {
		t.Errorf("%d transactions after a purge, want 1", a.Len())
	}
}

// Making room looks at every transaction, so it must be rare.
func TestFullAccumulatorMakesRoomForMany(t *testing.T) {
	a := NewAccumulator()
	now := time.Unix(1000, 0)
	for i := range maxAccumulated + 1 {
		a.Update(accEvent(fmt.Sprint(i), nil), now)
	}
	if a.Len() > maxAccumulated*9/10 {
		t.Errorf("%d transactions: no room was made", a.Len())
	}
}

func TestHostinfoIsBoundedInBytes(t *testing.T) {
	h := NewHostinfo(nil)
	decode := func(i int) bool {
		log := fmt.Sprintf("Host: 10.%d.%d.%d, %s", i>>16, i>>8&255, i&255, strings.Repeat("x", 6000))
		fresh, err := h.Decode(&event.Event{Log: log})
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	n := 2 * maxHostBytes / 6000
	for i := range n {
		decode(i)
	}
	held := 0
	for line := range h.lines {
		held += len(line)
	}
	if held > maxHostBytes || len(h.hosts) != len(h.lines) {
		t.Errorf("%d bytes are kept, %d hosts of %d lines", held, len(h.hosts), len(h.lines))
	}
	if decode(n-1) || !decode(0) {
		t.Error("not the oldest is forgotten")
	}
}

func TestHostinfo(t *testing.T) {
	var file []string
	h := NewHostinfo(func(line string) { file = append(file, line) })
	if err := h.Load(strings.NewReader("10.1.1.1 open ports: 22 (tcp)\n")); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ log, decodedAs string }{
		{"Host: 10.1.1.1 (web), open ports: 22 (tcp)", ""},
		{"Host: 10.1.1.1 (web), open ports: 22 (tcp) 80 (tcp)", HostinfoModified},
		{"Host: 10.1.1.10, open ports: 22 (tcp)", HostinfoNew}, // not the host 10.1.1.1
		{"Host: 10.1.1.10, open ports: 22 (tcp)", ""},
		{"Host: 10.1.1.1, open ports: 22 (tcp)", ""},
	} {
		ev := &event.Event{Kind: event.KindHostinfo, Log: c.log}
		isNew, err := h.Decode(ev)
		if err != nil || isNew != (c.decodedAs != "") || ev.DecodedAs != c.decodedAs {
			t.Errorf("event %d: new %v, decoded as %q, error %v", i, isNew, ev.DecodedAs, err)
		}
		if isNew && (ev.Decoder != HostinfoModified || ev.Type != event.TypeOSSEC) {
			t.Errorf("event %d: decoder %q, type %v", i, ev.Decoder, ev.Type)
		}
	}
	want := []string{"10.1.1.1 open ports: 22 (tcp) 80 (tcp)", "10.1.1.10 open ports: 22 (tcp)"}
	if !slices.Equal(file, want) {
		t.Errorf("appended %q, want %q", file, want)
	}
	for range 40 { // malformed messages do not turn it off
		if _, err := h.Decode(&event.Event{Log: "nonsense"}); !errors.Is(err, ErrHostinfo) {
			t.Fatalf("error %v", err)
		}
	}
	if isNew, err := h.Decode(&event.Event{Log: "Host: 10.2.2.2, open ports: 1 (udp)"}); !isNew || err != nil {
		t.Errorf("after malformed messages: %v, %v", isNew, err)
	}
}
