package decode

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
)

type vectorDynamic struct {
	Position int
	Name     string
	Value    string
}

type vectorEvent struct {
	Log        string
	LogHex     string `json:"log_hex"`
	Decoder    *string
	Type       string
	Fields     map[string]string
	Dynamic    []vectorDynamic
	FTS        []string `json:"fts"`
	Accumulate bool
}

type decoderVector struct {
	Name         string
	Decoders     string
	OrderSize    int `json:"decoder_order_size"`
	Load         string
	Messages     []string
	Events       []vectorEvent
	ExitsOnEvent *int `json:"exits_on_event"`
	Accumulator  bool
}

// The allowed deviations from decoders.jsonl, case by case; the reasons are the "Improve:" notes of the specification.
var (
	// Dynamic fields are kept by name, so those of earlier group members stay (section 7).
	dynamicByName = map[string][]vectorDynamic{
		"dynamic fields in siblings/0":            {{Name: "alpha", Value: "bob"}, {Name: "beta", Value: "1.1.1.1"}},
		"dynamic fields in siblings, positions/0": {{Name: "alpha", Value: "bob"}, {Name: "gamma", Value: "x"}, {Name: "beta", Value: "1.1.1.1"}},
	}
	// Names are trimmed (section 7).
	trimmedNames = map[string]bool{"dynamic field name two spaces": true}
	// A list without decoders is no error, and children always take their parent's name (section 4.3).
	oneList = map[string]bool{
		"only pname list": true, "only nopname list": true, "only pname list with child": true, "only nopname list with child": true,
	}
	childNamedAsParent = map[string]string{"only pname list with child": "a", "only nopname list with child": "a"}
	// Too many captures are dropped, with a warning at load, instead of stopping the program (section 7).
	tooManyCaptures = map[string]bool{"groups too many": true}
	// A scattered group is followed by name; Options.Exact restores OSSEC (section 6).
	scatteredGroup = map[string]bool{"siblings not adjacent": true}
	// A byte that is not UTF-8 is a character of its own instead of hiding the event (patterns.md, section 7).
	// The protocol in a SonicWall log ends at a blank (section 8).
	protocolAtBlank = map[string]string{"plugin SonicWall": "tcp"}
	invalidUTF8     = map[string]bool{"invalid utf-8 never matches prematch": true}
)

var typeNames = map[event.DecoderType]string{
	event.TypeSyslog: "syslog", event.TypeFirewall: "firewall", event.TypeIDS: "ids", event.TypeWebLog: "web-log", event.TypeSquid: "squid",
	event.TypeWindows: "windows", event.TypeHostInfo: "host-information", event.TypeOSSEC: "ossec", event.TypeOSSECAlert: "ossec-alert",
}

var fieldNames = map[string]event.Field{
	"srcip": event.SrcIP, "dstip": event.DstIP, "srcport": event.SrcPort, "dstport": event.DstPort, "protocol": event.Protocol,
	"action": event.Action, "srcuser": event.SrcUser, "dstuser": event.DstUser, "id": event.ID, "url": event.URL, "status": event.Status,
	"data": event.Data, "system_name": event.SystemName, "filename": event.Filename,
}

var ftsNames = map[string]uint16{
	"name": FTSName, "dstuser": FTSDstUser, "srcip": FTSSrcIP, "dstip": FTSDstIP, "location": FTSLocation, "id": FTSID, "data": FTSData,
	"system_name": FTSSystemName,
}

func readVectors(t testing.TB) []decoderVector {
	t.Helper()
	all := vectors.Read[decoderVector](t, "decoders/decoders.jsonl")
	if len(all) < 170 {
		t.Fatalf("only %d vectors were read", len(all))
	}
	return all
}

// printed gives a problem as the analysis daemon prints it, with placeholders.
func printed(p config.Problem) string {
	switch {
	case p.Code != 0:
		return fmt.Sprintf("<prog>(%d): %s", p.Code, p.Text)
	case strings.HasPrefix(p.Text, "decode-xml: "):
		return p.Text
	}
	return "<prog>: " + p.Text
}

func TestDecoderVectors(t *testing.T) {
	for _, exact := range []bool{false, true} {
		for _, v := range readVectors(t) {
			t.Run(fmt.Sprintf("%s/exact=%v", v.Name, exact), func(t *testing.T) { runVector(t, v, exact) })
		}
	}
}

func runVector(t *testing.T, v decoderVector, exact bool) {
	var warnings []string
	opts := Options{OrderSize: v.OrderSize, Exact: exact, Warn: func(s string) { warnings = append(warnings, "<prog>: "+s) }}
	d, problems := Load([]Source{{Name: "<file>", Data: []byte(v.Decoders)}}, opts)
	var messages []string
	for _, p := range problems {
		if p.Pos.File != "<file>" || (p.Pos.Line == 0 && v.Decoders != "") {
			t.Errorf("problem without place: %+v", p)
		}
		if !p.Warning {
			messages = append(messages, printed(p))
		}
	}
	if v.Load == "error" {
		if d != nil {
			t.Error("loads, want an error")
		}
		if !slices.Equal(messages, v.Messages) {
			t.Errorf("messages\n got %q\nwant %q", messages, v.Messages)
		}
		return
	}
	if d == nil {
		t.Fatalf("does not load: %v", problems.Err())
	}
	sc, acc := &Scratch{}, NewAccumulator()
	for i, ve := range v.Events {
		checkEvent(t, d, sc, acc, v, i, ve, exact)
	}
	messages = append(messages, warnings...)
	if !slices.Equal(messages, v.Messages) && !oneList[v.Name] && !tooManyCaptures[v.Name] {
		t.Errorf("messages\n got %q\nwant %q", messages, v.Messages)
	}
}

func checkEvent(t *testing.T, d *Decoders, sc *Scratch, acc *Accumulator, v decoderVector, i int, want vectorEvent, exact bool) {
	t.Helper()
	if want.LogHex != "" {
		raw, err := hex.DecodeString(want.LogHex)
		if err != nil {
			t.Fatal(err)
		}
		want.Log = string(raw)
	}
	if v.ExitsOnEvent != nil && i >= *v.ExitsOnEvent {
		return
	}
	if (scatteredGroup[v.Name] && !exact) || invalidUTF8[v.Name] {
		return
	}
	ev := event.NewEvent(event.Message{Kind: event.KindLog, Location: "stdin", Text: want.Log}, time.Time{})
	Predecode(ev, "local")
	d.Decode(ev, sc)
	acc.Update(ev, time.Unix(1000, 0))

	decoder := ""
	if want.Decoder != nil {
		decoder = *want.Decoder
	}
	if name, ok := childNamedAsParent[v.Name]; ok && decoder != "" {
		decoder = name
	}
	if ev.Decoder != decoder {
		t.Errorf("event %d %q: decoder %q, want %q", i, want.Log, ev.Decoder, decoder)
	}
	if typeNames[ev.Type] != want.Type {
		t.Errorf("event %d: type %s, want %s", i, typeNames[ev.Type], want.Type)
	}
	fields := map[string]string{}
	for name, f := range fieldNames {
		if value, ok := ev.Fields.Get(f); ok {
			fields[name] = value
		}
	}
	if p, ok := protocolAtBlank[v.Name]; ok && strings.Contains(want.Fields["protocol"], " ") {
		want.Fields["protocol"] = p
	}
	if !maps.Equal(fields, want.Fields) {
		t.Errorf("event %d %q: fields %q, want %q", i, want.Log, fields, want.Fields)
	}
	wantDynamic := want.Dynamic
	if improved, ok := dynamicByName[fmt.Sprintf("%s/%d", v.Name, i)]; ok {
		wantDynamic = improved
	}
	var dynamic, wantNames []event.NameValue
	dynamic = append(dynamic, ev.Dynamic...)
	for _, nv := range wantDynamic {
		if trimmedNames[v.Name] {
			nv.Name = strings.TrimLeft(nv.Name, " ")
		}
		wantNames = append(wantNames, event.NameValue{Name: nv.Name, Value: nv.Value})
	}
	if !slices.Equal(dynamic, wantNames) {
		t.Errorf("event %d %q: dynamic fields %q, want %q", i, want.Log, dynamic, wantNames)
	}
	var fts uint16
	for _, name := range want.FTS {
		fts |= ftsNames[name]
	}
	if ev.FTSFields&^FTSName != fts&^FTSName || ev.FTS != (len(want.FTS) > 0) {
		t.Errorf("event %d: key fields %b (%v), want %b", i, ev.FTSFields, ev.FTS, fts)
	}
	if ev.Accumulate != want.Accumulate {
		t.Errorf("event %d: accumulate %v, want %v", i, ev.Accumulate, want.Accumulate)
	}
}
