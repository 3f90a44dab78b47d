package config

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vedette-hids/vedette/pattern"
)

func mustParse(t *testing.T, xml string) *Config {
	t.Helper()
	cfg, ps := Parse("", "ossec.conf", []byte("<ossec_config>"+xml+"</ossec_config>"))
	if ps.Err() != nil {
		t.Fatal(ps.Err())
	}
	return cfg
}

func TestAllProblemsAreReportedAtOnceWithTheirLines(t *testing.T) {
	_, ps := Parse("", "etc/ossec.conf", []byte(`<ossec_config>
  <global>
    <logall>maybe</logall>
    <nonsense>1</nonsense>
  </global>
  <remote>
    <connection>secure</connection>
    <port>70000</port>
  </remote>
  <bogus/>
  <localfile>
    <location>/var/log/x</location>
  </localfile>
</ossec_config>
`))
	var b bytes.Buffer
	if n := ps.Print(&b); n != 5 {
		t.Errorf("%d errors, want 5", n)
	}
	want := `etc/ossec.conf:3: (1235): ERROR: Invalid value for element 'logall': maybe. Expected yes or no.
etc/ossec.conf:4: (1230): ERROR: Invalid element in the configuration: 'nonsense'. Section <global> has no such element.
etc/ossec.conf:8: (1205): INFO: No port specified. Using default: '70000'. Expected a port from 1 to 65535.
etc/ossec.conf:10: (1230): ERROR: Invalid element in the configuration: 'bogus'. No section of this name exists.
etc/ossec.conf:11: (1901): ERROR: Missing 'log_format' element. Add <log_format>syslog</log_format>.
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

func TestBrokenFileTellsWhereTheElementWasOpened(t *testing.T) {
	_, ps := Parse("", "c", []byte("<ossec_config>\n<global>\n<logall>no</logall>\n</ossec_config>\n"))
	if len(ps) != 1 || ps[0].Pos.Line != 4 || ps[0].Hint != "It was opened on line 2." {
		t.Errorf("got %+v", ps)
	}
}

func TestMissingFileSaysWhy(t *testing.T) {
	root := t.TempDir()
	cfg, ps := Load(root, "etc/ossec.conf")
	if cfg == nil || ps.Err() == nil || !strings.Contains(ps.Err().Error(), "no such file") {
		t.Errorf("got %v", ps)
	}
	path := filepath.Join(root, "etc/ossec.conf")
	want := []string{"ossec-syscheckd(1239): ERROR: Configuration file not found: '" + path + "'.",
		"ossec-syscheckd(1202): ERROR: Configuration error at '" + path + "'. Exiting."}
	if d := cmp.Diff(want, ps.LogTexts("ossec-syscheckd", path)); d != "" {
		t.Error(d)
	}
}

func TestAgentProgramsDoNotCareForTheManagersSections(t *testing.T) {
	_, ps := Parse("", "c", []byte(`<ossec_config><client><server-ip>10.0.0.1</server-ip></client>
<active-response><disabled>no</disabled></active-response><rules><nonsense>1</nonsense></rules></ossec_config>`))
	if err := ps.For(AgentPrograms).Err(); err != nil {
		t.Errorf("agent refuses: %v", err)
	}
	if err := ps.For(ManagerPrograms).Err(); err == nil {
		t.Error("manager accepts")
	}
}

func TestEveryValueOfAManagerFile(t *testing.T) {
	cfg := mustParse(t, `
<global><logall>yes</logall><jsonout_output>yes</jsonout_output><memory_size>100</memory_size><stats>8</stats>
 <white_list>127.0.0.1</white_list><allow_list>!10.0.0.0/8</allow_list><white_list>web1.lan</white_list>
 <smtp_port>587</smtp_port><email_notification>yes</email_notification><email_to>a@b.c</email_to><email_from>x@y.z</email_from>
 <smtp_server>127.0.0.1</smtp_server></global>
<alerts><log_alert_level>3</log_alert_level></alerts>
<email_alerts><email_to>p@q.r</email_to><rule_id>5710, 5711,,5712 x,9</rule_id><group>sshd</group><do_not_delay/></email_alerts>
<rules><include>a.xml</include><rule>/sub/b.xml</rule><decoder>etc/d.xml</decoder><list>bad-ips</list><list>lists/x</list></rules>
<command><name>block</name><executable>block.sh</executable><expect>SRCIP, username</expect><timeout_allowed>yes</timeout_allowed></command>
<active-response><command>block</command><location>local,server</location><level>7</level><rules_id>1,2</rules_id><timeout>600</timeout></active-response>
<remote><connection>syslog</connection><port>515</port><protocol>TCP</protocol><allowed-ips>10.1</allowed-ips><local_ip>127.0.0.1</local_ip></remote>
<remote><connection>secure</connection><protocol>tcp</protocol><crypto_accept>AES</crypto_accept></remote>
<syslog_output><server>log1</server><tls>yes</tls><format>cef</format><rule_id>5</rule_id></syslog_output>
<database_output><hostname>h</hostname><username>u</username><password>p</password><database>d</database><type>mysql</type><port>3307</port></database_output>
<reports><category>ssh d</category><user type="relation">srcip</user><email_to>a@b</email_to><showlogs>YES</showlogs></reports>
<agentless><type>t</type><host>u@h</host><host>use_su r@h</host><state>periodic</state><arguments>/etc</arguments></agentless>
<localfile><location>/var/log/a-%Y.log</location><log_format>multi-line : 12 </log_format></localfile>
<localfile><command>df -P</command><LOG_FORMAT>command</LOG_FORMAT><frequency>hourly</frequency><alias>disk</alias></localfile>`)
	cmd := Command{Name: "block", Executable: "block.sh", ExpectSrcIP: true, ExpectUser: true, TimeoutAllowed: true}
	ip := func(s string) AddressSpec {
		a, err := ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	match := func(s string) *pattern.Match {
		m, err := pattern.CompileMatch(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := &Config{
		File: "ossec.conf",
		Global: Global{LogAll: true, JSONOut: true, MemorySize: 2048, Stats: 8, AllowIPs: []AddressSpec{ip("127.0.0.1"), ip("!10.0.0.0/8")},
			AllowHosts: []string{"web1.lan"}, EmailNotification: true, EmailTo: []string{"a@b.c"}, EmailFrom: "x@y.z", SMTPServer: "127.0.0.1",
			SMTPPort: 587, EmailMaxPerHour: 12, SMTPTLSVerify: true, HeloServer: "notify.ossec.net"},
		Alerts:      Alerts{LogLevel: 3, EmailLevel: 7},
		EmailAlerts: []EmailAlert{{To: "p@q.r", RuleIDs: []int{5710, 5711, 5712, 9}, Group: match("sshd"), DoNotDelay: true}},
		Rules: Rules{Rules: []string{"rules/a.xml", "sub/b.xml"}, Decoders: []string{"etc/d.xml"},
			Lists: []string{"rules/bad-ips", "lists/x"}},
		Commands: []Command{cmd},
		ActiveResponses: []ActiveResponse{{Command: &cmd, Server: true, Local: true, Level: 7, RuleIDs: []int{1, 2},
			Timeout: 600}},
		AR: ResponseExecutor{OffenderUnit: time.Minute, MaxBlocks: 1024, IPv6Prefix: 128, HostsDeny: "/etc/hosts.deny"},
		Remotes: []Remote{
			{Port: 515, TCP: true, LocalIP: netip.MustParseAddr("127.0.0.1"), Allowed: []AddressSpec{ip("10.1")}, AcceptAES: true, AcceptBlowfish: true},
			{Secure: true, Port: 1514, TCP: true, AcceptAES: true},
		},
		SyslogOutputs: []SyslogOutput{{Server: "log1", Port: 514, Format: "cef", TLS: true, TCP: true, TLSVerify: true, RuleIDs: []int{5}}},
		Database:      &Database{Host: "h", User: "u", Password: "p", Name: "d", Type: "mysql", Port: 3307},
		Reports: []Report{{Title: "OSSEC Report (unnamed)", ShowLogs: true, EmailTo: []string{"a@b"},
			Filters: []ReportFilter{{Field: "group", Value: "ssh-d"}, {Field: "user", Value: "srcip", Relation: true}}}},
		Agentless: []Agentless{{Type: "t", Hosts: []string{"u@h", "use_su r@h"}, State: "periodic", Frequency: 86400, Arguments: "/etc"}},
		Localfiles: []Localfile{
			{Location: "/var/log/a-%Y.log", Format: "multi-line", Lines: 12, Frequency: 360},
			{Location: "df -P", Command: "df -P", Format: "command", Frequency: 3600, Alias: "disk"},
		},
	}
	opts := cmp.Options{
		cmpopts.IgnoreTypes(Position{}), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
		cmp.Comparer(func(a, b *pattern.Match) bool {
			return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
		}),
		cmp.Comparer(func(a, b *pattern.Regex) bool { return a == b }),
	}
	if d := cmp.Diff(want, cfg, opts); d != "" {
		t.Error(d)
	}
	if p := cfg.Localfiles[1].Pos; p.Line != 18 || p.File != "ossec.conf" {
		t.Errorf("position %+v", p)
	}
}

func TestClientServersShareOnePort(t *testing.T) {
	cfg := mustParse(t, `<client><server-hostname>m1</server-hostname><server-ip>10.0.0.1</server-ip><port>1600</port><protocol>tcp</protocol>
<config-profile>web, db</config-profile><crypto_method>blowfish</crypto_method><spool_size>10</spool_size><local_ip>::1</local_ip></client>
<client><server-ip>10.0.0.2</server-ip></client>`)
	want := &Client{Servers: []Server{{"m1", 1600, true}, {"10.0.0.1", 1600, true}, {"10.0.0.2", 1600, true}}, LocalIP: netip.IPv6Loopback(),
		NotifyTime: 600, TimeReconnect: 1800, Profile: "web, db", AES: true, SpoolSize: 10 << 20}
	if d := cmp.Diff(want, cfg.Client, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
}

func TestVedettesOwnElements(t *testing.T) {
	cfg := mustParse(t, `<global><ossec_exact>yes</ossec_exact></global><syscheck><io_budget>2.5</io_budget></syscheck>
<active-response><repeated_offenders_unit>100ms</repeated_offenders_unit><dry_run>yes</dry_run><hosts_deny>/tmp/hosts.deny</hosts_deny>
<max_blocks>8</max_blocks><ipv6_prefix>64</ipv6_prefix></active-response>`)
	want := ResponseExecutor{DryRun: true, OffenderUnit: 100 * time.Millisecond, MaxBlocks: 8, IPv6Prefix: 64, HostsDeny: "/tmp/hosts.deny"}
	if d := cmp.Diff(want, cfg.AR); d != "" {
		t.Error(d)
	}
	if !cfg.Global.OssecExact || cfg.Syscheck.IOBudget != 2.5 {
		t.Errorf("exact %v, budget %v", cfg.Global.OssecExact, cfg.Syscheck.IOBudget)
	}
	for _, bad := range []string{"<syscheck><io_budget>-1</io_budget></syscheck>", "<syscheck><io_budget>NaN</io_budget></syscheck>",
		"<active-response><hosts_deny>etc/x</hosts_deny></active-response>", "<active-response><ipv6_prefix>129</ipv6_prefix></active-response>",
		"<active-response><repeated_offenders_unit>x</repeated_offenders_unit></active-response>"} {
		if _, ps := Parse("", "c", []byte("<ossec_config>"+bad+"</ossec_config>")); ps.Err() == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestRepeatedOffendersAreTakenFromAnyBlock(t *testing.T) {
	block := `<command><name>c</name><executable>x</executable><expect/></command><active-response><command>c</command><location>local</location></active-response>`
	cfg := mustParse(t, block+`<active-response><repeated_offenders>30, ,0,abc,60,99,1</repeated_offenders></active-response>`)
	if d := cmp.Diff([]int{30, 60}, cfg.AR.RepeatedOffenders); d != "" {
		t.Error(d)
	}
}

func TestDisabledStopsTheExecutorOnlyInABlockWithoutCommand(t *testing.T) {
	cmd := `<command><name>c</name><executable>x</executable><expect/></command>`
	for xml, want := range map[string]bool{
		`<active-response><disabled>yes</disabled></active-response>`:                                                                              true,
		`<active-response><command>c</command><location>local</location><disabled>yes</disabled></active-response>`:                                false,
		`<active-response><disabled>no</disabled><repeated_offenders>1</repeated_offenders></active-response>`:                                     false,
		`<active-response><repeated_offenders>1</repeated_offenders></active-response><active-response><disabled>yes</disabled></active-response>`: true,
	} {
		if cfg := mustParse(t, cmd+xml); cfg.AR.Disabled != want || len(cfg.ActiveResponses) != 0 {
			t.Errorf("%s: disabled %v, want %v", xml, cfg.AR.Disabled, want)
		}
	}
}

func TestDisabledBlockDoesNotTouchOthers(t *testing.T) {
	r := func(extra string) string {
		return "<active-response><command>c</command><location>local</location>" + extra + "</active-response>"
	}
	cfg := mustParse(t, `<command><name>c</name><executable>x</executable><expect/></command>`+r("")+r("<disabled>yes</disabled>"))
	if len(cfg.ActiveResponses) != 1 {
		t.Errorf("%d responses, want 1", len(cfg.ActiveResponses))
	}
}

func TestCommandsOutsideOfTheirDirectoryAreRefused(t *testing.T) {
	for _, exe := range []string{"../../bin/sh", "/bin/sh", "a b", "..", `a\b`, ""} {
		_, ps := Parse("", "c", []byte("<ossec_config><command><name>n</name><executable>"+exe+"</executable><expect/></command></ossec_config>"))
		if ps.Err() == nil {
			t.Errorf("accepted executable %q", exe)
		}
	}
}

func TestExactModeRestoresOssecsReplacementOfRules(t *testing.T) {
	two := `<rules><include>a.xml</include><include>b.xml</include><list>l</list></rules><rules><include>c.xml</include></rules>`
	if d := cmp.Diff([]string{"rules/a.xml", "rules/b.xml", "rules/c.xml"}, mustParse(t, two).Rules.Rules); d != "" {
		t.Error(d)
	}
	exact := mustParse(t, two+`<global><ossec_exact>yes</ossec_exact></global>`)
	if d := cmp.Diff([]string{"rules/c.xml"}, exact.Rules.Rules); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"rules/l"}, exact.Rules.Lists); d != "" {
		t.Error(d)
	}
}

func TestSyslogListenersShareOneAccessList(t *testing.T) {
	cfg := mustParse(t, `<remote><connection>syslog</connection><allowed-ips>10.0.0.0/8</allowed-ips></remote>
<remote><connection>syslog</connection><port>515</port><denied-ips>10.1.0.0/16</denied-ips></remote>`)
	for i, r := range cfg.Remotes {
		if len(r.Allowed) != 1 || len(r.Denied) != 1 {
			t.Errorf("listener %d: %v %v", i, r.Allowed, r.Denied)
		}
	}
}

func TestSyscheckDetails(t *testing.T) {
	cfg := mustParse(t, `<syscheck><directories check_all="yes" restrict=".conf$">/etc , /a b,  /c  d</directories><ignore>/x</ignore><ignore>/x</ignore>
<ignore type="sregex">.log$</ignore><nodiff type="sregex">^/k</nodiff><scan_time>9:05 pm</scan_time><scan_day>Mon,weekends</scan_day></syscheck>
<syscheck><frequency>10</frequency><auto_ignore>no</auto_ignore></syscheck>`)
	s := cfg.Syscheck
	var paths []string
	for _, d := range s.Directories {
		paths = append(paths, d.Path)
		if d.Restrict == nil || !d.Restrict.MatchString("/etc/a.conf") || d.Pos.Line != 1 {
			t.Errorf("directory %+v", d)
		}
	}
	if d := cmp.Diff([]string{"/etc", "/a b", "/c"}, paths); d != "" {
		t.Error(d)
	}
	if s.ScanTime != "21:05" || s.ScanDays != [7]bool{true, true, false, false, false, false, true} || s.Frequency != 10 || s.AutoIgnore {
		t.Errorf("got %+v", s)
	}
	if len(s.Ignore) != 1 || len(s.IgnoreMatch) != 1 || !s.IgnoreMatch[0].MatchString("/v/x.log") || len(s.NoDiffMatch) != 1 {
		t.Errorf("ignore %v %v %v", s.Ignore, s.IgnoreMatch, s.NoDiffMatch)
	}
}

func TestTimesOfDay(t *testing.T) {
	for in, want := range map[string]string{"9": "09:00", "09": "09:00", "21:30": "21:30", "9pm": "21:00", "9:30 PM": "21:30", "12 am": "00:00",
		"12:15 pm": "12:15", " 7 ": "07:00", "13 pm": "13:00"} {
		if got, _, ok := parseTime(in); !ok || got != want {
			t.Errorf("%q: got %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "24", "9:5", "9:60", "009", "!9", "9 xm", "9:30:10", "pm", "-1"} {
		if got, _, ok := parseTime(in); ok {
			t.Errorf("%q read as %q", in, got)
		}
	}
}

func TestMonitoredGlobsAreExpanded(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"b.conf", "a.conf", "c.txt"} {
		write(t, filepath.Join(dir, f), "")
	}
	cfg := mustParse(t, `<syscheck><directories check_all="yes">`+dir+`/*.conf,/etc</directories></syscheck>`)
	var got []string
	for _, d := range cfg.Syscheck.Directories {
		got = append(got, d.Path)
	}
	if d := cmp.Diff([]string{dir + "/a.conf", dir + "/b.conf", "/etc"}, got); d != "" {
		t.Error(d)
	}
}

func TestARConfIsReadBack(t *testing.T) {
	cfg := mustParse(t, `<command><name>c</name><executable>x.sh</executable><expect/><timeout_allowed>yes</timeout_allowed></command>
<active-response><command>c</command><location>local</location><timeout>60</timeout></active-response>`)
	got, ps := ParseARConf("ar.conf", ARConf(cfg))
	want := []ResponseEntry{{"restart-ossec0", "restart-ossec.sh", 0, 1}, {"restart-ossec0", "restart-ossec.cmd", 0, 2}, {"c60", "x.sh", 60, 3}}
	if d := cmp.Diff(want, got); d != "" || len(ps) != 0 {
		t.Error(d, ps)
	}
}

func TestARConfReportsBadLinesAndClimbingPaths(t *testing.T) {
	got, ps := ParseARConf("/var/ossec/etc/shared/ar.conf", []byte("# note\n\nx5 - ../../bin/x.sh - 5\r\ny0  -  t.sh - 7 \nz1 - z.sh - 9x"))
	want := []ResponseEntry{{"x5", "", 5, 3}, {"y0 ", " t.sh", 7, 4}, {"z1", "z.sh", 9, 5}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	bad := "ossec-execd(1313): ERROR: Invalid active response config: '/var/ossec/etc/shared/ar.conf'."
	climb := "ossec-execd: Active response command '../../bin/x.sh' vulnerable to directory transversal attack. Ignoring."
	var lines []string
	for _, p := range ps {
		lines = append(lines, p.LogText("ossec-execd"))
	}
	if d := cmp.Diff([]string{bad, bad, climb}, lines); d != "" {
		t.Error(d)
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		spec string
		in   []string
		out  []string
	}{
		{"192.0.2.10", []string{"192.0.2.10", "::ffff:192.0.2.10"}, []string{"192.0.2.11", "2001:db8::1"}},
		{"10.1", []string{"10.0.0.1"}, []string{"10.1.0.0"}},
		{"0x0a.0.0.1", []string{"10.0.0.1"}, []string{"10.0.0.2"}},
		{"012.0.0.1", []string{"10.0.0.1"}, []string{"12.0.0.1"}},
		{"167772161", []string{"10.0.0.1"}, []string{"10.0.0.2"}},
		{"10.0.0.0/8", []string{"10.255.0.1"}, []string{"11.0.0.1", "::a00:1"}},
		{"10.0.0.0/x", []string{"10.0.0.0", "11.0.0.1", "::1"}, nil},
		{"::/0", []string{"10.0.0.1", "::1"}, nil},
		{"any", []string{"10.0.0.1", "::1"}, nil},
		{"!any", nil, []string{"10.0.0.1", "::1"}},
		{"!10.0.0.0/8", []string{"11.0.0.1", "::1"}, []string{"10.0.0.1"}},
		{"2001:db8::/32", []string{"2001:db8:1::5"}, []string{"2001:db9::", "10.0.0.1"}},
		{"::ffff:10.0.0.0/104", []string{"10.9.9.9"}, []string{"11.0.0.1"}},
	} {
		a, err := ParseAddress(c.spec)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		for _, ip := range c.in {
			if !a.Match(netip.MustParseAddr(ip)) {
				t.Errorf("%s does not match %s", c.spec, ip)
			}
		}
		for _, ip := range c.out {
			if a.Match(netip.MustParseAddr(ip)) {
				t.Errorf("%s matches %s", c.spec, ip)
			}
		}
	}
	for _, bad := range []string{"", "!", "host", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "::/129", "1.2.3.4.5", "256.1.1.1", "1..2", " 10.0.0.1",
		"10.0.0.1 ", "fe80::1%eth0", "10.0.0.0/-1", "10.16777216", "1_0.1", "0b1.0.0.0", "0o7.0.0.0", "4294967296"} {
		if a, err := ParseAddress(bad); err == nil {
			t.Errorf("%q taken as %v", bad, a.Prefix)
		}
	}
}

func TestAddressLists(t *testing.T) {
	for _, c := range []struct {
		list string
		ip   string
		want bool
	}{
		{"", "10.0.0.1", false},
		{"10.0.0.1", "10.0.0.1", true},
		{"10.0.0.1 10.0.0.2", "10.0.0.3", false},
		{"!10.0.0.1", "10.0.0.1", false},
		{"!10.0.0.1", "10.0.0.2", true},
		{"!10.0.0.1 10.0.0.0/8", "10.0.0.1", false},
		{"!10.0.0.1 10.0.0.0/8", "10.0.0.2", true},
		{"!10.0.0.1 10.0.0.0/8", "11.0.0.2", false},
		{"10.0.0.0/8 !10.0.0.1", "10.0.0.1", true},
		{"10.0.0.0/8 !10.0.0.1", "11.0.0.1", true},
	} {
		var list []AddressSpec
		for _, s := range strings.Fields(c.list) {
			a, err := ParseAddress(s)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, a)
		}
		if got := MatchList(list, netip.MustParseAddr(c.ip)); got != c.want {
			t.Errorf("%q, %s: %v, want %v", c.list, c.ip, got, c.want)
		}
	}
}

func TestAddressTextWithoutPrefixLength(t *testing.T) {
	for in, want := range map[string]string{"127.0.0.0/8": "127.0.0.0", "!10.0.0.1": "!10.0.0.1", "any": "any", "!10.0.0.0/8": "!10.0.0.0"} {
		a, err := ParseAddress(in)
		if err != nil || a.Host() != want {
			t.Errorf("%s: %q %v", in, a.Host(), err)
		}
		if single := in == "!10.0.0.1"; a.Single() != single {
			t.Errorf("%s: single %v", in, a.Single())
		}
	}
}

func TestAgentInfoIsReadBack(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, AgentInfoFile), string(AgentInfo("web1", "003", "")))
	who, err := ReadAgentInfo(root, "Linux")
	if err != nil || who != (AgentIdentity{Name: "web1", Profile: "-", OS: "Linux"}) {
		t.Errorf("got %+v %v", who, err)
	}
}

func TestAgentConfOverridesValuesAndAddsToLists(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, AgentConfFile), `<agent_config os="linux"><syscheck><frequency>99</frequency>
<directories check_all="yes">/srv</directories><ignore>/b</ignore></syscheck><rootcheck><disabled>yes</disabled></rootcheck>
<localfile><location>/l2</location><log_format>syslog</log_format></localfile></agent_config>`)
	cfg := mustParse(t, `<syscheck><frequency>5</frequency><directories check_all="yes">/etc</directories><ignore>/a</ignore></syscheck>
<localfile><location>/l1</location><log_format>syslog</log_format></localfile>`)
	if ps := LoadAgentConf(root, AgentIdentity{OS: "Linux x"}, cfg, nil); len(ps) != 0 {
		t.Fatal(ps)
	}
	s := cfg.Syscheck
	if s.Frequency != 99 || len(s.Directories) != 2 || len(s.Ignore) != 2 || !cfg.Rootcheck.Disabled {
		t.Errorf("syscheck %+v rootcheck %+v", s, cfg.Rootcheck)
	}
	if len(cfg.Localfiles) != 2 || cfg.Localfiles[0].FromAgentConf || !cfg.Localfiles[1].FromAgentConf {
		t.Errorf("localfiles %+v", cfg.Localfiles)
	}
}

func TestProblemsAreLoggedUnderTheProgramThatReadsThePart(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, AgentConfFile), `<agent_config os="l"><localfile><x>1</x></localfile><syscheck><y>1</y></syscheck></agent_config>`)
	got := LoadAgentConf(root, AgentIdentity{OS: "Linux"}, newConfig(""), nil).LogAll()
	want := []string{"ossec-logcollector(1230): ERROR: Invalid element in the configuration: 'x'.",
		"ossec-syscheckd(1230): ERROR: Invalid element in the configuration: 'y'."}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestMailWithoutServerIsWarnedOf(t *testing.T) {
	_, ps := Parse("", "c", []byte("<ossec_config><global><email_notification>yes</email_notification></global></ossec_config>"))
	if ps.Err() != nil || len(ps.Warnings()) != 1 || !strings.Contains(ps[0].Text, "no mail can be sent") {
		t.Errorf("got %v", ps)
	}
}

func TestDaemonNames(t *testing.T) {
	for i, n := range daemonNames {
		d, ok := ParseDaemon(n)
		if !ok || d != 1<<i || d.String() != n {
			t.Errorf("%s: %v %v", n, d, ok)
		}
	}
	if d, ok := ParseDaemon("ossec-logtest"); !ok || d != Analysisd {
		t.Errorf("ossec-logtest is %v", d)
	}
	if _, ok := ParseDaemon("httpd"); ok {
		t.Error("httpd is a daemon")
	}
}

// bigConfig is an ossec.conf of at least size bytes.
func bigConfig(size int) []byte {
	var b bytes.Buffer
	b.WriteString("<ossec_config>\n<global><logall>no</logall></global>\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "  <!-- file %d -- note -->\n  <localfile>\n    <log_format>syslog</log_format>\n    <location>/var/log/app%d.log</location>\n  </localfile>\n", i, i)
	}
	b.WriteString("</ossec_config>\n")
	return b.Bytes()
}

func BenchmarkParse1MB(b *testing.B) {
	data := bigConfig(1 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ps := Parse("", "ossec.conf", data); len(ps) != 0 {
			b.Fatal(ps)
		}
	}
}

func BenchmarkMatchList(b *testing.B) {
	var list []AddressSpec
	for i := range 100 {
		a, err := ParseAddress(fmt.Sprintf("10.%d.0.0/16", i))
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, a)
	}
	ip := netip.MustParseAddr("::ffff:10.99.1.1")
	b.ReportAllocs()
	for b.Loop() {
		if !MatchList(list, ip) {
			b.Fatal("no match")
		}
	}
}

// TestSecureSectionsOfSeveralAddresses are an extension; two of the same address and port are one too many.
func TestSecureSectionsOfSeveralAddresses(t *testing.T) {
	section := func(local, port string) string {
		return "<remote><connection>secure</connection><local_ip>" + local + "</local_ip><port>" + port + "</port></remote>"
	}
	cfg := mustParse(t, section("10.0.0.1", "1514")+section("10.0.0.1", "1515")+section("10.0.0.2", "1514")+section("2001:db8::1", "1514"))
	if len(cfg.Remotes) != 4 {
		t.Errorf("%d sections", len(cfg.Remotes))
	}
	for _, text := range []string{
		section("10.0.0.1", "1514") + section("10.0.0.1", "1514"),
		"<global><ossec_exact>yes</ossec_exact></global>" + section("10.0.0.1", "1514") + section("10.0.0.2", "1514"),
	} {
		_, problems := Parse("", "ossec.conf", []byte("<ossec_config>"+text+"</ossec_config>"))
		if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "Only one secure remoted connection is supported.") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAuth(t *testing.T) {
	if mustParse(t, "<alerts><log_alert_level>1</log_alert_level></alerts>").Auth != nil {
		t.Error("a section that is not there")
	}
	got := mustParse(t, "<auth><disabled>no</disabled><port>1600</port><local_ip>10.0.0.1</local_ip><use_source_ip>yes</use_source_ip><use_password>no</use_password>"+
		"<force_insert>yes</force_insert><force_time>60</force_time><ssl_agent_ca>etc/ca.pem</ssl_agent_ca>"+
		"<ssl_manager_cert>/c</ssl_manager_cert><ssl_manager_key>/k</ssl_manager_key></auth>").Auth
	got.Pos = Position{}
	want := Auth{Port: 1600, LocalIP: netip.MustParseAddr("10.0.0.1"), UseSourceIP: true, ForceInsert: true, ForceTime: 60, AgentCA: "etc/ca.pem", Cert: "/c", Key: "/k"}
	if *got != want {
		t.Errorf("%+v", *got)
	}
	_, problems := Parse("", "ossec.conf", []byte("<ossec_config><auth><port>0</port><force_time>soon</force_time><password>x</password></auth></ossec_config>"))
	if n := len(problems.Errors()); n != 3 {
		t.Errorf("%d problems: %v", n, problems)
	}
}

func TestDebugLevelsGoByTheNamesInTheLog(t *testing.T) {
	o, ps := ParseOptions("x", []byte("remoted.debug=1\nsyscheck.debug=2\nauthd.debug=1\nagent.debug=2\n"))
	if ps.Err() != nil {
		t.Fatal(ps)
	}
	want := map[string]int{"ossec-remoted": 1, "ossec-syscheckd": 2, "rootcheck": 2, "ossec-authd": 1, "ossec-agentd": 2, "ossec-logcollector": 0}
	if got := o.DebugLevels(); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
