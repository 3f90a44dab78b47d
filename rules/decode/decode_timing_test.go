package decode

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// macLogs are lines of a macOS system log, made up after the public format; the reference samples have none.
var macLogs = []string{
	"Jul  1 09:00:55 calvisitor-10-105-160-95 kernel[0]: IOThunderboltSwitch<0>(0x0)::listenerCallback - Thunderbolt HPD packet for route = 0x0 port = 11 unplug = 0",
	"Jul  1 09:01:05 calvisitor-10-105-160-95 com.apple.CDScheduler[43]: Thermal pressure state: 1 Memory pressure state: 0",
	"Jul  1 09:02:26 calvisitor-10-105-160-95 kernel[0]: ARPT: 620701.011328: AirPort_Brcm43xx::syncPowerState: WWEN[enabled]",
	"Jul  1 09:03:18 authorMacBook-Pro symptomsd[215]: __NEFlow_processed: flow 0x7f8d is complete",
	"[Time 2006.12.28 15:53:55 UTC] [Facility auth] [Sender sshd] [PID 483] [Message error: PAM: Authentication failure for root from 192.0.2.1] [Level 3] [UID -2] [GID -2] [Host macbox]",
}

// timingLogs returns the raw lines of a source.
func timingLogs(b *testing.B, source string) []string {
	if source == "mac" {
		return macLogs
	}
	var out []string
	for _, v := range readLogs(b, "ossec-4.3.0", source) {
		out = append(out, v.Log)
	}
	return out
}

// run decodes the lines b.N times in turn, as one worker of the pipeline does.
func run(b *testing.B, d *Decoders, lines []string) {
	sc := &Scratch{}
	ev := &event.Event{Kind: event.KindLog, Location: "/var/log/x", Received: time.Unix(1, 0)}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		ev.Raw = lines[i%len(lines)]
		Predecode(ev, "manager")
		d.Decode(ev, sc)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecode(b *testing.B) {
	d := loadCorpus(b, "ossec-4.3.0", Options{})
	for _, source := range []string{"openssh", "linux", "apache", "mac", "log-entries"} {
		b.Run(source, func(b *testing.B) { run(b, d, timingLogs(b, source)) })
	}
}

func BenchmarkPredecode(b *testing.B) {
	lines := timingLogs(b, "openssh")
	ev := &event.Event{Kind: event.KindLog, Location: "/var/log/x"}
	b.ReportAllocs()
	for i := range b.N {
		ev.Raw = lines[i%len(lines)]
		Predecode(ev, "manager")
	}
}

// syntheticDecoders makes n decoders of the kinds that users write: by program name, by anchored and by unanchored prematch, with children.
func syntheticDecoders(n int) string {
	var s strings.Builder
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&s, "<decoder name=\"app%d\"><program_name>^app%dd</program_name></decoder>\n", i, i)
			fmt.Fprintf(&s, "<decoder name=\"app%d-login\"><parent>app%d</parent><prematch>^login </prematch>"+
				"<regex offset=\"after_prematch\">^(\\S+) from (\\S+)</regex><order>user, srcip</order></decoder>\n", i, i)
		case 1:
			fmt.Fprintf(&s, "<decoder name=\"dev%d\"><prematch>^dev%d: event </prematch></decoder>\n", i, i)
		case 2:
			fmt.Fprintf(&s, "<decoder name=\"unit%d\"><prematch>unit-%d-message </prematch></decoder>\n", i, i)
		}
	}
	return s.String()
}

// BenchmarkDecoderCount shows what more decoders cost: the reference set alone is x1, then synthetic decoders in front of it make it 2, 5 and
// 10 times as large.
func BenchmarkDecoderCount(b *testing.B) {
	path := vectors.Corpus(b, "corpus", "ossec-4.3.0", "decoder.xml")
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	const stock = 343
	for _, times := range []int{1, 2, 5, 10} {
		d, problems := Load([]Source{
			{Name: "more", Data: []byte("<decoder name=\"first\"><prematch>^first never</prematch></decoder>" + syntheticDecoders((times-1)*stock*3/4))},
			{Name: path, Data: data},
		}, Options{})
		if d == nil {
			b.Fatal(problems.Err())
		}
		for _, source := range []string{"openssh", "apache"} {
			b.Run(fmt.Sprintf("%s/x%d", source, times), func(b *testing.B) { run(b, d, timingLogs(b, source)) })
		}
	}
}

// BenchmarkPlainWalk is the walk without tables, for comparison.
func BenchmarkPlainWalk(b *testing.B) {
	d := loadCorpus(b, "ossec-4.3.0", Options{})
	lines := timingLogs(b, "openssh")
	ev := &event.Event{Kind: event.KindLog, Location: "/var/log/x"}
	b.ReportAllocs()
	for i := range b.N {
		ev.Raw = lines[i%len(lines)]
		Predecode(ev, "manager")
		ev.Fields.Reset()
		plainDecode(d, ev)
	}
}

func BenchmarkLoad(b *testing.B) {
	path := vectors.Corpus(b, "corpus", "ossec-4.3.0", "decoder.xml")
	data, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for range b.N {
		Load([]Source{{Name: path, Data: data}}, Options{})
	}
}
