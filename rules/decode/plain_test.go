package decode

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/pattern"
	"github.com/vedette-hids/vedette/pattern/patterntest"
)

var (
	lineCount = flag.Int("lines", 4000, "lines per ruleset of the comparison with the plain decoder")
	lineSeed  = flag.Uint64("seed", 1, "their seed")
)

// plainDecoder is decoding written down once more from the spec (decoders.md, sections 2 and 6): no index, no cache, none of the engines.
// It shares the loaded decoders with the package, and nothing else.
type plainDecoder struct {
	d        *Decoders
	patterns map[any]*patterntest.Plain
}

func newPlainDecoder(t testing.TB, d *Decoders) *plainDecoder {
	p := &plainDecoder{d: d, patterns: map[any]*patterntest.Plain{}}
	add := func(m matcher) {
		if m == nil {
			return
		}
		plain, err := plainPattern(m)
		if err != nil {
			t.Fatal(err)
		}
		p.patterns[m] = plain
	}
	for _, l := range []*list{&d.programs, &d.plain} {
		for _, n := range l.nodes {
			for _, n := range append([]*node{n}, n.children.nodes...) {
				add(n.program)
				if n.prematch != nil {
					add(n.prematch)
				}
				if n.regex != nil {
					add(n.regex)
				}
			}
		}
	}
	return p
}

func plainPattern(m matcher) (*patterntest.Plain, error) {
	switch m := m.(type) {
	case *pattern.Match:
		return patterntest.New(patterntest.Match, m.String())
	case *pattern.Regex:
		return patterntest.New(patterntest.Regex, m.String())
	case *pattern.PCRE2:
		return patterntest.New(patterntest.PCRE2, m.String())
	}
	return nil, fmt.Errorf("no plain form of %T", m)
}

// plainResult is what the plain decoder finds.
type plainResult struct {
	full, log, host, program string
	hasProgram               bool
	decoder, parent          string
	typ                      event.DecoderType
	fts                      uint16
	accumulate               bool
	fields                   event.Fields
	dynamic                  map[string]string
}

func (p *plainDecoder) run(raw string) plainResult {
	var r plainResult
	for _, c := range []byte(raw) {
		if c >= 0x20 && c != 0x7f {
			r.full += string([]byte{c})
		}
	}
	r.host = "vm"
	r.log = r.full
	plainHeader(&r)
	p.decode(&r)
	return r
}

// plainHeader is section 2.3, row by row.
func plainHeader(r *plainResult) {
	text := r.full
	length := len(text) + 1
	t := text
	if len(t) > 2 && t[1:3] == "\xc3\xa4" {
		t = "Ma" + t[3:]
	}
	col := func(cols string, want ...int) bool {
		for _, i := range want {
			if i >= len(t) || t[i] != cols[0] {
				return false
			}
		}
		return true
	}
	digit := func(want ...int) bool {
		for _, i := range want {
			if i >= len(t) || t[i] < '0' || t[i] > '9' {
				return false
			}
		}
		return true
	}
	from := func(i int) string { return text[min(i, len(text)):] }
	iso := length > 33 && col("-", 4, 7) && col("T", 10) && col(":", 13, 16)
	fraction := -1
	for i := 29; i >= 24; i-- {
		if col(":", i) {
			fraction = i
		}
	}
	switch {
	case length > 17 && col(" ", 3, 6, 15) && col(":", 9, 12):
		plainNames(r, from(16))
	case length > 24 && col("-", 4, 7) && col(" ", 10) && col(":", 13, 16) && col(",", 19):
		plainNames(r, from(23))
	case iso && col(":", 22) && col(" ", 25):
		plainNames(r, from(26))
	case iso && (col(".", 19) || col(",", 19)) && fraction >= 0:
		plainNames(r, from(fraction+3))
	case length > 21 && digit(0) && col(" ", 4, 8, 11, 20) && col(":", 14, 17):
		plainNames(r, from(21))
	case length > 20 && digit(0) && col(":", 4, 7, 13, 16) && col("-", 10):
		plainNames(r, from(20))
	case length > 28 && col(" ", 3, 7, 10, 19, 24, 26) && col(":", 13, 16):
		r.log = from(24)
	case length > 24 && col("/", 2) && col("-", 5) && col(":", 8, 11) && col(".", 14) && col(" ", 21):
		r.log = from(23)
	case length > 26 && col("/", 2, 5) && col("-", 10) && col(":", 13, 16) && col(".", 19) && col(" ", 26):
		r.log = from(28)
	case length > 27 && col("[", 0) && col(" ", 4, 8, 11, 20) && col(":", 14, 17) && col("]", 25):
		r.log = from(27)
	case length > 26 && col("[", 0) && col("T", 1) && col(" ", 5, 16) && col(".", 10, 13) && col(":", 19):
		plainASL(r, from(25))
	case length > 32 && col("1", 0) && digit(1, 2, 3, 13) && col(".", 10) && col(" ", 14) && (col(" ", 21) || col(" ", 22)):
		r.log = strings.TrimLeft(from(14), " ")
	}
}

const plainNameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()-./@_"

func cutName(s string) (name, rest string) {
	rest = strings.TrimLeft(s, plainNameChars)
	return s[:len(s)-len(rest)], rest
}

// plainNames is section 2.4.
func plainNames(r *plainResult, s string) {
	s = strings.TrimPrefix(s, " ")
	done := func(program, log string) {
		r.program, r.hasProgram, r.log = program, true, log
		if strings.HasPrefix(log, "[ID ") {
			if _, after, ok := strings.Cut(log, "] "); ok {
				r.log = after
			}
		}
	}
	name, rest := cutName(s)
	if after, ok := strings.CutPrefix(rest, ": "); ok {
		done(name, after)
		return
	}
	r.log = s
	after, ok := strings.CutPrefix(rest, " ")
	if !ok {
		return
	}
	r.host, r.log = name, after
	name, rest = cutName(after)
	if log, ok := plainProgramEnd(rest, true); ok {
		done(name, log)
		return
	}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if len(rest) < 2 || rest[0] != '|' || rest[1] < 'a' || rest[1] > 'z' {
		return
	}
	facility, ok := strings.CutPrefix(strings.TrimLeft(rest[1:], alnum), ":")
	if !ok {
		return
	}
	program, ok := strings.CutPrefix(strings.TrimLeft(facility, alnum), " ")
	if !ok {
		return
	}
	name, rest = cutName(program)
	if log, ok := plainProgramEnd(rest, false); ok {
		done(name, log)
		return
	}
	if len(rest) > 1 && rest[0] == '[' && rest[1] >= '0' && rest[1] <= '9' {
		r.program, r.hasProgram = name, true
		r.log = after[:len(after)-len(rest)]
		return
	}
	done(program, rest)
}

// plainProgramEnd cuts what ends a program name: ": ", "[digits]: " and, where loose, "[digits] ".
func plainProgramEnd(s string, loose bool) (log string, ok bool) {
	if log, ok = strings.CutPrefix(s, ": "); ok {
		return log, true
	}
	if len(s) < 2 || s[0] != '[' || s[1] < '0' || s[1] > '9' {
		return "", false
	}
	s = strings.TrimLeft(s[1:], "0123456789")
	if log, ok = strings.CutPrefix(s, "]: "); ok || !loose {
		return log, ok
	}
	return strings.CutPrefix(s, "] ")
}

// plainASL is section 2.5.
func plainASL(r *plainResult, s string) {
	r.log = s
	ended, message := false, false
	end := func(at int) { // a closing bracket was consumed
		if !ended && !message {
			r.log = s[:at]
		}
		ended = true
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '[' {
			continue
		}
		for _, key := range []string{"Sender ", "Message ", "Host "} {
			value, ok := strings.CutPrefix(s[i+1:], key)
			if !ok || key == "Sender " && r.hasProgram || key == "Message " && message {
				continue
			}
			length := strings.IndexByte(value, ']')
			if length < 0 {
				if key == "Message " {
					r.log = value
				}
				return
			}
			i += 1 + len(key) + length
			switch key {
			case "Sender ":
				r.program, r.hasProgram = value[:length], true
				end(i)
			case "Message ":
				end(i)
				r.log, message = value[:length], true
			case "Host ":
				end(i)
				r.host = value[:length]
				return
			}
			break
		}
	}
}

// decode is section 6.
func (p *plainDecoder) decode(r *plainResult) {
	nodes := p.d.plain.nodes
	if r.hasProgram {
		nodes = p.d.programs.nodes
	}
	for _, n := range nodes {
		if r.hasProgram {
			if _, _, ok := p.patterns[n.program].Find(r.program); !ok {
				continue
			}
		}
		pmatch := 0
		if n.prematch != nil {
			end, _, ok := p.patterns[n.prematch].Find(r.log)
			if !ok {
				continue
			}
			pmatch = end
		}
		r.take(n)
		p.children(r, n, pmatch)
		return
	}
}

func (r *plainResult) take(n *node) {
	r.decoder, r.parent, r.typ, r.fts, r.accumulate = n.shown, n.parent, n.typ, n.fts, n.accumul
}

func (p *plainDecoder) children(r *plainResult, top *node, pmatch int) {
	kids := top.children.nodes
	if len(kids) == 0 {
		p.extract(r, []*node{top}, pmatch, pmatch)
		return
	}
	tried := map[string]bool{}
	for i, k := range kids {
		if tried[k.name] {
			continue // of a group only the first one is asked
		}
		tried[k.name] = true
		cmatch := pmatch
		if k.prematch != nil {
			from := 0
			if k.preAt == afterParent {
				from = pmatch
			}
			end, _, ok := p.patterns[k.prematch].Find(r.log[from:])
			if !ok {
				continue
			}
			cmatch = from + end
			r.take(k)
		}
		group := slices.DeleteFunc(slices.Clone(kids[i:]), func(n *node) bool { return n.name != k.name })
		p.extract(r, group, pmatch, cmatch)
		return
	}
}

func (p *plainDecoder) extract(r *plainResult, group []*node, pmatch, cmatch int) {
	last := -1
	for _, n := range group {
		if n.plugin != nil {
			ev := &event.Event{Log: r.log, Type: r.typ, Location: "stdin", FullLog: r.full, Hostname: r.host}
			n.plugin(ev, &p.d.opts)
			r.fields, r.typ, r.log, r.full, r.host = ev.Fields, ev.Type, ev.Log, ev.FullLog, ev.Hostname
			return
		}
		if n.regex == nil {
			return
		}
		from := map[offset]int{fromStart: 0, afterParent: pmatch, afterPrematch: cmatch, afterRegex: cmatch}[n.regexAt]
		if n.regexAt == afterRegex && last >= 0 {
			from = last
		}
		end, caps, ok := p.patterns[n.regex].Find(r.log[from:])
		last = -1
		if !ok {
			continue
		}
		last = from + end
		r.take(n)
		for i, v := range caps {
			if i >= len(n.order) {
				break
			}
			if name := n.order[i].dynamic; name != "" {
				if r.dynamic == nil {
					r.dynamic = map[string]string{}
				}
				r.dynamic[name] = v
			} else {
				r.fields.Set(n.order[i].field, v)
			}
		}
	}
}

// differs says what is different in an event; "" when nothing is.
func (r *plainResult) differs(ev *event.Event) string {
	bad := func(what string, got, want any) string { return fmt.Sprintf("%s %q, plain %q", what, got, want) }
	switch {
	case ev.FullLog != r.full:
		return bad("full log", ev.FullLog, r.full)
	case ev.Log != r.log:
		return bad("log", ev.Log, r.log)
	case ev.Hostname != r.host:
		return bad("hostname", ev.Hostname, r.host)
	case ev.ProgramName != r.program || ev.HasProgram != r.hasProgram:
		return bad("program", ev.ProgramName, r.program)
	case ev.Decoder != r.decoder || ev.DecodedAs != r.decoder || ev.DecoderParent != r.parent:
		return bad("decoder", ev.Decoder+"<"+ev.DecoderParent, r.decoder+"<"+r.parent)
	case ev.Type != r.typ && r.decoder != "":
		return bad("type", ev.Type, r.typ)
	case ev.FTSFields != r.fts || ev.Accumulate != r.accumulate:
		return "fts or accumulate"
	case ev.Fields != r.fields:
		return fmt.Sprintf("fields %+v, plain %+v", ev.Fields, r.fields)
	case len(ev.Dynamic) != len(r.dynamic):
		return fmt.Sprintf("dynamic %v, plain %v", ev.Dynamic, r.dynamic)
	}
	for _, d := range ev.Dynamic {
		if r.dynamic[d.Name] != d.Value {
			return fmt.Sprintf("dynamic %v, plain %v", ev.Dynamic, r.dynamic)
		}
	}
	return ""
}

// mixer makes lines that suit the decoders.
func (p *plainDecoder) mixer(seed uint64, logs []string) *patterntest.Mixer {
	m := &patterntest.Mixer{Rnd: rand.New(rand.NewPCG(seed, 3)), Logs: logs}
	sampler := func(x matcher) *patterntest.Sampler { return p.patterns[x].Sampler() }
	for _, l := range []*list{&p.d.programs, &p.d.plain} {
		for _, n := range l.nodes {
			var chain patterntest.Chain
			if n.program != nil {
				chain.Program = sampler(n.program)
				m.Programs = append(m.Programs, chain.Program)
			}
			if n.prematch != nil {
				chain.Texts = append(chain.Texts, sampler(n.prematch))
			}
			for _, k := range append([]*node{n}, n.children.nodes...) {
				c := patterntest.Chain{Program: chain.Program, Texts: slices.Clone(chain.Texts)}
				if k != n && k.prematch != nil {
					if k.preAt == fromStart {
						c.Texts = nil
					}
					c.Texts = append(c.Texts, sampler(k.prematch))
				}
				if k.regex != nil {
					if k.regexAt == fromStart {
						c.Texts = nil
					}
					c.Texts = append(c.Texts, sampler(k.regex))
				}
				m.Texts = append(m.Texts, c.Texts...)
				m.Chains = append(m.Chains, c)
			}
		}
	}
	return m
}

// TestDecodingEqualsThePlainDecoder compares pre-decoding and decoding with the plain form on mixed lines, with both rulesets of the
// corpus. With -lines and -seed it goes on for as long as one likes.
func TestDecodingEqualsThePlainDecoder(t *testing.T) {
	for _, ruleset := range []string{"ossec-4.3.0", "ossec-2.9.1"} {
		d := loadCorpus(t, ruleset, Options{})
		plain := newPlainDecoder(t, d)
		var logs []string
		for _, source := range logSources {
			for _, v := range readLogs(t, ruleset, source) {
				logs = append(logs, v.Log)
			}
		}
		mixer := plain.mixer(*lineSeed, logs)
		sc := &Scratch{}
		decoded, bad := map[string]bool{}, 0
		for i := range *lineCount {
			line := mixer.Next()
			ev := newLogEvent(line)
			Predecode(ev, "vm")
			d.Decode(ev, sc)
			want := plain.run(line)
			if diff := want.differs(ev); diff != "" {
				t.Errorf("%s, seed %d, line %d %q: %s", ruleset, *lineSeed, i, line, diff)
				if bad++; bad == 20 {
					break
				}
			}
			decoded[ev.Decoder] = true
		}
		t.Logf("%s, seed %d: %d lines, %d decoders met", ruleset, *lineSeed, *lineCount, len(decoded))
		if len(decoded) < 50 {
			t.Errorf("%s: the test is too tame: only %d decoders were met", ruleset, len(decoded))
		}
	}
}
