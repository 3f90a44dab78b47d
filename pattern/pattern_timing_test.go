package pattern

import (
	"testing"
)

func BenchmarkAutomaton(b *testing.B) {
	a := NewAutomaton(stockLiterals(b))
	lines := logLines(b)
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	set := &Bitset{}
	b.Logf("%d literals, %d lines of %d bytes on average", a.Len(), len(lines), size/len(lines))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range lines {
			set.Reset()
			a.Scan(l, set)
		}
	}
}

func benchmarkFind(b *testing.B, kind, p, s string) {
	m, err := compile(kind, p)
	if err != nil {
		b.Fatal(err)
	}
	caps := make([]string, 0, MaxCaptures)
	f, finds := m.(finding)
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if finds {
			f.Find(s, caps)
		} else {
			m.MatchString(s)
		}
	}
}

const benchLine = "Dec 10 07:13:56 LabSZ sshd[24227]: Failed password for invalid user webmaster from 173.234.31.186 port 38926 ssh2"

func BenchmarkMatch(b *testing.B) {
	for _, c := range []struct{ name, kind, p string }{
		{"literal/miss", "match", "illegal user"},
		{"literals/miss", "match", "illegal|refused|denied|not allowed|bad|error|wrong"},
		{"prefix/miss", "pcre2", "^sshd"},
		{"ids/miss", "pcre2", "^529$|^4625$|^530$|^4626$|^531$|^4627$"},
		{"regex/hit", "regex", `^\w+ \d+ \S+ \S+ sshd[\d+]: \S+ \S+ for (\.+) from (\S+) port (\d+)`},
		{"regex/miss", "regex", `user (\S+) from (\S+) on (\w+)$`},
		{"pcre2/hit", "pcre2", `Failed \S+ for invalid user (\S+) from (\S+) port (\d+) \S+$`},
		{"pcre2/search", "pcre2", `(\d+\.\d+\.\d+\.\d+) port (\d+)`},
		{"pcre2/miss", "pcre2", `\S+ \S+ from (?:\d+\.){5}`},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkFind(b, c.kind, c.p, benchLine) })
	}
}

// BenchmarkStock runs all stock patterns on a line, as a manager without pre-filter would.
func BenchmarkStock(b *testing.B) {
	var ms []matcher
	for _, v := range stockPatterns(b) {
		m, err := compile(v.Kind, v.Pattern)
		if err != nil {
			b.Fatal(err)
		}
		ms = append(ms, m)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range ms {
			m.MatchString(benchLine)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(ms)), "ns/pattern")
}

func BenchmarkCompileStock(b *testing.B) {
	vs := stockPatterns(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, v := range vs {
			if _, err := compile(v.Kind, v.Pattern); err != nil {
				b.Fatal(err)
			}
		}
	}
}
