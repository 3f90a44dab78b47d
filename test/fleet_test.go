//go:build linux

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
)

// Addresses of a fleet: agent 1 is linked to the manager in 10.81.1.0/24 and to the attacker in 10.81.11.0/24, agent 2 likewise.
const (
	fleetManager1, fleetAgent1 = "10.81.1.1", "10.81.1.2"
	fleetManager2, fleetAgent2 = "10.81.2.1", "10.81.2.2"
	fleetSide1, fleetAttack1   = "10.81.11.1", "10.81.11.9"
	fleetSide2, fleetAttack2   = "10.81.12.1", "10.81.12.9"
	fleetGateway               = "10.81.1.254" // default gateway of agent 1; nobody answers there
	fleetPort                  = ":8022"
)

// fleetManagerConf takes rules of the test only; @RESPONSES@ is replaced.
const fleetManagerConf = `<ossec_config>
  <global>
    <email_notification>no</email_notification>
    <allow_list>192.0.2.200</allow_list>
  </global>
  <rules>
    <include>rules_config.xml</include>
    <include>local_rules.xml</include>
  </rules>
  <remote><connection>secure</connection></remote>
  <alerts><log_alert_level>1</log_alert_level></alerts>
  <syscheck><disabled>yes</disabled></syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
@RESPONSES@
</ossec_config>
`

// fleetAgentConf has a short unit for repeated offenders: one and a half and three seconds.
const fleetAgentConf = `<ossec_config>
  <client><server-ip>@MANAGER@</server-ip><notify_time>2</notify_time><time-reconnect>6</time-reconnect></client>
  <syscheck><disabled>yes</disabled></syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
  <localfile><log_format>syslog</log_format><location>@ROOT@/probe.log</location></localfile>
  <active-response>
    <disabled>no</disabled>
    <repeated_offenders>15,30</repeated_offenders>
    <repeated_offenders_unit>100ms</repeated_offenders_unit>
  </active-response>
</ossec_config>
`

// fleetDecoder takes user and source as they stand, whatever bytes they have, as a careless decoder does.
const fleetDecoder = `<decoder name="probe">
  <program_name>^probe$</program_name>
</decoder>

<decoder name="probe-fields">
  <parent>probe</parent>
  <regex>^\w+ #\d+ src=(\.+) user=(\.+)$</regex>
  <order>srcip, user</order>
</decoder>
`

// binding is a command and the rule that calls for it; the rule fires for log lines that begin with the word.
type binding struct {
	word, executable, expect string
	location                 string
	timeout                  int
}

// rules and responses of the bindings: rule 120001 belongs to the first word. Several bindings of a word share its rule.
func (b bindings) rules() string {
	var out strings.Builder
	out.WriteString("<group name=\"probe,\">\n  <rule id=\"120000\" level=\"0\">\n    <decoded_as>probe</decoded_as>\n    <description>Probe.</description>\n  </rule>\n")
	seen := map[string]bool{}
	for _, x := range b {
		if !seen[x.word] {
			seen[x.word] = true
			fmt.Fprintf(&out, "  <rule id=\"%d\" level=\"7\">\n    <if_sid>120000</if_sid>\n    <match>^%s </match>\n    <description>Probe %s.</description>\n  </rule>\n",
				b.rule(x.word), x.word, x.word)
		}
	}
	out.WriteString("</group>\n")
	return out.String()
}

type bindings []binding

func (b bindings) rule(word string) int {
	for i, x := range b {
		if x.word == word {
			return 120001 + i
		}
	}
	return 0
}

func (b bindings) responses() string {
	var out strings.Builder
	for i, x := range b {
		name := strings.TrimSuffix(x.executable, ".sh")
		allowed := "no"
		if x.timeout > 0 {
			allowed = "yes"
		}
		name = fmt.Sprintf("%s-%s%d-", x.word, name, i)
		fmt.Fprintf(&out, "  <command><name>%s</name><executable>%s</executable><expect>%s</expect><timeout_allowed>%s</timeout_allowed></command>\n",
			name, x.executable, x.expect, allowed)
		fmt.Fprintf(&out, "  <active-response><command>%s</command><location>%s</location><rules_id>%d</rules_id><timeout>%d</timeout></active-response>\n",
			name, x.location, b.rule(x.word), x.timeout)
	}
	return out.String()
}

// agentHost is an agent of a fleet and the log it tails.
type agentHost struct {
	install
	id string
}

// fleet is a manager with two agents.
type fleet struct {
	t        testing.TB
	manager  install
	agents   [2]*agentHost
	attacker host
	line     int
}

// newFleet makes the hosts, installs, enrols and starts everything, and waits until both agents take responses.
func newFleet(t testing.TB, b bindings, scripts map[string]string) *fleet {
	t.Helper()
	n := newNetwork(t)
	m, a1, a2, x := n.host("mgr"), n.host("one"), n.host("two"), n.host("attacker")
	n.link(m, fleetManager1, a1, fleetAgent1)
	n.link(m, fleetManager2, a2, fleetAgent2)
	n.link(a1, fleetSide1, x, fleetAttack1)
	n.link(a2, fleetSide2, x, fleetAttack2)
	n.ip("-n", a1.ns, "route", "add", "default", "via", fleetGateway)

	f := &fleet{t: t, attacker: x}
	f.manager = installOn(m, "manager", strings.ReplaceAll(fleetManagerConf, "@RESPONSES@", b.responses()))
	f.manager.write("rules/local_rules.xml", b.rules())
	f.manager.write("etc/local_decoder.xml", fleetDecoder)
	installs := []install{f.manager}
	for i, ns := range []host{a1, a2} {
		in := installOn(ns, "agent", strings.ReplaceAll(fleetAgentConf, "@MANAGER@", []string{fleetManager1, fleetManager2}[i]))
		in.write("probe.log", "")
		f.agents[i] = &agentHost{install: in, id: fmt.Sprintf("%03d", i+1)}
		installs = append(installs, in)
		f.manager.run("", f.manager.bin("manage_agents"), "-a", "any", "-n", fmt.Sprintf("agent%d", i+1))
		key := strings.TrimSpace(f.manager.run("", f.manager.bin("manage_agents"), "-e", f.agents[i].id))
		in.run("y\n\n", in.bin("manage_agents"), "-i", key[strings.LastIndexByte(key, '\n')+1:])
	}
	for _, in := range installs {
		for name, text := range scripts {
			path := in.path("active-response/bin/" + name)
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "@ROOT@", in.root)), 0o750); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		for _, in := range []install{f.agents[0].install, f.agents[1].install, f.manager} {
			stopInstall(in)
		}
	})
	for _, in := range installs {
		if out := in.run("", in.bin("ossec-control"), "start"); !strings.HasSuffix(out, "Completed.\n") {
			t.Fatalf("ossec-control start: %s", out)
		}
	}
	for _, a := range f.agents {
		f.ready(a, b)
	}
	return f
}

// ready waits until an agent tails its log, is connected and has the list of responses.
func (f *fleet) ready(a *agentHost, b bindings) {
	a.eventually("connected, tailing, with ar.conf", 30*time.Second, func() bool {
		log := a.read("logs/ossec.log")
		return strings.Contains(log, "(4102): INFO: Connected") && strings.Contains(log, "Analyzing file: '"+a.path("probe.log")+"'") &&
			strings.Count(a.read("etc/shared/ar.conf"), "\n") >= len(b)
	})
}

// say appends a line to an agent's log and returns its mark, which no other line has.
func (f *fleet) say(a *agentHost, word, src, user string) (mark string) {
	f.line++
	mark = fmt.Sprintf("#%d", f.line)
	appendTo(f.t, a.path("probe.log"), fmt.Sprintf("%s box probe[7]: %s %s src=%s user=%s\n", time.Now().Format("Jan _2 15:04:05"), word, mark, src, user))
	return mark
}

// ask asks an executor.
func (f *fleet) ask(in install, q activeresponse.ControlRequest) activeresponse.ControlReply {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := activeresponse.Control(ctx, activeresponse.ControlPath(in.root), q)
	if err != nil {
		f.t.Fatalf("%+v to %s: %v", q, in.root, err)
	}
	return r
}

// block gives the block of an address on a host, nil if there is none or its program has not run yet.
func (f *fleet) block(in install, addr string) *activeresponse.Block {
	for _, b := range f.ask(in, activeresponse.ControlRequest{Do: "blocked"}).Blocks {
		if b.Address == addr && b.State == activeresponse.Active {
			return &b
		}
	}
	return nil
}

// why gives the reasons that a host knows for refusing an address, one a line.
func (f *fleet) why(in install, who string) string {
	var out strings.Builder
	for _, r := range f.ask(in, activeresponse.ControlRequest{Do: "why", Who: who}).Records {
		fmt.Fprintf(&out, "%s: %s\n", r.Verdict, r.Reason)
	}
	return out.String()
}

// drops lists the addresses that the host's iptables drop.
func (in install) drops() map[string]bool {
	out, _ := in.try("", "iptables-save")
	found := map[string]bool{}
	for _, m := range dropRule.FindAllStringSubmatch(out, -1) {
		found[m[1]] = true
	}
	return found
}

var dropRule = regexp.MustCompile(`(?m)^-A \S+ -s ([0-9.]+)/32 .*-j DROP$`)

// elements gives the elements of an nftables set of table inet filter by address: their lifetime in seconds, 0 for ever.
func (in install) elements(set string) map[string]int {
	out, err := in.try("", "nft", "-j", "list", "set", "inet", "filter", set)
	if err != nil {
		return nil
	}
	var got struct {
		Nftables []struct {
			Set struct {
				Elem []json.RawMessage `json:"elem"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		in.t.Fatalf("nft: %v in %s", err, out)
	}
	found := map[string]int{}
	for _, o := range got.Nftables {
		for _, raw := range o.Set.Elem {
			var plain string
			var timed struct {
				Elem struct {
					Val     string `json:"val"`
					Timeout int    `json:"timeout"`
				} `json:"elem"`
			}
			if json.Unmarshal(raw, &plain) == nil {
				found[plain] = 0
			} else if json.Unmarshal(raw, &timed) == nil {
				found[timed.Elem.Val] = timed.Elem.Timeout
			}
		}
	}
	return found
}

// order puts a response into the local queue of a host, as a program on it may.
func order(t testing.TB, in install, text string) {
	t.Helper()
	c, err := net.Dial("unixgram", in.path("queue/alerts/execq"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(text + "\x00")); err != nil {
		t.Fatal(err)
	}
}
