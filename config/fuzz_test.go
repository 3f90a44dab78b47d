package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

func FuzzParse(f *testing.F) {
	for _, c := range vectors.Read[configCase](f, "config/config_cases.jsonl") {
		if c.Config != nil {
			f.Add([]byte(*c.Config))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, ps := Parse("", "f", data)
		if cfg == nil {
			t.Fatal("no configuration")
		}
		for _, p := range ps {
			if p.Text == "" || p.Pos.File != "f" {
				t.Fatalf("problem without text or file: %+v", p)
			}
		}
		for _, r := range cfg.Remotes {
			if r.Port < 1 || r.Port > 65535 {
				t.Fatalf("port %d", r.Port)
			}
		}
		for i := range cfg.ActiveResponses {
			a := &cfg.ActiveResponses[i]
			if a.Command == nil || strings.ContainsAny(a.Command.Executable, "/ \n") || strings.ContainsAny(a.Name(), " \n") {
				t.Fatalf("response %+v", a)
			}
		}
		entries, more := ParseARConf("ar.conf", ARConf(cfg))
		if len(entries) != len(cfg.ActiveResponses)+2 {
			t.Fatalf("%d entries of %d responses: %v", len(entries), len(cfg.ActiveResponses), more)
		}
	})
}

func FuzzAgentConf(f *testing.F) {
	for _, e := range vectors.Read[effect](f, "config/config_effects.jsonl") {
		if e.AgentConf != nil {
			f.Add([]byte(*e.AgentConf))
		}
	}
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := newConfig("")
		ps := parseAgentConf(root, "agent.conf", data, AgentIdentity{Name: "web1", Profile: "-", OS: linuxAgent}, cfg, nil)
		if ps.Err() != nil {
			t.Fatal("agent.conf prevents the start")
		}
		for _, l := range cfg.Localfiles {
			if l.Command != "" || !l.FromAgentConf {
				t.Fatalf("manager's command accepted: %+v", l)
			}
		}
	})
}

func FuzzOptions(f *testing.F) {
	for _, e := range vectors.Read[effect](f, "config/config_effects.jsonl") {
		if e.LocalOptions != "" {
			f.Add([]byte(e.LocalOptions))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, _ := ParseOptions("f", data)
		for _, s := range OptionSpecs() {
			if v := o.Int(s.Key); v < s.Min || v > s.Max {
				t.Fatalf("%s = %d", s.Key, v)
			}
		}
	})
}

func FuzzParseARConf(f *testing.F) {
	f.Add([]byte("restart-ossec0 - restart-ossec.sh - 0\nx5 - ../x - 5\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _ := ParseARConf("f", data)
		for _, e := range entries {
			if climbs(e.Executable) || strings.Contains(e.Executable, "\n") || len(e.Name) > maxResponseName {
				t.Fatalf("entry %+v", e)
			}
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"10.1", "!any", "::/0", "10.0.0.0/x", "0x7f.1", "::ffff:1.2.3.4/120"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if !a.Prefix.IsValid() || a.Text != s {
			t.Fatalf("%q gave %+v", s, a)
		}
		if !a.Contains(a.Prefix.Addr()) || a.Match(netip.IPv6Loopback()) != (a.Contains(netip.IPv6Loopback()) != a.Negate) {
			t.Fatalf("%q: %+v is inconsistent", s, a)
		}
	})
}
