package decode

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
)

func loadCorpus(tb testing.TB, ruleset string, opts Options) *Decoders {
	tb.Helper()
	path := vectors.Corpus(tb, "corpus", ruleset, "decoder.xml")
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	d, problems := Load([]Source{{Name: path, Data: data}}, opts)
	if d == nil {
		tb.Fatal(problems.Err())
	}
	return d
}

type logVector struct {
	Log         string
	Hostname    string
	ProgramName *string `json:"program_name"`
	Decoder     *string
	Fields      map[string]string
}

func readLogs(tb testing.TB, ruleset, source string) []logVector {
	tb.Helper()
	all := vectors.ReadFile[logVector](tb, vectors.Corpus(tb, "vectors", "logs", ruleset, source+".single.jsonl"))
	return slices.DeleteFunc(all, func(v logVector) bool { return len(v.Log) < 2 }) // the reference tool skips those
}

var logSources = []string{"ossec-tests", "log-entries", "openssh", "linux", "apache"}

func newLogEvent(log string) *event.Event {
	return event.NewEvent(event.Message{Kind: event.KindLog, Location: "stdin", Text: log}, time.Time{})
}

func TestReferenceLogs(t *testing.T) {
	for _, ruleset := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		for _, exact := range []bool{false, true} {
			d := loadCorpus(t, ruleset, Options{Exact: exact})
			for _, source := range logSources {
				sc := &Scratch{Trace: true}
				failures := 0
				logs := readLogs(t, ruleset, source)
				for _, v := range logs {
					if msg := checkLog(d, sc, v); msg != "" {
						if failures++; failures <= 5 {
							t.Errorf("%s/%s: %q: %s", ruleset, source, v.Log, msg)
						}
					}
				}
				if failures > 0 || len(logs) < 100 {
					t.Errorf("%s/%s: %d of %d logs differ", ruleset, source, failures, len(logs))
				}
			}
		}
	}
}

// checkLog compares one log with the reference; "" when all is equal.
func checkLog(d *Decoders, sc *Scratch, v logVector) string {
	ev := newLogEvent(v.Log)
	Predecode(ev, "vm")
	d.Decode(ev, sc)
	program, decoder := "", ""
	if v.ProgramName != nil {
		program = *v.ProgramName
	}
	if v.Decoder != nil {
		decoder = *v.Decoder
	}
	switch {
	case ev.Hostname != v.Hostname:
		return "host name " + ev.Hostname + ", want " + v.Hostname
	case ev.ProgramName != program || ev.HasProgram != (v.ProgramName != nil):
		return "program name " + ev.ProgramName + ", want " + program
	case ev.Decoder != decoder:
		return "decoder " + ev.Decoder + ", want " + decoder
	}
	fields := map[string]string{}
	for _, c := range sc.Captured {
		fields[c.Label] = c.Value
	}
	for name, want := range v.Fields {
		if fields[name] != want {
			return "field " + name + " = " + fields[name] + ", want " + want
		}
		delete(fields, name)
	}
	for name, value := range fields {
		return "unexpected field " + name + " = " + value
	}
	return ""
}

// plainDecode is the walk of the specification without any index or cache, against which Decode is checked.
func plainDecode(d *Decoders, ev *event.Event) {
	nodes := d.plain.nodes
	if ev.HasProgram {
		nodes = d.programs.nodes
	}
	for _, n := range nodes {
		if ev.HasProgram && !n.program.MatchString(ev.ProgramName) {
			continue
		}
		pmatch := 0
		if n.prematch != nil {
			end, _, ok := n.prematch.Find(ev.Log, nil)
			if !ok {
				continue
			}
			pmatch = end
		}
		n.mark(ev)
		plainChildren(d, ev, n, pmatch)
		return
	}
}

func plainChildren(d *Decoders, ev *event.Event, top *node, pmatch int) {
	w := walker{d: d, ev: ev, sc: &Scratch{}, pmatch: pmatch, cmatch: pmatch, group: &top.children}
	kids := top.children.nodes
	if len(kids) == 0 {
		w.extract(top, -1)
		return
	}
	for i, k := range kids {
		follower := false
		for _, before := range kids[:i] {
			follower = follower || before.name == k.name
		}
		if follower {
			continue
		}
		if k.prematch != nil {
			from := 0
			if k.preAt == afterParent {
				from = pmatch
			}
			end, _, ok := k.prematch.Find(ev.Log[from:], nil)
			if !ok {
				continue
			}
			w.cmatch = from + end
			k.mark(ev)
		}
		w.extract(k, i)
		return
	}
}

// sameDecoding compares Decode with plainDecode.
func sameDecoding(t *testing.T, d *Decoders, sc *Scratch, log string) {
	t.Helper()
	a, b := newLogEvent(log), newLogEvent(log)
	Predecode(a, "vm")
	Predecode(b, "vm")
	d.Decode(a, sc)
	plainDecode(d, b)
	if a.Decoder != b.Decoder || a.DecoderParent != b.DecoderParent || a.Type != b.Type || a.Fields != b.Fields || a.FTSFields != b.FTSFields {
		t.Errorf("%q: indexed %q %+v, plain %q %+v", log, a.Decoder, a.Fields, b.Decoder, b.Fields)
	}
}

func TestIndexedWalkEqualsPlainWalk(t *testing.T) {
	for _, ruleset := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		d := loadCorpus(t, ruleset, Options{})
		sc := &Scratch{}
		for _, source := range logSources {
			for i, v := range readLogs(t, ruleset, source) {
				if source != "ossec-tests" && source != "log-entries" && i%10 != 0 {
					continue
				}
				log := v.Log
				sameDecoding(t, d, sc, log)
				sameDecoding(t, d, sc, strings.ToUpper(log))
				if len(log) > 20 { // headers cut off, characters beyond ASCII put in
					sameDecoding(t, d, sc, log[16:])
					sameDecoding(t, d, sc, log[:18]+"ſK\xe9"+log[18:])
					sameDecoding(t, d, sc, strings.NewReplacer("s", "ſ", "k", "\u212a").Replace(log))
				}
			}
		}
	}
}
