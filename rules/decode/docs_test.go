package decode

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// docBlock is one fenced block of a documentation page.
type docBlock struct {
	kind, text string
	line       int
}

func docBlocks(t *testing.T, path string) []docBlock {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []docBlock
	var open *docBlock
	for i, line := range strings.Split(string(data), "\n") {
		switch kind, fence := strings.CutPrefix(line, "```"); {
		case fence && open == nil:
			open = &docBlock{kind: kind, line: i + 1}
		case fence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return out
}

// decodedText gives an event as the page shows it.
func decodedText(ev *event.Event) map[string]bool {
	out := map[string]bool{"  decoder: " + ev.Decoder: true}
	for f := range event.NumFields {
		if v, ok := ev.Fields.Get(f); ok {
			out["  "+FieldLabel(f)+": "+v] = true
		}
	}
	for _, nv := range ev.Dynamic {
		out["  "+nv.Name+": "+nv.Value] = true
	}
	return out
}

// TestDocumentationExamples loads each decoder file of docs/decoders.md and checks the lines shown after it.
func TestDocumentationExamples(t *testing.T) {
	var d *Decoders
	lines := 0
	for _, b := range docBlocks(t, "../../docs/decoders.md") {
		switch b.kind {
		case "xml":
			set, problems := Load([]Source{{Name: "docs/decoders.md", Data: []byte(b.text)}}, Options{})
			if len(problems) > 0 {
				t.Fatalf("example in line %d: %v", b.line, problems)
			}
			d = set
		case "text":
			lines += checkExample(t, d, b)
		}
	}
	if lines < 7 {
		t.Errorf("only %d example lines were found", lines)
	}
}

func checkExample(t *testing.T, d *Decoders, b docBlock) (lines int) {
	acc := NewAccumulator()
	left := map[string]bool{}
	for _, line := range append(strings.Split(strings.TrimSuffix(b.text, "\n"), "\n"), "") {
		if strings.HasPrefix(line, "  ") {
			if !left[line] {
				t.Errorf("block in line %d: shown but not decoded: %s", b.line, line)
			}
			delete(left, line)
			continue
		}
		for rest := range left {
			t.Errorf("block in line %d: decoded but not shown: %s", b.line, rest)
		}
		if line == "" {
			return lines
		}
		lines++
		ev := decodeLog(d, line)
		acc.Update(ev, time.Unix(1000, 0))
		left = decodedText(ev)
	}
	return lines
}
