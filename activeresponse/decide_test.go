package activeresponse

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

const dropBlocks = `<command><name>drop</name><executable>firewall-drop.sh</executable><expect>srcip</expect><timeout_allowed>yes</timeout_allowed></command>
<active-response><command>drop</command><location>local</location><level>7</level><timeout>600</timeout></active-response>`

func alertFrom(ip string) *event.Alert {
	ev := event.FromAgent(event.KindLog, &event.Agent{ID: "001", Name: "web", IP: "10.0.0.5"}, []byte("/var/log/auth.log:x"), time.Time{})
	ev.Fields.Set(event.SrcIP, ip)
	return &event.Alert{Epoch: 1700000000, Seq: 5, Rule: &event.Rule{ID: 5712, Level: 10, Groups: "syslog,sshd,"}, Event: ev}
}

func deciderFor(t testing.TB, global, blocks string, host *protect.Host) *Decider {
	t.Helper()
	cfg, ps := config.Parse("", "ossec.conf", []byte("<ossec_config><global><logall>no</logall>"+global+"</global>"+blocks+"</ossec_config>"))
	if err := ps.Err(); err != nil {
		t.Fatal(err)
	}
	return NewDecider(cfg, DeciderOptions{Host: host})
}

func TestEveryDecisionIsRecordedWithItsReason(t *testing.T) {
	host := protect.NewHost(func() []protect.Entry {
		return []protect.Entry{{Addr: netip.MustParseAddr("192.0.2.1"), Why: "default gateway"}}
	})
	d := deciderFor(t, "<allow_list>10.8.0.0/16</allow_list><allow_list>web1.lan</allow_list>", dropBlocks, host)
	for ip, want := range map[string]string{
		"192.0.2.7": "sent: rule level 10 is at least 7", "192.0.2.1": "refused: protected: default gateway", "::ffff:192.0.2.1": "refused: protected: default gateway",
		"127.0.0.1": "refused: protected: loopback address", "0.0.0.0": "refused: protected: unspecified address", "10.8.1.1": "refused: allow list: 10.8.0.0/16",
		"WEB1": "refused: allow list: web1.lan", "a b": "refused: the source is neither an address nor a host name", "224.0.0.5": "refused: protected: multicast address",
		"2001:DB8::0:7": "sent: rule level 10 is at least 7",
	} {
		sent := d.Decide(alertFrom(ip))
		records := d.Journal().Why("")
		r := records[len(records)-1]
		if got := string(r.Verdict) + ": " + r.Reason; got != want || (len(sent) == 1) != (r.Verdict == Sent) {
			t.Errorf("%s: %d sent, %q; want %q", ip, len(sent), got, want)
		}
	}
	if got := d.Journal().Why("2001:db8::7"); len(got) != 1 || got[0].Target != "agent web" {
		t.Errorf("the canonical form is not what was recorded: %+v", got)
	}
}

func TestExactModeKeepsOSSECsChecks(t *testing.T) {
	blocks := strings.Replace(dropBlocks, "<expect>srcip", "<expect>srcip,user", 1)
	d := deciderFor(t, "<ossec_exact>yes</ossec_exact><allow_list>good.example.org</allow_list>", blocks, nil)
	for ip, want := range map[string]int{"999.1.1.1": 1, "-1": 1, "good.ex": 0, "1.2.3.4;id": 0} {
		a := alertFrom(ip)
		a.Event.Fields.Set(event.DstUser, "-l")
		if got := d.Decide(a); len(got) != want {
			t.Errorf("%s: %d sent, want %d", ip, len(got), want)
		}
	}
}

func TestNoResponseForLevelZeroAndNoAR(t *testing.T) {
	d := deciderFor(t, "", dropBlocks, nil)
	a := alertFrom("192.0.2.7")
	for _, r := range []*event.Rule{{ID: 1, Level: 0}, {ID: 1, Level: 12, NoAR: true}, {ID: 1, Level: 6}, nil} {
		if a.Rule = r; len(d.Decide(a)) != 0 {
			t.Errorf("%+v triggers a response", r)
		}
	}
}

func TestDestinationOfDefinedAgentAndAll(t *testing.T) {
	for location, want := range map[string]string{"server": "local", "all": "all agents", "defined-agent": "agent 007", "local": "agent web", "local,defined-agent": "agent web"} {
		blocks := strings.Replace(dropBlocks, "<location>local</location>", "<location>"+location+"</location><agent_id>007</agent_id>", 1)
		got := deciderFor(t, "", blocks, nil).Decide(alertFrom("192.0.2.7"))
		if len(got) != 1 || got[0].Target() != want {
			t.Errorf("%s: %+v, want %s", location, got, want)
		}
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := NewJournal(3)
	for i := range 7 {
		j.Add(Record{Address: fmt.Sprint(i)})
	}
	if got := j.Why(""); len(got) != 3 || got[0].Address != "4" || got[2].Address != "6" {
		t.Errorf("%+v", got)
	}
	if got := j.Why("5"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestExecdTextRoundTrip(t *testing.T) {
	full := event.Response{Name: "c60", User: "bob", IP: "10.1.2.3", AlertID: "1.2", RuleID: "5712", Location: "(web) 10.0.0.5->C:\\Program Files\\x", Filename: `/srv/a\ b\;c`}
	for _, r := range []event.Response{full, {Name: "restart-ossec0", User: "-", IP: "null", AlertID: "(from_the_server)", RuleID: "(no_rule_id)"},
		{Name: "x0", User: "u", IP: ""}, {Name: "x0", User: "-", IP: "1.1.1.1", AlertID: "1", RuleID: "2", Location: "l", Filename: "-"}} {
		got, err := ParseExecd(FormatExecd(r))
		if err != nil || got != r {
			t.Errorf("%q gives %+v, %v; want %+v", FormatExecd(r), got, err, r)
		}
	}
}

func FuzzParseExecd(f *testing.F) {
	for _, s := range []string{"host-deny600 - 10.1.2.3 1700000000.1 5712 (web) 10.0.0.5->/var/log/x -", "a0", "a0 ", "a0 u ", `f0 - - 1 2 l /a\ b\ c`, "a0 u i a r l l l f", "a\x00b c d",
		"restart-ossec0 - null (from_the_server) (no_rule_id)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseExecd(text)
		if err != nil {
			return
		}
		again, err := ParseExecd(FormatExecd(r))
		if len(FormatExecd(r)) == MaxMessage {
			return // cut
		}
		if again.Filename == "-" && r.Filename == "" {
			again.Filename = "" // written so that the location keeps its last word
		}
		if err != nil || again != r {
			t.Errorf("%q: %+v, then %+v, %v", text, r, again, err)
		}
	})
}

func FuzzParseAR(f *testing.F) {
	for _, s := range []string{"(web) 10.0.0.5->/var/log/x NRN (null) c60 - 10.1.2.3 1.1 5712 (web) 10.0.0.5->/var/log/x (null)", "(msg_to_agent) [] A!N (null) syscheck restart",
		"(local_source) df -h NNS 007 c0 - - 1.1 2 df -h -", "(a) b", "no", "()"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseAR(text)
		if err == nil && (len(o.Payload()) > MaxMessage+len("execd ") || strings.Contains(o.AgentName, ")")) {
			t.Errorf("%q: %+v", text, o)
		}
	})
}

func FuzzParseSource(f *testing.F) {
	for _, s := range []string{"10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0", "host-name.example", "-1", "999.1.1.1", "0x7f.1", "a..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, addr, ok := ParseSource(s)
		if !ok {
			return
		}
		if text == "" || text[0] == '-' || strings.ContainsAny(text, " /;$`'\"%\n\t[]()") {
			t.Errorf("%q gives %q", s, text)
		}
		if again, a2, ok := ParseSource(text); !ok || again != text || a2 != addr {
			t.Errorf("%q gives %q, then %q", s, text, again)
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	d := deciderFor(b, "<allow_list>10.8.0.0/16</allow_list>", dropBlocks, protect.NewHost(protect.Gather))
	a := alertFrom("192.0.2.7")
	b.ReportAllocs()
	for b.Loop() {
		if len(d.Decide(a)) != 1 {
			b.Fatal("not sent")
		}
	}
}

func BenchmarkDecideUnbound(b *testing.B) {
	d := deciderFor(b, "", dropBlocks, nil)
	a := alertFrom("192.0.2.7")
	a.Rule = &event.Rule{ID: 5501, Level: 3, Groups: "pam,syslog,authentication_success,"}
	b.ReportAllocs()
	for b.Loop() {
		if len(d.Decide(a)) != 0 {
			b.Fatal("sent")
		}
	}
}
