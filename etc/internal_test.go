package etc_test

import (
	"testing"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules"
)

// TestRulesOfIntegrityAndRootcheckEvents gives the rules events as the manager's memories of files and findings make them (spec syscheck.md,
// section 15.2); no log line becomes one.
func TestRulesOfIntegrityAndRootcheckEvents(t *testing.T) {
	const changed = "Integrity checksum changed for: '/etc/x'\nSize changed from '1' to '2'\n"
	rs := ruleset(t)
	for _, tc := range []struct {
		decodedAs, location, log string
		known                    bool // rootcheck: the finding was there before
		rule, level              int
	}{
		{decodedAs: "syscheck_integrity_changed", log: changed, rule: 550, level: 7},
		{decodedAs: "syscheck_integrity_changed_2nd", log: changed, rule: 551, level: 7},
		{decodedAs: "syscheck_integrity_changed_3rd", log: changed, rule: 552, level: 7},
		{decodedAs: "syscheck_deleted", log: "File '/etc/x' was deleted. Unable to retrieve checksum.", rule: 553, level: 7},
		{decodedAs: "syscheck_new_entry", log: "New file '/etc/x' added to the file system.", rule: 554, level: 5},
		{decodedAs: "syscheck_integrity_changed", location: "(ws1) any->syscheck-registry", log: changed, rule: 594, level: 5},
		{decodedAs: "syscheck_integrity_changed_2nd", location: "(ws1) any->syscheck-registry", log: changed, rule: 595, level: 5},
		{decodedAs: "syscheck_integrity_changed_3rd", location: "(ws1) any->syscheck-registry", log: changed, rule: 596, level: 5},
		{decodedAs: "syscheck_deleted", location: "(ws1) any->syscheck-registry", log: "File 'x' was deleted.", rule: 597, level: 5},
		{decodedAs: "syscheck_new_entry", location: "(ws1) any->syscheck-registry", log: "New file 'x' added to the file system.", rule: 598, level: 5},
		{decodedAs: "hostinfo_modified", log: "Host: 192.0.2.10, open ports: 22", rule: 580, level: 8},
		{decodedAs: "hostinfo_new", log: "Host: 192.0.2.10, open ports: 22", rule: 581, level: 8},
		{decodedAs: "rootcheck", log: "Rootkit 'x' detected by the presence of file '/dev/.x'.", rule: 510, level: 7},
		{decodedAs: "rootcheck", log: "Rootkit 'x' detected by the presence of file '/dev/.x'.", known: true, rule: 509, level: 0},
		{decodedAs: "rootcheck", log: `NTFS Alternate data stream found: 'C:\x.jpg:Zone.Identifier'.`, rule: 511, level: 0},
		{decodedAs: "rootcheck", log: `NTFS Alternate data stream found: 'C:\x.jpg:evil.exe'.`, rule: 510, level: 7},
		{decodedAs: "rootcheck", log: "Windows Audit: Null sessions allowed.", rule: 512, level: 3},
		{decodedAs: "rootcheck", log: "Windows Malware: x found.", rule: 513, level: 9},
		{decodedAs: "rootcheck", log: "Application Found: Chat - x.", rule: 514, level: 2},
		{decodedAs: "rootcheck", log: "Application Found: Adware - x.", rule: 518, level: 9},
		{decodedAs: "rootcheck", log: "Starting rootcheck scan.", rule: 515, level: 0},
		{decodedAs: "rootcheck", log: "Ending syscheck scan.", rule: 515, level: 0},
		{decodedAs: "rootcheck", log: "System Audit: SSH Hardening: Root can log in. File: /etc/ssh/sshd_config.", rule: 516, level: 3},
		{decodedAs: "rootcheck", log: "System Audit: Web vulnerability - Outdated application. File: /srv/www/x.", rule: 519, level: 7},
	} {
		ev := event.NewEvent(event.Message{Kind: event.KindLog, Location: tc.location, Text: tc.log}, time.Unix(1768204801, 0))
		ev.Hostname = "web1"
		if tc.location != "" {
			ev.Hostname = tc.location // as pre-decoding does for agents' events
		}
		ev.Log, ev.FullLog, ev.Type = tc.log, tc.log, event.TypeOSSEC
		ev.Decoder, ev.DecodedAs, ev.FirstSeen = tc.decodedAs, tc.decodedAs, !tc.known
		var sc rules.Scratch
		var p rules.Prepared
		rs.Candidates(ev, &sc, &p)
		out := rules.NewState(rs, rules.Stores{}).Process(&p, ev.Received)
		if out.Rule == nil || out.Rule.ID != tc.rule || out.Rule.Level != tc.level {
			t.Errorf("%s %q: rule %+v, want %d level %d", tc.decodedAs, tc.log, out.Rule, tc.rule, tc.level)
		}
	}
}
