package loggen

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// Kind is a source of lines.
type Kind string

// The kinds, by the program that writes the lines.
const (
	SSHD         Kind = "sshd"
	PAM          Kind = "pam"
	Sudo         Kind = "sudo"
	Cron         Kind = "cron"
	Systemd      Kind = "systemd"
	Kernel       Kind = "kernel"
	ApacheAccess Kind = "apache-access"
	ApacheError  Kind = "apache-error"
	NginxError   Kind = "nginx-error"
	Postfix      Kind = "postfix"
	Dovecot      Kind = "dovecot"
	Named        Kind = "named"
	Windows      Kind = "windows"
	Shop         Kind = "shop" // an application that no decoder knows
)

// kinds holds, in a fixed order, what writes each kind and how often it does relative to the others.
var kinds = []struct {
	kind     Kind
	weight   int
	location string
	write    func(g *Generator, attack bool) string
}{
	{SSHD, 20, "/var/log/auth.log", (*Generator).sshd},
	{PAM, 8, "/var/log/auth.log", (*Generator).pam},
	{Sudo, 3, "/var/log/auth.log", (*Generator).sudo},
	{Cron, 5, "/var/log/syslog", (*Generator).cron},
	{Systemd, 6, "/var/log/syslog", (*Generator).systemd},
	{Kernel, 10, "/var/log/kern.log", (*Generator).kernel},
	{ApacheAccess, 30, "/var/log/apache2/access.log", (*Generator).apacheAccess},
	{ApacheError, 4, "/var/log/apache2/error.log", (*Generator).apacheError},
	{NginxError, 2, "/var/log/nginx/error.log", (*Generator).nginxError},
	{Postfix, 10, "/var/log/mail.log", (*Generator).postfix},
	{Dovecot, 6, "/var/log/mail.log", (*Generator).dovecot},
	{Named, 4, "/var/log/syslog", (*Generator).named},
	{Windows, 4, "WinEvtLog", (*Generator).windows},
	{Shop, 8, "/var/log/syslog", (*Generator).shop},
}

// Options say what to make. The zero value gives ordinary traffic of all kinds.
type Options struct {
	Seed    uint64
	Attacks float64       // share of lines that belong to an attack, 0 to 1
	Kinds   []Kind        // none = all
	Start   time.Time     // zero = 12 January 2026, 08:00 UTC
	Step    time.Duration // greatest distance of two lines; 0 = 100 ms
}

// Line is one log line, without a line end.
type Line struct {
	Kind     Kind
	Location string // path of the file that it would stand in
	Text     string
	Time     time.Time // the time in its header
	Attack   bool
}

// Generator makes lines. It is not safe for concurrent use.
type Generator struct {
	rng     *rand.Rand
	now     time.Time
	step    time.Duration
	attacks float64
	use     []int // indexes into kinds
	total   int   // their weights
	serial  int
}

// New makes a generator. Unknown kinds panic: they are a mistake in a test.
func New(o Options) *Generator {
	g := &Generator{rng: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)), now: o.Start, step: o.Step, attacks: o.Attacks}
	if g.now.IsZero() {
		g.now = time.Date(2026, 1, 12, 8, 0, 0, 0, time.UTC)
	}
	if g.step <= 0 {
		g.step = 100 * time.Millisecond
	}
	for i, k := range kinds {
		if len(o.Kinds) == 0 {
			g.use = append(g.use, i)
			g.total += k.weight
		}
		for _, wanted := range o.Kinds {
			if wanted == k.kind {
				g.use = append(g.use, i)
				g.total += k.weight
			}
		}
	}
	if len(o.Kinds) > 0 && len(g.use) != len(o.Kinds) {
		panic(fmt.Sprintf("loggen: an unknown kind among %q", o.Kinds))
	}
	return g
}

// Next makes a line.
func (g *Generator) Next() Line {
	g.now = g.now.Add(time.Duration(g.rng.Int64N(int64(g.step))))
	g.serial++
	at := g.rng.IntN(g.total)
	for _, i := range g.use {
		if at -= kinds[i].weight; at < 0 {
			attack := g.rng.Float64() < g.attacks
			return Line{Kind: kinds[i].kind, Location: kinds[i].location, Text: kinds[i].write(g, attack), Time: g.now, Attack: attack}
		}
	}
	panic("loggen: weights do not add up")
}

// Write writes n lines, each ended by a newline.
func (g *Generator) Write(w io.Writer, n int) error {
	b := bufio.NewWriter(w)
	for range n {
		b.WriteString(g.Next().Text)
		b.WriteByte('\n')
	}
	return b.Flush()
}

// pick chooses one of several texts.
func (g *Generator) pick(texts ...string) string { return texts[g.rng.IntN(len(texts))] }

// client is the address of an ordinary client, one of 254.
func (g *Generator) client() string { return fmt.Sprintf("192.0.2.%d", 1+g.rng.IntN(254)) }

// attacker is one of eight addresses, so that rules which count by address have something to count.
func (g *Generator) attacker() string { return fmt.Sprintf("203.0.113.%d", 1+g.rng.IntN(8)) }

func (g *Generator) port() int { return 1024 + g.rng.IntN(64000) }

func (g *Generator) user() string {
	return g.pick("ann", "bob", "carla", "dirk", "eva", "frank", "greta", "hanna")
}

func (g *Generator) stranger() string {
	return g.pick("admin", "oracle", "test", "ubuntu", "pi", "git", "user1", "guest")
}

// syslog puts a header in front of a text.
func (g *Generator) syslog(host, program, format string, args ...any) string {
	return g.now.Format(time.Stamp) + " " + host + " " + program + fmt.Sprintf("[%d]: ", 300+g.serial%30000) + fmt.Sprintf(format, args...)
}
