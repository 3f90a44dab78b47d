package etc_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/rules/unittest"
)

// address is the source address of the sample lines.
const address = "192.0.2.10"

// samples gives the first line that ends in each rule.
func samples(t *testing.T) map[int]string {
	t.Helper()
	out := map[int]string{}
	for _, c := range cases(t) {
		id, err := strconv.Atoi(c.Steps[0].Rule)
		if err == nil && len(c.Steps) == 1 && !c.Steps[0].Fail && out[id] == "" {
			out[id] = c.Steps[0].Log
		}
	}
	return out
}

// spacing are the times between the lines where at once would set off another rule first.
var spacing = map[int]time.Duration{53715: 200 * time.Second}

// plain tells whether a correlation rule asks nothing of the event itself.
func plain(rule map[string]string) bool {
	for _, e := range []string{"match", "pcre2", "regex", "url_pcre2", "different_url", "check_if_ignored"} {
		if rule["has "+e] != "" {
			return false
		}
	}
	return rule["if_matched_sid"] != ""
}

// TestCorrelationRules sends every counted line as often as its rule demands: the rule must fire at the last one and not before, and a rule
// for one source address must not fire when the address is another one each time.
func TestCorrelationRules(t *testing.T) {
	rs, lines := ruleset(t), samples(t)
	written := written(t)
	tested := 0
	for _, id := range slices.Sorted(maps.Keys(written)) {
		rule := written[id]
		counted, _ := strconv.Atoi(rule["if_matched_sid"])
		line := lines[counted]
		switch {
		case counted == 0:
			continue
		case written[counted]["level"] == "0": // so it is with OSSEC's rules: events of level 0 are not counted
			t.Logf("rule %d counts rule %d, which has level 0: it never fires", id, counted)
			continue
		case !plain(rule) || line == "":
			t.Logf("rule %d is not tested here", id)
			continue
		}
		tested++
		n := 2
		if f, err := strconv.Atoi(rule["frequency"]); err == nil {
			n += f
		}
		after := spacing[id]
		if s, err := strconv.Atoi(written[counted]["ignore"]); err == nil {
			after = time.Duration(s) * time.Second // the counted rule is silent for so long
		}
		one, many := unittest.Case{Name: "one address"}, unittest.Case{Name: "many addresses"}
		for i := range n {
			step := unittest.Step{Log: line, Rule: rule["if_matched_sid"], After: after}
			if i == n-1 {
				step.Rule = strconv.Itoa(id)
			}
			other := step
			if other.Log = strings.ReplaceAll(line, address, fmt.Sprintf("203.0.113.%d", i+1)); other.Log == line && rule["has same_source_ip"] != "" {
				t.Errorf("rule %d: the sample line %q has no source address", id, line)
			}
			one.Steps, many.Steps = append(one.Steps, step), append(many.Steps, other)
		}
		cases := []unittest.Case{many}
		if rule["has same_source_ip"] != "" {
			many.Steps[n-1].Rule = rule["if_matched_sid"]
			cases = append(cases, one)
		}
		for _, f := range unittest.Run(rs, cases).Failures {
			t.Errorf("%s: rule %d, %v", rule["file"], id, f)
		}
	}
	if tested < 60 {
		t.Errorf("only %d correlation rules were tested", tested)
	}
	t.Logf("%d correlation rules tested", tested)
}

// repeat makes n steps of a line that holds %d for a number.
func repeat(n int, line string) (out []unittest.Step) {
	for i := range n {
		text := line
		if strings.Contains(line, "%d") {
			text = fmt.Sprintf(line, i+1)
		}
		out = append(out, unittest.Step{Log: text})
	}
	return out
}

func TestCorrelationAcrossServices(t *testing.T) {
	rs := ruleset(t)
	const (
		sshFailed   = "Jan 12 08:00:01 web1 sshd[411]: Failed password for ann from 192.0.2.10 port 40022 ssh2"
		sshAccepted = "Jan 12 08:00:01 web1 sshd[411]: Accepted password for ann from 192.0.2.10 port 40022 ssh2"
		ftpFailed   = "Mon Jan 12 08:00:01 2026 [pid 5] [ann] FAIL LOGIN: Client \"192.0.2.10\""
		get         = "192.0.2.10 - - [12/Jan/2026:08:00:01 +0000] \"%s HTTP/1.1\" %s 17 \"-\" \"Mozilla/5.0\""
	)
	for _, tc := range []struct {
		name string
		rule int
		from [][]unittest.Step
	}{
		{"the checksum attack after damaged packets", 5714, [][]unittest.Step{
			repeat(2, "Jan 12 08:00:01 web1 sshd[411]: Corrupted check bytes on input."),
			repeat(1, "Jan 12 08:00:01 web1 sshd[411]: fatal: Local: crc32 compensation attack: network attack detected")}},
		{"a login that is not the user's first", 5715, [][]unittest.Step{repeat(2, sshAccepted)}},
		{"a login after brute force", 40112, [][]unittest.Step{repeat(1, sshAccepted), repeat(8, sshFailed), repeat(1, sshAccepted)}},
		{"su for the second time", 5303, [][]unittest.Step{repeat(2, "Jan 12 08:00:01 web1 su[5]: + pts/0 ann:root")}},
		{"su to another user for the second time", 5304, [][]unittest.Step{repeat(2, "Jan 12 08:00:01 web1 su[5]: + pts/0 ann:bob")}},
		{"sudo for the second time", 5402, [][]unittest.Step{
			repeat(2, "Jan 12 08:00:01 web1 sudo:      ann : TTY=pts/0 ; PWD=/home/ann ; USER=root ; COMMAND=/bin/ls")}},
		{"vsftpd login for the second time", 11402, [][]unittest.Step{repeat(2, "Mon Jan 12 08:00:01 2026 [pid 5] [ann] OK LOGIN: Client \"192.0.2.10\"")}},
		{"proftpd login for the second time", 11205, [][]unittest.Step{
			repeat(2, "Jan 12 08:00:01 ftp1 proftpd[5]: ftp1 (host.example.net[192.0.2.10]) - USER ann: Login successful.")}},
		{"dovecot login for the second time", 9701, [][]unittest.Step{
			repeat(2, "Jan 12 08:00:01 mx1 dovecot: imap-login: Login: user=<ann>, method=PLAIN, rip=192.0.2.10, lip=198.51.100.7, mpid=5, TLS")}},
		{"proxmox login for the second time", 53403, [][]unittest.Step{
			repeat(2, "Jan 12 08:00:01 pve1 pvedaemon[5]: <root@pam> successful auth for user 'ann@pve'")}},
		{"Windows logon for the second time", 18107, [][]unittest.Step{
			repeat(2, "2026 Jan 12 08:00:01 WinEvtLog: Security: AUDIT_SUCCESS(4624): Microsoft-Windows-Security-Auditing: ann: SHOP: WS1: An account was successfully logged on.")}},
		{"many failed Windows logons of any kind", 18152, [][]unittest.Step{repeat(5, "2026 Jan 12 08:00:01 WinEvtLog: Security: AUDIT_FAILURE(4625): Microsoft-Windows-Security-Auditing: (no user): no domain: WS1: An account failed to log on. %d"),
			repeat(5, "2026 Jan 12 08:00:01 WinEvtLog: Security: AUDIT_FAILURE(539): Security: SYSTEM: NT AUTHORITY: WS1: Logon Failure: Account locked out %d")}},
		{"an LDAP password that is wrong", 2509, [][]unittest.Step{
			repeat(2, "Jan 12 08:00:01 ldap1 slapd[5]: conn=1007 fd=12 ACCEPT from IP=192.0.2.10:40022 (IP=0.0.0.0:389)"),
			repeat(1, "Jan 12 08:00:01 ldap1 slapd[5]: conn=1007 op=0 RESULT tag=97 err=49 text=")}},
		{"an IDS event again", 20101, [][]unittest.Step{
			repeat(2, "[**] [1:2001219:20] ET SCAN Potential SSH Scan [**] [Classification: Attempted Information Leak] [Priority: 2] {TCP} 192.0.2.10:40022 -> 198.51.100.7:22")}},
		{"many IDS events of one address", 20151, [][]unittest.Step{
			repeat(11, "[**] [1:2001219:20] ET SCAN Potential SSH Scan [**] [Classification: Attempted Information Leak] [Priority: 2] {TCP} 192.0.2.10:40022 -> 198.51.100.7:22")}},
		{"many squid errors for different sites", 35058, [][]unittest.Step{
			repeat(10, "1768204801.123     17 192.0.2.10 TCP_MISS/502 1495 GET http://www%d.example.com/ - DIRECT/198.51.100.7 text/html")}},
		{"a scan of a web server", 31151, [][]unittest.Step{repeat(14, fmt.Sprintf(get, "GET /x%d", "404"))}},
		{"a very long message", 1003, [][]unittest.Step{repeat(1, "Jan 12 08:00:01 web1 shopd[5]: "+strings.Repeat("a", 1100))}},
		{"firewall drops", 4151, [][]unittest.Step{
			repeat(18, "Jan 12 08:00:01 gw1 kernel: [UFW BLOCK] IN=eth0 OUT= MAC=00:11 SRC=192.0.2.10 DST=198.51.100.7 LEN=60 TTL=50 ID=1 PROTO=TCP SPT=40022 DPT=%d WINDOW=1 SYN")}},
		{"failed logins of services that no other rule counts", 40111, [][]unittest.Step{
			repeat(12, "Jan 12 08:00:01 web1 login[5]: FAILED LOGIN %d FROM tty1 FOR ann, Authentication failure")}},
		{"FTP brute force", 11451, [][]unittest.Step{repeat(8, ftpFailed)}},
		{"connections to many services", 40601, [][]unittest.Step{
			repeat(6, "Jan 12 08:00:01 ftp1 ftpd[5]: connect from 192.0.2.10"),
			repeat(6, "Jan 12 08:00:01 web1 rshd[5]: Connection from 192.0.2.10 on illegal port")}},
	} {
		c := unittest.Case{Name: tc.name, Steps: slices.Concat(tc.from...)}
		c.Steps[len(c.Steps)-1].Rule = strconv.Itoa(tc.rule)
		for _, f := range unittest.Run(rs, []unittest.Case{c}).Failures {
			t.Error(f)
		}
	}
}
