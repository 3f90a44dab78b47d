package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/cputime"
	"github.com/vedette-hids/vedette/internal/heap"
	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/rules"
	"github.com/vedette-hids/vedette/rules/decode"
)

// discard formats alerts and throws them away.
type discard struct{ buf []byte }

func (d *discard) Record(_ *event.Event, out *rules.Outcome) {
	if a := out.Alert; a != nil && a.Rule.Log {
		d.buf = alert.AppendText(d.buf[:0], a)
	}
}

func (*discard) Idle(time.Time) Progress { return Written }

func corpusRules(b *testing.B) *rules.Ruleset {
	b.Helper()
	root := vectors.Corpus(b, "corpus", "ossec-4.3.0")
	var src rules.Sources
	read := func(p string) []byte {
		data, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	src.Decoders = append(src.Decoders, decode.Source{Name: "decoder.xml", Data: read("decoder.xml")})
	cfg, _ := config.Parse(root, "ossec.conf", read("ossec.conf"))
	for _, r := range cfg.Rules.Rules {
		src.Rules = append(src.Rules, rules.File{Name: r, Data: read(r)})
	}
	rs, problems := rules.Load(src, rules.DefaultOptions())
	if err := problems.Err(); err != nil {
		b.Fatal(err)
	}
	return rs
}

func logLines(b *testing.B, source string) []string {
	b.Helper()
	var lines []string
	for _, l := range vectors.ReadFile[struct{ Log string }](b, vectors.Corpus(b, "vectors", "logs", "ossec-4.3.0", source+".stream.jsonl")) {
		lines = append(lines, l.Log)
	}
	return lines
}

// BenchmarkPipeline is the whole analysis: decode, match, correlate, format alerts. Run it with -cpu 1 and again with -cpu 2 to see
// what the second core brings (in one run, -cpu 1,2, the first value does not reach the parts of a benchmark).
func BenchmarkPipeline(b *testing.B) {
	rs := corpusRules(b)
	for _, source := range []string{"openssh", "linux", "apache"} {
		lines := logLines(b, source)
		b.Run(source, func(b *testing.B) {
			p := New(Options{Ruleset: rs, State: rules.NewState(rs, rules.Stores{}), Recorder: &discard{}, LocalHost: "vm"})
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- p.Run(ctx) }()
			now := time.Unix(1700000000, 0)
			heap.Pace(ctx, heap.Goal) // as the manager does
			b.ReportAllocs()
			cpu := cputime.Used()
			for i := 0; b.Loop(); i++ {
				m := event.Message{Kind: event.KindLog, Location: "/var/log/x", Text: lines[i%len(lines)]}
				if err := p.Submit(ctx, event.NewEvent(m, now.Add(time.Duration(i)*time.Millisecond))); err != nil {
					b.Fatal(err)
				}
			}
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/(cputime.Used()-cpu).Seconds(), "events/cpu-s")
		})
	}
}
