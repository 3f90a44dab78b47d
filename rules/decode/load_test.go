package decode

import (
	"fmt"
	"strings"
	"testing"
)

func mustLoad(t testing.TB, opts Options, files ...string) *Decoders {
	t.Helper()
	var src []Source
	for i, f := range files {
		src = append(src, Source{Name: fmt.Sprintf("file%d.xml", i+1), Data: []byte(f)})
	}
	d, problems := Load(src, opts)
	if d == nil {
		t.Fatal(problems.Err())
	}
	return d
}

func TestLoadReportsAllProblemsWithTheirPlaces(t *testing.T) {
	d, problems := Load([]Source{
		{Name: "one.xml", Data: []byte(`<decoder name="a">
  <prematch>(</prematch>
</decoder>
<decoder name="b">
  <prematch>^b</prematch>
  <colour>red</colour>
  <type>blue</type>
</decoder>
<decoder name="b-child">
  <parent>b</parent>
</decoder>
`)},
		{Name: "two.xml", Data: []byte("<decoder name=\"c\">\n<prematch>x")},
		{Name: "three.xml", Data: []byte("\n<decoder name=\"d\"><parent>nobody</parent></decoder>")},
	}, Options{})
	if d != nil {
		t.Error("a set with errors is returned")
	}
	want := []string{
		"one.xml:2: (1450): ERROR: Syntax error on regex: '(': 6.",
		"one.xml:6: Invalid element 'colour' for decoder 'decoder'",
		"one.xml:7: Invalid decoder type 'blue'.",
		"two.xml:2: (1226): ERROR: Error reading XML file 'two.xml': XMLERR: End of file and some elements were not closed. (line 2).",
		"three.xml:2: (2101): ERROR: Parent decoder name invalid: 'nobody'.",
		"three.xml:2: (2106): ERROR: Error adding decoder plugin.",
	}
	if len(problems) != len(want) {
		t.Fatalf("%d problems, want %d:\n%v", len(problems), len(want), problems.Err())
	}
	for i, p := range problems {
		if !strings.HasPrefix(p.Error(), want[i]) {
			t.Errorf("problem %d: %s\nwant it to begin with %s", i, p.Error(), want[i])
		}
	}
}

func TestLoadWarnsAboutUnreachableChildren(t *testing.T) {
	_, problems := Load([]Source{{Name: "x.xml", Data: []byte(`
<decoder name="p"><prematch>^p</prematch></decoder>
<decoder name="first"><parent>p</parent><regex>(\d)</regex><order>id</order></decoder>
<decoder name="first"><parent>p</parent><regex>(\w)</regex><order>user</order></decoder>
<decoder name="late"><parent>p</parent><prematch>x</prematch></decoder>`)}}, Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || !problems[0].Warning || problems[0].Pos.Line != 5 || !strings.Contains(problems[0].Text, "'late'") {
		t.Errorf("problems %v, want one warning about 'late' in line 5", problems)
	}
}

func TestLoadWarnsAboutSurplusGroups(t *testing.T) {
	d, problems := Load([]Source{{Name: "x.xml", Data: []byte(
		`<decoder name="a"><prematch>^F</prematch><regex>(\d)(\d)(\d)</regex><order>id,status</order></decoder>`)}}, Options{OrderSize: 2})
	if d == nil || len(problems) != 1 || !problems[0].Warning {
		t.Errorf("problems %v, want one warning", problems)
	}
}

func TestEmptyFiles(t *testing.T) {
	if d, _ := Load([]Source{{Name: "local", Data: []byte("<!-- nothing -->"), MayBeEmpty: true}}, Options{}); d == nil {
		t.Error("an optional file without elements is refused")
	}
	if d, _ := Load([]Source{{Name: "main"}}, Options{}); d != nil {
		t.Error("a file without elements is accepted")
	}
}

func TestKnown(t *testing.T) {
	d := mustLoad(t, Options{}, `<decoder name="p"><prematch>^p</prematch></decoder><decoder name="c"><parent>p</parent></decoder>`)
	for _, name := range append([]string{"p", "c"}, internalNames...) {
		if !d.Known(name) {
			t.Errorf("%s is not known", name)
		}
	}
	if d.Known("P") || d.Known("") || d.Len() != 2 {
		t.Errorf("unknown names are known, or %d decoders instead of 2", d.Len())
	}
}

func TestLaterFileAddsChildrenToEarlierParents(t *testing.T) {
	d := mustLoad(t, Options{},
		`<decoder name="app"><program_name>^app$</program_name></decoder>`,
		`<decoder name="app-user"><parent>app</parent><use_own_name>true</use_own_name><regex>user=(\S+)</regex><order>user</order></decoder>`)
	ev := newLogEvent("Dec 29 10:00:01 host app: user=ann")
	Predecode(ev, "m")
	d.Decode(ev, &Scratch{})
	if ev.Decoder != "app-user" || ev.DecoderParent != "app" || ev.DecodedAs != "app-user" {
		t.Errorf("decoder %q, parent %q, decoded as %q", ev.Decoder, ev.DecoderParent, ev.DecodedAs)
	}
}

func FuzzLoad(f *testing.F) {
	for _, v := range []string{
		`<decoder name="a"><prematch>^F</prematch><regex offset="after_prematch">(\d+)</regex><order>id</order></decoder>`,
		`<var name="X">a</var><decoder name="$X"><program_name_pcre2>^su$|^(?:x|y)</program_name_pcre2></decoder>`,
		`<decoder name="p"><program_name/></decoder><decoder name="c"><parent>p</parent><pcre2>(a)?b</pcre2><order>x, y</order><fts>id</fts></decoder>`,
	} {
		f.Add([]byte(v), "Dec 29 10:00:01 host su: F 123 ab")
	}
	for _, v := range readVectors(f) {
		if len(v.Events) > 0 {
			f.Add([]byte(v.Decoders), v.Events[0].Log)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, log string) {
		d, problems := Load([]Source{{Name: "fuzz.xml", Data: data}}, Options{})
		if (d == nil) != (problems.Err() != nil) {
			t.Fatalf("set %v with problems %v", d != nil, problems)
		}
		if d == nil || len(log) > 2000 {
			return
		}
		sameDecoding(t, d, &Scratch{}, log)
		sameDecoding(t, d, &Scratch{}, "Dec 29 10:00:01 host su: "+log)
	})
}
