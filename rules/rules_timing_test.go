package rules

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/cputime"
	"github.com/vedette-hids/vedette/internal/vectors"
	"github.com/vedette-hids/vedette/rules/decode"
)

// macLines are our own, in the form of macOS system logs.
var macLines = []string{
	"Jul  1 09:00:55 studio-7 kernel[0]: DisplayLink(0x0)::hotplug - notice for route = 0x1 port = 3 unplug = 1",
	"Jul  1 09:01:05 studio-7 com.example.Planner[57]: Battery pressure: 2 Thermal pressure: 0",
	"Jul  1 09:02:26 studio-7 kernel[0]: WLAN: 10233.004711: Radio_4360::powerState: sleep[disabled]",
	"Jul  1 09:03:11 studio-7 mDNSResponder[88]: interface en1 changed too often, waiting 5 seconds",
	"Jul  1 09:03:18 office-mini networkwatch[301]: flow 0x51c is complete after 3 packets",
	"Jul  1 09:04:03 office-mini capture[412]: stored notice id: 8812.07, reason = Link:sts:1_rsn:4",
}

// plainLines match no decoder and no rule.
var plainLines = []string{
	"the quick brown fox jumps over the lazy dog and walks home along the river",
	"task 4711 queued for the nightly run, 12 items, priority normal",
	"2024/05/04 worker-7 loaded 312 records from the table of prices",
	"heartbeat ok seq=99812 lag=3ms",
}

func timingLines(b *testing.B, source string) []string {
	switch source {
	case "mac":
		return macLines
	case "plain":
		return plainLines
	}
	var out []string
	for _, l := range vectors.ReadFile[logLine](b, vectors.Corpus(b, "vectors", "logs", "ossec-4.3.0", source+".single.jsonl")) {
		out = append(out, l.Log)
	}
	return out
}

// appendAlert formats an alert about as alerts.log has it, to a buffer that is thrown away.
func appendAlert(b []byte, a *event.Alert) []byte {
	b = append(b, "** Alert "...)
	b = strconv.AppendInt(b, a.Epoch, 10)
	b = append(append(append(b, ": - "...), a.Rule.Groups...), '\n')
	b = append(append(append(append(b, a.Event.Hostname...), "->"...), a.Event.Location...), '\n')
	b = append(append(append(strconv.AppendInt(append(b, "Rule: "...), int64(a.Rule.ID), 10), a.Rule.Description...), '\n'), a.Event.FullLog...)
	for _, p := range a.Previous {
		b = append(append(b, p...), '\n')
	}
	return b
}

// runEvents takes b.N lines through decoding, matching and formatting, as one worker.
func runEvents(b *testing.B, rs *Ruleset, lines []string) {
	state := NewState(rs, Stores{Ignore: noIgnore{}})
	var sc Scratch
	var p Prepared
	var out []byte
	ev := &event.Event{}
	start := time.Unix(1795000000, 0)
	alerts := 0
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cputime.Used()
	for i := range b.N {
		now := start.Add(time.Duration(i) * time.Millisecond)
		*ev = event.Event{Kind: event.KindLog, Location: "/var/log/x", Source: "/var/log/x", Raw: lines[i%len(lines)], Received: now}
		rs.Prepare(ev, &sc, &p)
		if o := state.Process(&p, now); o.Alert != nil {
			out = appendAlert(out[:0], o.Alert)
			ev = &event.Event{} // the alert keeps the old one
			alerts++
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/(cputime.Used()-cpu).Seconds(), "events/cpu-s")
	b.ReportMetric(float64(alerts)/float64(b.N), "alerts/op")
}

func daemonOptions() Options {
	o := DefaultOptions()
	o.LocalHost, o.Location = "vm", time.UTC
	return o
}

func BenchmarkEvents(b *testing.B) {
	rs := loadCorpus(b, "ossec-4.3.0", daemonOptions())
	for _, source := range []string{"openssh", "linux", "apache", "mac", "plain", "log-entries"} {
		b.Run(source, func(b *testing.B) { runEvents(b, rs, timingLines(b, source)) })
	}
}

func BenchmarkLoad(b *testing.B) {
	src := corpusSources(b, "ossec-4.3.0")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var rs *Ruleset
	b.ReportAllocs()
	for range b.N {
		rs, _ = Load(src, daemonOptions())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")
	runtime.KeepAlive(rs)
}

// syntheticRules makes n rules of the kinds that users write, below one parent and below the root.
func syntheticRules(n int) File {
	var s strings.Builder
	s.WriteString(`<group name="syn,">`)
	for i := range n {
		id := 200000 + i
		switch i % 4 {
		case 0:
			fmt.Fprintf(&s, `<rule id="%d" level="5"><program_name>^svc%d$</program_name><description>d</description></rule>`, id, i)
		case 1:
			fmt.Fprintf(&s, `<rule id="%d" level="5"><if_sid>5700</if_sid><match>event code %d seen</match><description>d</description></rule>`, id, i)
		case 2:
			fmt.Fprintf(&s, `<rule id="%d" level="5"><match>unit-%d failed|unit-%d stopped</match><description>d</description></rule>`, id, i, i)
		case 3:
			fmt.Fprintf(&s, `<rule id="%d" level="5"><if_sid>31100</if_sid><pcre2>^GET /path%d/\S+</pcre2><description>d</description></rule>`, id, i)
		}
	}
	s.WriteString(`</group>`)
	return File{Name: "rules/synthetic.xml", Data: []byte(s.String())}
}

// BenchmarkRuleCount shows how the cost of an event grows with the number of rules.
func BenchmarkRuleCount(b *testing.B) {
	for _, n := range []int{0, 1500, 3000, 7500, 15000} {
		src := corpusSources(b, "ossec-4.3.0")
		if n > 0 {
			src.Rules = append(src.Rules, syntheticRules(n))
		}
		rs, probs := Load(src, daemonOptions())
		if err := probs.Err(); err != nil {
			b.Fatal(err)
		}
		for _, source := range []string{"openssh", "apache", "plain"} {
			b.Run(fmt.Sprintf("%s/more=%d", source, n), func(b *testing.B) { runEvents(b, rs, timingLines(b, source)) })
		}
	}
}

// BenchmarkWorkers prepares on several goroutines and processes in order on one, as the pipeline does, in batches.
func BenchmarkWorkers(b *testing.B) {
	rs := loadCorpus(b, "ossec-4.3.0", daemonOptions())
	lines := timingLines(b, "openssh")
	for _, workers := range []int{1, 2} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) { runPipeline(b, rs, lines, workers) })
	}
}

const batchSize = 256

type batch struct {
	events   [batchSize]*event.Event
	prepared [batchSize]Prepared
	done     chan struct{}
}

func runPipeline(b *testing.B, rs *Ruleset, lines []string, workers int) {
	work := make(chan *batch, 16)
	order := make(chan *batch, 16)
	free := make(chan *batch, 32)
	for range cap(free) {
		free <- &batch{done: make(chan struct{}, 1)}
	}
	start := time.Unix(1795000000, 0)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var sc Scratch
			for bt := range work {
				for i := range bt.events {
					rs.Prepare(bt.events[i], &sc, &bt.prepared[i])
				}
				bt.done <- struct{}{}
			}
		})
	}
	wg.Go(func() {
		state := NewState(rs, Stores{Ignore: noIgnore{}})
		var out []byte
		for bt := range order {
			<-bt.done
			for i := range bt.events {
				if o := state.Process(&bt.prepared[i], bt.events[i].Received); o.Alert != nil {
					out = appendAlert(out[:0], o.Alert)
				}
			}
			free <- bt
		}
	})
	b.ResetTimer()
	for n := 0; n < b.N; n += batchSize {
		bt := <-free
		slab := make([]event.Event, batchSize)
		for i := range bt.events {
			ev := &slab[i]
			ev.Kind, ev.Location, ev.Raw = event.KindLog, "/var/log/x", lines[(n+i)%len(lines)]
			ev.Received = start.Add(time.Duration(n+i) * time.Millisecond)
			bt.events[i] = ev
		}
		work <- bt
		order <- bt
	}
	close(work)
	close(order)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecodeOnly(b *testing.B) {
	rs := loadCorpus(b, "ossec-4.3.0", daemonOptions())
	for _, source := range []string{"openssh", "linux", "apache", "mac", "plain"} {
		lines := timingLines(b, source)
		b.Run(source, func(b *testing.B) {
			var sc decode.Scratch
			ev := &event.Event{Kind: event.KindLog}
			for i := range b.N {
				ev.Raw = lines[i%len(lines)]
				decode.Predecode(ev, "vm")
				rs.decoders.Decode(ev, &sc)
			}
		})
	}
}

// BenchmarkOrdered measures the part that only one core can do: matching of events that are prepared.
func BenchmarkOrdered(b *testing.B) {
	rs := loadCorpus(b, "ossec-4.3.0", daemonOptions())
	for _, source := range []string{"openssh", "linux", "apache"} {
		b.Run(source, func(b *testing.B) {
			lines := timingLines(b, source)
			prepared := make([]Prepared, len(lines))
			var sc Scratch
			for i, l := range lines {
				rs.Prepare(&event.Event{Kind: event.KindLog, Location: "/var/log/x", Raw: l}, &sc, &prepared[i])
			}
			state := NewState(rs, Stores{Ignore: noIgnore{}})
			start := time.Unix(1795000000, 0)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				state.Process(&prepared[i%len(prepared)], start.Add(time.Duration(i)*time.Millisecond))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
