//go:build linux

package test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/activeresponse"
)

var responseBindings = bindings{
	{"drop", "firewall-drop.sh", "srcip", "local", 1},
	{"hold", "firewall-drop.sh", "srcip", "local", 6},
	{"kernel", "nftables-drop.sh", "srcip", "local", 1},
	{"note", "record.sh", "srcip,user", "local", 0},
	{"hang", "hang.sh", "srcip", "local", 0},
	{"hang", "hang.sh", "srcip", "server", 0},
	{"hang", "missing.sh", "srcip", "local", 0},
	{"every", "everywhere.sh", "srcip", "server", 0},
	{"every", "everywhere.sh", "srcip", "all", 0},
}

var responseScripts = map[string]string{
	// Its arguments, one a line, and a mark at the end, in one write because several run at a time.
	"record.sh":     "#!/bin/sh\nprintf '%s\\n' \"$@\" end >>'@ROOT@/recorded'\n",
	"everywhere.sh": "#!/bin/sh\necho \"$3\" >>'@ROOT@/everywhere'\n",
	// Hangs, and does not care for polite requests to end, until the test lets it go.
	"hang.sh": "#!/bin/sh\ntrap '' TERM INT HUP\necho \"$3\" >>'@ROOT@/hanging'\nwhile [ ! -e '@ROOT@/let-go' ]; do sleep 0.2; done\n",
}

// responses is the stage of TestResponsesAcrossAFleet.
type responses struct {
	*fleet
	kernelBlock time.Time // when the block that only the kernel knows of was made
}

func TestResponsesAcrossAFleet(t *testing.T) {
	f := newFleet(t, responseBindings, responseScripts)
	s := &responses{fleet: f}
	for i, side := range []string{fleetSide1, fleetSide2} {
		serve := f.agents[i].play("serve", side+fleetPort, os.Stderr)
		if err := serve.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { serve.Process.Kill(); serve.Wait() })
	}
	steps := []struct {
		name string
		run  func(*testing.T, *responses)
	}{
		{"the same rule blocks each attacker where it attacked", blocksWhereItShould},
		{"location server and location all", everywhere},
		{"the kernel is told when a block of nftables-drop ends", kernelTimeout},
		{"what the host needs is never blocked", protectedAddresses},
		{"hostile users and addresses reach no command line", hostileValues},
		{"hanging and missing responders slow nobody", hangingResponders},
		{"every offence is blocked for longer", escalation},
		{"blocks outlive kill -9 and end on time", killedAgent},
		{"the kernel ends the block of a dead agent", kernelEndsIt},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) {
			f.t, f.manager.t, f.agents[0].t, f.agents[1].t, f.attacker.t = t, t, t, t, t
			step.run(t, s)
		}) {
			break
		}
	}
	f.t, f.manager.t, f.agents[0].t, f.agents[1].t, f.attacker.t = t, t, t, t, t
}

func blocksWhereItShould(t *testing.T, s *responses) {
	one, two := s.agents[0], s.agents[1]
	at1, at2 := fleetSide1+fleetPort, fleetSide2+fleetPort
	one.eventually("the attacker reaches both agents", 20*time.Second, func() bool { return s.attacker.reaches(at1) && s.attacker.reaches(at2) })
	s.say(one, "hold", fleetAttack1, "root")
	one.eventually("agent 1 drops the attacker", 10*time.Second, func() bool { return one.drops()[fleetAttack1] })
	if s.attacker.reaches(at1) {
		t.Error("agent 1 still answers the attacker")
	}
	if got := two.drops(); len(got) != 0 || !s.attacker.reaches(at2) {
		t.Errorf("agent 2, which was not attacked, drops %v", got)
	}
	s.say(two, "hold", fleetAttack2, "root")
	two.eventually("agent 2 drops its attacker", 10*time.Second, func() bool { return two.drops()[fleetAttack2] })
	if s.attacker.reaches(at2) {
		t.Error("agent 2 still answers the attacker")
	}
	if one.drops()[fleetAttack2] || two.drops()[fleetAttack1] {
		t.Errorf("agent 1 drops %v, agent 2 drops %v", one.drops(), two.drops())
	}
	if got := s.manager.drops(); len(got) != 0 {
		t.Errorf("the manager's host, which nobody attacked, drops %v", got)
	}
	// The operator takes it back before its time.
	s.ask(one.install, activeresponse.ControlRequest{Do: "unblock", Who: fleetAttack1})
	if one.drops()[fleetAttack1] || !s.attacker.reaches(at1) {
		t.Error("unblocked, and yet the attacker is cut off")
	}
}

func everywhere(t *testing.T, s *responses) {
	hosts := []install{s.manager, s.agents[0].install, s.agents[1].install}
	s.say(s.agents[0], "every", "203.0.113.5", "root")
	for _, in := range hosts {
		in.eventually("the response of location server or all has run", 10*time.Second, func() bool { return in.read("everywhere") == "203.0.113.5\n" })
	}
	s.say(s.agents[1], "every", "203.0.113.6", "root")
	for _, in := range hosts {
		in.eventually("it has run once for each line", 10*time.Second, func() bool { return in.read("everywhere") == "203.0.113.5\n203.0.113.6\n" })
	}
}

// kernelTimeout gives the agent a set whose elements end by themselves, blocks an address, and kills the agent.
func kernelTimeout(t *testing.T, s *responses) {
	two := s.agents[1]
	two.run(`add table inet filter
add set inet filter ossec_ar4 { type ipv4_addr; flags timeout; }
add chain inet filter input { type filter hook input priority 0; }
add rule inet filter input ip saddr @ossec_ar4 drop
`, "nft", "-f", "-")
	s.ask(two.install, activeresponse.ControlRequest{Do: "unblock"})
	if !s.attacker.reaches(fleetSide2 + fleetPort) {
		t.Fatal("the attacker does not reach agent 2")
	}
	s.say(two, "kernel", fleetAttack2, "root")
	two.eventually("the element is in the set", 10*time.Second, func() bool { _, in := two.elements("ossec_ar4")[fleetAttack2]; return in })
	s.kernelBlock = time.Now()
	// The agent ends a block of one second soon, unless it is dead by then; the element's own timeout is all that is left.
	kill(t, two.install)
	life, in := two.elements("ossec_ar4")[fleetAttack2]
	if !in {
		t.Skip("the agent ended the block before it was killed: a slow machine")
	}
	if life < 2 || life > 60 {
		t.Errorf("the kernel keeps the element for %d s; a little more than the timeout of 1 s is expected", life)
	}
	if s.attacker.reaches(fleetSide2 + fleetPort) {
		t.Error("agent 2 answers the attacker")
	}
}

func kernelEndsIt(t *testing.T, s *responses) {
	two := s.agents[1]
	if len(two.elements("ossec_ar4")) == 0 {
		t.Skip("no block was left to the kernel")
	}
	two.eventually("the kernel has ended the block", time.Until(s.kernelBlock)+45*time.Second, func() bool { return len(two.elements("ossec_ar4")) == 0 })
	if !s.attacker.reaches(fleetSide2 + fleetPort) {
		t.Error("the attacker is still cut off")
	}
}

func protectedAddresses(t *testing.T, s *responses) {
	one := s.agents[0]
	want := map[string]string{ // reason, and whether the manager or the agent refuses first
		"127.0.0.1": "manager: refused: protected: loopback address", "::1": "manager: refused: protected: loopback address",
		"127.0.0.53": "manager: refused: protected: loopback address", "0.0.0.0": "manager: refused: protected: unspecified address",
		"255.255.255.255": "manager: refused: protected: broadcast address", "224.0.0.1": "manager: refused: protected: multicast address",
		fleetManager1: "manager: refused: protected: own address", fleetGateway: "agent: refused: protected: default gateway",
		fleetAgent1: "agent: refused: protected: own address", fleetSide1: "agent: refused: protected: own address",
		"192.0.2.200": "manager: refused: allow list: 192.0.2.200", "localhost": "manager: refused: protected: name of the loopback address",
	}
	for addr := range want {
		s.say(one, "hold", addr, "root")
	}
	s.say(one, "hold", "::ffff:127.0.0.1", "root")
	// Somebody who can speak to the agent itself does not get further.
	for _, addr := range []string{"127.0.0.1", fleetManager1, fleetGateway, "::ffff:" + fleetGateway, "224.0.0.251", "0.0.0.0"} {
		order(t, one.install, fmt.Sprintf("%s - %s 1700000000.1 %d /x -", s.name("hold"), addr, responseBindings.rule("hold")))
	}
	s.say(one, "hold", "203.0.113.77", "root")
	one.eventually("an address that may be blocked is", 10*time.Second, func() bool { return s.block(one.install, "203.0.113.77") != nil })
	if got := one.drops(); len(got) != 1 || !got["203.0.113.77"] {
		t.Errorf("agent 1 drops %v, expected only 203.0.113.77", got)
	}
	for addr, reason := range want {
		who, verdict, _ := strings.Cut(reason, ": ")
		in := s.manager
		if who == "agent" {
			in = one.install
		}
		if got := s.why(in, addr); !strings.Contains(got, verdict+"\n") {
			t.Errorf("%s: the %s says %q, expected %q", addr, who, got, verdict)
		}
	}
	if got := s.why(one.install, fleetManager1); !strings.Contains(got, "refused: protected: manager\n") {
		t.Errorf("manager's address on the agent: %q", got)
	}
	for _, in := range []install{s.manager, one.install} {
		addr, reason := fleetGateway, "default gateway"
		if in.root == s.manager.root {
			addr, reason = "127.0.0.1", "loopback address"
		}
		if out := in.run("", in.bin("vedette"), "blocked", "--why", addr); !strings.Contains(out, reason) {
			t.Errorf("vedette blocked --why %s shows\n%s", addr, out)
		}
	}
	if out := one.run("", one.bin("vedette"), "blocked"); !strings.Contains(out, "203.0.113.77") || !strings.Contains(out, s.name("hold")) {
		t.Errorf("vedette blocked shows\n%s", out)
	}
}

// name is the name in ar.conf of the first response to a word.
func (s *responses) name(word string) string {
	for line := range strings.Lines(s.manager.read("etc/shared/ar.conf")) {
		if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, word+"-") {
			return name
		}
	}
	s.t.Fatalf("no response to %q in ar.conf", word)
	return ""
}

func hostileValues(t *testing.T, s *responses) {
	one := s.agents[0]
	canary := one.path("canary")
	long := strings.Repeat("a", 300)
	users := []string{"x;touch " + canary + ";", "$(touch " + canary + ")", "`touch " + canary + "`", "x|touch " + canary, "a\"b'c", "-l", "--help", "-", "x\x01y",
		"../../etc/passwd", "b\xf6b", "x;touch${IFS}" + canary, "bob ", "&", "a*b", "~root", long}
	addrs := []string{"1.2.3.4;touch " + canary, "$(touch " + canary + ")", "-s", "--version", "999.1.1.1", "0x7f.1", "010.0.0.1", "10.1", "1.2.3.4/0", "0.0.0.0/0", "fe80::1%eth0",
		"::/0", "%n", "1.2.3.4 -j ACCEPT", "`touch " + canary + "`", "*", long}
	for _, u := range users {
		s.say(one, "note", "203.0.113.8", u)
	}
	for _, a := range addrs {
		s.say(one, "note", a, "bob")
		s.say(one, "hold", a, "bob")
	}
	for _, piece := range append(users, addrs...) {
		if piece == "-" || strings.Contains(piece, " ") {
			continue // no value, or several pieces
		}
		for _, name := range []string{s.name("note"), s.name("hold")} {
			order(t, one.install, name+" "+piece+" 203.0.113.8 1700000000.1 120004 /x -")
			order(t, one.install, name+" bob "+piece+" 1700000000.1 120004 /x -")
		}
	}
	s.say(one, "note", "203.0.113.9", "alice")
	one.eventually("the harmless one has run", 15*time.Second, func() bool { return strings.Contains(one.read("recorded"), "203.0.113.9\n") })
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command from a log line was run")
	}
	for _, call := range strings.Split(strings.TrimSuffix(one.read("recorded"), "end\n"), "end\n") {
		args := strings.Split(strings.TrimSuffix(call, "\n"), "\n")
		if len(args) < 5 || args[0] != "add" {
			t.Errorf("the program was started with %q", args)
			continue
		}
		if !harmlessUser.MatchString(args[1]) || args[2] != "203.0.113.8" && args[2] != "203.0.113.9" {
			t.Errorf("the program got user %q and address %q", args[1], args[2])
		}
	}
	for addr := range one.drops() {
		if addr != "203.0.113.77" && addr != "203.0.113.8" {
			t.Errorf("the firewall drops %s", addr)
		}
	}
	log := s.manager.read("logs/ossec.log")
	for _, want := range []string{"ossec-analysisd(1272): WARN: Invalid username '-l'. Possible logging attack.", "ossec-analysisd(1271): WARN: Invalid IP Address '999.1.1.1'. Possible logging attack."} {
		if !strings.Contains(log, want) {
			t.Errorf("ossec.log of the manager lacks %q", want)
		}
	}
	s.ask(one.install, activeresponse.ControlRequest{Do: "unblock"})
}

// harmlessUser is what a program may get as a user name.
var harmlessUser = regexp.MustCompile(`^[a-zA-Z0-9_.@?][a-zA-Z0-9_.@?-]{0,254}$`)

func hangingResponders(t *testing.T, s *responses) {
	one := s.agents[0]
	for i := range 8 {
		s.say(one, "hang", fmt.Sprintf("203.0.113.%d", 100+i), "root")
	}
	for _, in := range []install{one.install, s.manager} {
		in.eventually("programs hang", 10*time.Second, func() bool { return in.read("hanging") != "" })
	}
	s.say(one, "hold", "203.0.113.99", "root")
	one.eventually("another program blocks while those hang", 10*time.Second, func() bool { return one.drops()["203.0.113.99"] })
	const lines = 500
	var last string
	for range lines {
		last = s.say(one, "hang", "203.0.113.100", "root")
	}
	s.manager.eventually("events are analysed while those hang", 20*time.Second, func() bool { return len(s.manager.entries(" "+last+" ")) > 0 })
	if n := len(s.manager.entries("Probe hang.")); n != lines+8 {
		t.Errorf("%d alerts for %d lines", n, lines+8)
	}
	s.ask(one.install, activeresponse.ControlRequest{Do: "unblock", Who: "203.0.113.99"})
	for _, in := range []install{one.install, s.manager} {
		if log := in.read("logs/ossec.log"); !strings.Contains(log, "Active response command not present: '"+in.path("active-response/bin/missing.sh")+"'") {
			t.Errorf("ossec.log of %s does not tell of the missing program", in.root)
		}
		in.write("let-go", "")
	}
}

// untilGone waits for the end of a block that is in force and gives the time when it was seen to be gone.
func (s *responses) untilGone(in install, b *activeresponse.Block) time.Time {
	s.t.Helper()
	in.eventually("the block of "+b.Address+" has ended", time.Until(b.Until)+15*time.Second, func() bool { return !in.drops()[b.Address] })
	gone := time.Now()
	if gone.Before(b.Until) {
		s.t.Errorf("the block of %s ended %s too early\n%s", b.Address, b.Until.Sub(gone), tail(in.read("logs/ossec.log")))
	}
	s.t.Logf("block of %s (%s, offence %d): gone %s after its time", b.Address, b.Period, b.Offences, gone.Sub(b.Until).Round(time.Millisecond))
	return gone
}

func escalation(t *testing.T, s *responses) {
	one := s.agents[0]
	const addr = "203.0.113.50"
	for i, want := range []time.Duration{time.Second, 1500 * time.Millisecond, 3 * time.Second} {
		s.say(one, "drop", addr, "root")
		var b *activeresponse.Block
		one.eventually("the address is blocked", 10*time.Second, func() bool { b = s.block(one.install, addr); return b != nil })
		if b.Period != want || b.Offences != i+1 {
			t.Errorf("offence %d is blocked for %s (counted as %d), expected %s", i+1, b.Period, b.Offences, want)
		}
		s.untilGone(one.install, b)
	}
}

func killedAgent(t *testing.T, s *responses) {
	one := s.agents[0]
	const long, short = "203.0.113.60", "203.0.113.61"
	s.say(one, "hold", long, "root")
	s.say(one, "drop", short, "root")
	var blocks [2]*activeresponse.Block
	one.eventually("both are blocked", 10*time.Second, func() bool {
		blocks[0], blocks[1] = s.block(one.install, long), s.block(one.install, short)
		return blocks[0] != nil && blocks[1] != nil
	})
	kill(t, one.install)
	one.eventually("the short one is overdue", 5*time.Second, func() bool { return time.Now().After(blocks[1].Until) })
	if got := one.drops(); !got[long] || !got[short] {
		t.Fatalf("the dead agent's host drops %v", got)
	}
	one.run("", one.bin("ossec-control"), "start")
	one.eventually("the overdue block is taken back", 15*time.Second, func() bool { return !one.drops()[short] })
	if time.Now().Before(blocks[0].Until) && !one.drops()[long] {
		t.Error("the start took a block back before its time")
	}
	s.untilGone(one.install, blocks[0])
	s.ready(one, responseBindings)
	s.restartLeavesNoGap(one, "203.0.113.62", s.manager, "agent_control", "-R", one.id)
	s.ready(one, responseBindings)
	s.restartLeavesNoGap(one, "203.0.113.63", one.install, "ossec-control", "restart")
}

// restartLeavesNoGap restarts an agent with a tool while an address is blocked, which must stay so for its time.
func (s *responses) restartLeavesNoGap(one *agentHost, addr string, on install, tool string, args ...string) {
	s.t.Helper()
	s.say(one, "hold", addr, "root")
	var b *activeresponse.Block
	one.eventually("blocked", 20*time.Second, func() bool { b = s.block(one.install, addr); return b != nil })
	before := pidsOf(one.install)
	restarted := make(chan error, 1)
	go func() { _, err := on.try("", on.bin(tool), args...); restarted <- err }()
	open := false
	one.eventually("another process serves", 25*time.Second, func() bool {
		dropped := one.drops()[addr]
		open = open || !dropped && time.Now().Before(b.Until)
		now := pidsOf(one.install)
		for pid := range now {
			if before[pid] {
				return false
			}
		}
		return len(now) > 0
	})
	if err := <-restarted; err != nil {
		s.t.Errorf("%s: %v", tool, err)
	}
	if open {
		s.t.Error("the restart let a blocked address in before its time")
	}
	s.untilGone(one.install, b)
}
