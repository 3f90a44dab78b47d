//go:build linux

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastic/go-grok"
)

// Addresses of the hosts.
const (
	managerAddr  = "10.79.1.1"
	agentAddr    = "10.79.1.2"
	agentSide    = "10.79.2.1"
	attackerAddr = "10.79.2.9"
	managerSide  = "10.79.3.1"
	webAddr      = "10.79.3.2"
	collector    = "127.0.0.1:9000"
)

const managerConf = `<ossec_config>
  <global>
    <email_notification>no</email_notification>
    <jsonout_output>yes</jsonout_output>
  </global>
  <rules>
    <include>rules_config.xml</include>
    <include>pam_rules.xml</include>
    <include>sshd_rules.xml</include>
    <include>syslog_rules.xml</include>
    <include>ossec_rules.xml</include>
    <include>local_rules.xml</include>
  </rules>
  <remote>
    <connection>secure</connection>
  </remote>
  <alerts>
    <log_alert_level>1</log_alert_level>
    <email_alert_level>7</email_alert_level>
  </alerts>
  <syscheck>
    <disabled>yes</disabled>
    <alert_new_files>yes</alert_new_files>
    <auto_ignore>no</auto_ignore>
  </syscheck>
  <rootcheck>
    <disabled>yes</disabled>
  </rootcheck>
  <syslog_output>
    <server>127.0.0.1</server>
    <port>9000</port>
    <format>default</format>
  </syslog_output>
  <command>
    <name>host-deny</name>
    <executable>host-deny.sh</executable>
    <expect>srcip</expect>
    <timeout_allowed>yes</timeout_allowed>
  </command>
  <command>
    <name>firewall-drop</name>
    <executable>firewall-drop.sh</executable>
    <expect>srcip</expect>
    <timeout_allowed>yes</timeout_allowed>
  </command>
  <active-response>
    <command>host-deny</command>
    <location>local</location>
    <level>6</level>
    <timeout>3</timeout>
  </active-response>
  <active-response>
    <command>firewall-drop</command>
    <location>local</location>
    <level>6</level>
    <timeout>3</timeout>
  </active-response>
</ossec_config>
`

// agentConf watches, tails and checks below @ROOT@/host; one unit of repeated_offenders is a tenth of a second here.
const agentConf = `<ossec_config>
  <client>
    <server-ip>` + managerAddr + `</server-ip>
    <notify_time>2</notify_time>
    <time-reconnect>6</time-reconnect>
  </client>
  <syscheck>
    <frequency>86400</frequency>
    <directories check_all="yes" realtime="yes" report_changes="yes">@ROOT@/host/live</directories>
    <directories check_all="yes" report_changes="yes">@ROOT@/host/scanned</directories>
  </syscheck>
  <rootcheck>
    <frequency>86400</frequency>
    <base_directory>@ROOT@/host/base</base_directory>
    <rootkit_files>@ROOT@/etc/shared/test_files.txt</rootkit_files>
    <check_pids>no</check_pids>
    <check_ports>no</check_ports>
    <check_trojans>no</check_trojans>
    <check_sys>no</check_sys>
    <check_dev>no</check_dev>
    <check_if>no</check_if>
  </rootcheck>
  <localfile>
    <log_format>syslog</log_format>
    <location>@ROOT@/host/auth.log</location>
  </localfile>
  <active-response>
    <disabled>no</disabled>
    <repeated_offenders>60,120,360,1440,10080</repeated_offenders>
    <repeated_offenders_unit>100ms</repeated_offenders_unit>
    <hosts_deny>@ROOT@/host/hosts.deny</hosts_deny>
  </active-response>
</ossec_config>
`

const webConf = `<ossec_config>
  <client><server-ip>` + managerSide + `</server-ip></client>
  <syscheck><disabled>yes</disabled></syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
  <localfile>
    <log_format>syslog</log_format>
    <location>@ROOT@/auth.log</location>
  </localfile>
</ossec_config>
`

const localRules = `<group name="local,">
  <rule id="110000" level="0">
    <if_sid>510</if_sid>
    <match>/var/lib/docker</match>
    <description>Findings below the container store are expected.</description>
  </rule>
</group>
`

const rootkitFiles = `var/lib/docker/overlay/.hidden ! Tested kit ::
var/lib/other/.hidden ! Tested kit ::
`

// scene is the whole stage.
type scene struct {
	manager, agent, web install
	attacker            host
	packets             *lockedBuffer
	log                 string // the log that the agent tails
	pid                 int    // number of the next sshd line
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestManagerAndAgentProtectAHost(t *testing.T) {
	n := newNetwork(t)
	m, a, x, w := n.host("mgr"), n.host("agent"), n.host("attacker"), n.host("web")
	n.link(m, managerAddr, a, agentAddr)
	n.link(a, agentSide, x, attackerAddr)
	n.link(m, managerSide, w, webAddr)

	s := &scene{attacker: x, packets: &lockedBuffer{}}
	s.manager = installOn(m, "manager", managerConf)
	s.agent = installOn(a, "agent", agentConf)
	s.web = installOn(w, "agent", webConf)
	s.log = s.agent.path("host/auth.log")
	for _, dir := range []string{"live", "scanned", "base/var/lib/docker/overlay", "base/var/lib/other"} {
		if err := os.MkdirAll(s.agent.path("host/"+dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{"live/app.conf", "live/gone.conf", "scanned/app.conf", "scanned/gone.conf"} {
		s.agent.write("host/"+p, "first line\nsecond line\n")
	}
	s.agent.write("host/live/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	s.agent.write("host/hosts.deny", "# kept\n")
	s.agent.write("host/auth.log", "")
	s.web.write("auth.log", "")
	s.agent.write("etc/shared/test_files.txt", rootkitFiles)
	s.manager.write("rules/local_rules.xml", localRules)

	collect := m.play("collect", collector, s.packets)
	serve := a.play("serve", agentSide+":8022", os.Stderr)
	for _, c := range []interface{ Start() error }{collect, serve} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, in := range []install{s.agent, s.web, s.manager} {
			// The test's own context has ended here, so that the hosts are asked directly.
			stopInstall(in)
		}
		collect.Process.Kill()
		serve.Process.Kill()
		collect.Wait()
		serve.Wait()
	})

	steps := []struct {
		name string
		run  func(*testing.T, *scene)
	}{
		{"1 keys are made and imported with manage_agents", enrolByHand},
		{"2 ossec-control starts both and the agent connects", startBoth},
		{"3 a failed login becomes the alert of rule 5716", failedLogin},
		{"4 repeated failures are blocked for real, longer each time", bruteForce},
		{"5 forwarded alerts can be read with grok", forwarded},
		{"6 file changes are reported by realtime and by a scan", fileChanges},
		{"7 a local rule silences a rootcheck finding", rootkitFinding},
		{"8 a new user is reported", newUser},
		{"9 both survive kill -9 and restart, and leave nothing behind", restarts},
	}
	for _, step := range steps {
		if !t.Run(step.name, func(t *testing.T) {
			s.manager.t, s.agent.t, s.web.t, s.attacker.t = t, t, t, t
			step.run(t, s)
		}) {
			break
		}
	}
	s.manager.t, s.agent.t, s.web.t, s.attacker.t = t, t, t, t
}

func enrolByHand(t *testing.T, s *scene) {
	out := s.manager.run("A\ntest\nany\n\ny\nE\n001\n\nQ\n", s.manager.bin("manage_agents"))
	for _, want := range []string{
		"****************************************\n* OSSEC HIDS v4.2.0 Agent manager.     *\n* The following options are available: *\n",
		"   (A)dd an agent (A).\n", "Choose your action: A,E,L,R or Q: ", "   * A name for the new agent: ",
		"   * An ID for the new agent[001]: ", "Agent information:\n   ID:001\n   Name:test\n   IP Address:any\n", "Agent added with ID 001.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("manage_agents does not show %q; it shows\n%s", want, out)
		}
	}
	_, key, _ := strings.Cut(out, "Agent key information for '001' is: \n")
	key, _, _ = strings.Cut(key, "\n")
	out = s.agent.run("I\n"+key+"\ny\n\nQ\n", s.agent.bin("manage_agents"))
	if !strings.Contains(out, "   Name:test\n") || !strings.Contains(out, "Added.\n") {
		t.Fatalf("import on the agent shows\n%s", out)
	}
	if got, want := s.agent.read("etc/client.keys"), s.manager.read("etc/client.keys"); strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Fatalf("client.keys of the agent: %q, of the manager: %q", got, want)
	}

	s.manager.run("", s.manager.bin("manage_agents"), "-a", webAddr, "-n", "web-01.example.org")
	key = strings.TrimSpace(s.manager.run("", s.manager.bin("manage_agents"), "-e", "002"))
	key = key[strings.LastIndexByte(key, '\n')+1:]
	s.web.run("y\n\n", s.web.bin("manage_agents"), "-i", key)
}

func startBoth(t *testing.T, s *scene) {
	for _, in := range []install{s.manager, s.agent, s.web} {
		out := in.run("", in.bin("ossec-control"), "start")
		if !strings.Contains(out, "Starting OSSEC HIDS") || !strings.HasSuffix(out, "Completed.\n") {
			t.Fatalf("ossec-control start: %s", out)
		}
	}
	s.agent.eventually("the trying and connected lines", 20*time.Second, func() bool {
		log := s.agent.read("logs/ossec.log")
		return strings.Contains(log, "ossec-agentd: INFO: Trying to connect to server "+managerAddr+", port 1514.") &&
			strings.Contains(log, "ossec-agentd(4102): INFO: Connected to server "+managerAddr+", port 1514.")
	})
	s.manager.eventually("agent_control -l shows test as Active", 20*time.Second, func() bool {
		out, _ := s.manager.try("", s.manager.bin("agent_control"), "-l")
		return strings.Contains(out, "ID: 001, Name: test, IP: any, Active")
	})
	s.manager.run("", s.manager.bin("ossec-control"), "status")
	s.agent.eventually("ar.conf has reached the agent", 30*time.Second, func() bool {
		return strings.Contains(s.agent.read("etc/shared/ar.conf"), "firewall-drop3 - firewall-drop.sh - 3")
	})
	s.agent.eventually("the log is tailed", 20*time.Second, func() bool {
		return strings.Contains(s.agent.read("logs/ossec.log"), "Analyzing file: '"+s.log+"'")
	})
}

// sshFailure appends one failed login from addr to a log and returns the line.
func (s *scene) sshFailure(t *testing.T, log, addr string) string {
	s.pid++
	line := fmt.Sprintf("%s box sshd[%d]: Failed password for root from %s port 22519 ssh2", time.Now().Format("Jan _2 15:04:05"), 3000+s.pid, addr)
	appendTo(t, log, line+"\n")
	return line
}

func failedLogin(t *testing.T, s *scene) {
	line := s.sshFailure(t, s.log, "198.51.100.7")
	s.manager.eventually("the alert of rule 5716", 10*time.Second, func() bool { return len(s.manager.entries(line)) > 0 })
	entry := "** Alert " + s.manager.entries(line)[0]
	form := regexp.MustCompile(`^\*\* Alert \d+\.\d+: - syslog,sshd,authentication_failed,\n` +
		`\d{4} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \(test\) any->` + regexp.QuoteMeta(s.log) + `\n` +
		`Rule: 5716 \(level 5\) -> '[^\n]+'\nSrc IP: 198\.51\.100\.7\n(Src Port: 22519\n)?User: root\n` + regexp.QuoteMeta(line) + `\n\n$`)
	if !form.MatchString(entry) {
		t.Errorf("entry of rule 5716 has another form:\n%s", entry)
	}
	var got struct {
		Rule struct {
			Level int `json:"level"`
			ID    int `json:"sidid"`
		} `json:"rule"`
		SrcIP, DstUser, Location, Hostname, Logfile string
		FullLog                                     string `json:"full_log"`
		AgentName                                   string `json:"agent_name"`
		AgentIP                                     string `json:"agentip"`
	}
	found := false
	for l := range strings.Lines(s.manager.read("logs/alerts/alerts.json")) {
		if strings.Contains(l, line) {
			if err := json.Unmarshal([]byte(l), &got); err != nil {
				t.Fatalf("alerts.json: %v in %s", err, l)
			}
			found = true
		}
	}
	if !found || got.Rule.ID != 5716 || got.Rule.Level != 5 || got.SrcIP != "198.51.100.7" || got.DstUser != "root" ||
		got.AgentName != "test" || got.AgentIP != "any" || got.Logfile != s.log || got.FullLog != line {
		t.Errorf("alerts.json has %+v (found: %v)", got, found)
	}
}

// attack appends failed logins from the attacker until rule 5720 has fired once more and returns when it did.
func (s *scene) attack(t *testing.T) {
	before := len(s.manager.entries("Rule: 5720 (level 10)"))
	for range 8 {
		s.sshFailure(t, s.log, attackerAddr)
	}
	s.manager.eventually("the alert of rule 5720", 10*time.Second, func() bool {
		return len(s.manager.entries("Rule: 5720 (level 10)", "Src IP: "+attackerAddr)) > before
	})
}

func (s *scene) blocked() (firewall, deny bool) {
	out, _ := s.agent.try("", "iptables-save")
	firewall = regexp.MustCompile(`(?m)^-A .*` + regexp.QuoteMeta(attackerAddr) + `.*-j DROP`).MatchString(out)
	return firewall, strings.Contains(s.agent.read("host/hosts.deny"), attackerAddr)
}

// offence attacks, and measures how long the attacker stays cut off.
func (s *scene) offence(t *testing.T, least, most time.Duration) {
	server := agentSide + ":8022"
	if !s.attacker.reaches(server) {
		t.Fatal("the attacker cannot reach the agent before the attack")
	}
	s.attack(t)
	s.agent.eventually("a DROP rule and an entry in hosts.deny", 5*time.Second, func() bool {
		fw, deny := s.blocked()
		return fw && deny
	})
	start := time.Now()
	if s.attacker.reaches(server) {
		t.Error("traffic of the attacker is not cut")
	}
	s.agent.eventually("both blocks are gone", most, func() bool {
		fw, deny := s.blocked()
		return !fw && !deny
	})
	if took := time.Since(start); took < least {
		t.Errorf("the block ended after %s, expected at least %s", took, least)
	}
	if !s.attacker.reaches(server) {
		t.Error("traffic does not flow again")
	}
	if !strings.Contains(s.agent.read("host/hosts.deny"), "# kept") {
		t.Error("hosts.deny lost its other lines")
	}
}

func bruteForce(t *testing.T, s *scene) {
	s.offence(t, 2*time.Second, 12*time.Second) // timeout 3 s
	s.offence(t, 5*time.Second, 20*time.Second) // second offence: 60 units of 100 ms
	log := s.agent.read("logs/active-responses.log")
	for _, want := range []string{"host-deny.sh add - " + attackerAddr, "host-deny.sh delete - " + attackerAddr,
		"firewall-drop.sh add - " + attackerAddr, "firewall-drop.sh delete - " + attackerAddr} {
		if strings.Count(log, want) < 2 {
			t.Errorf("active-responses.log has %q %d times, expected at least twice:\n%s", want, strings.Count(log, want), log)
		}
	}
}

// grokPattern is what a collector's filter looks like; it must not be changed.
const grokPattern = `%{SYSLOGTIMESTAMP:syslog_timestamp} %{SYSLOGHOST:syslog_host} %{DATA:syslog_program}: Alert Level: %{BASE10NUM:Alert_Level}; Rule: %{BASE10NUM:Rule} - %{GREEDYDATA:Description}; Location: (?<agent>\(%{HOSTNAME}\) %{IP})->%{GREEDYDATA:Details}`

func forwarded(t *testing.T, s *scene) {
	s.web.eventually("the second agent is connected and tails its log", 20*time.Second, func() bool {
		log := s.web.read("logs/ossec.log")
		return strings.Contains(log, "(4102): INFO: Connected") && strings.Contains(log, "Analyzing file: '"+s.web.path("auth.log")+"'")
	})
	line := s.sshFailure(t, s.web.path("auth.log"), "198.51.100.99")
	packet := ""
	s.manager.eventually("the alert is forwarded", 10*time.Second, func() bool {
		for l := range strings.Lines(s.packets.String()) {
			if text, err := strconv.Unquote(strings.TrimSpace(l)); err == nil && strings.Contains(text, line) {
				packet = text
			}
		}
		return packet != ""
	})
	g := grok.New()
	if err := g.Compile(grokPattern, true); err != nil {
		t.Fatal(err)
	}
	fields, err := g.ParseString(packet)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"syslog_program": "ossec", "Alert_Level": "5", "Rule": "5716", "agent": "(web-01.example.org) " + webAddr,
	} {
		if fields[name] != want {
			t.Errorf("%s = %q, want %q in %q", name, fields[name], want, packet)
		}
	}
	if fields["Description"] == "" || !strings.HasPrefix(fields["Details"], s.web.path("auth.log")+"; classification:  syslog,sshd,authentication_failed,;") ||
		!strings.HasSuffix(fields["Details"], line) {
		t.Errorf("Description %q, Details %q", fields["Description"], fields["Details"])
	}
	if _, err := time.Parse("Jan _2 15:04:05", fields["syslog_timestamp"]); err != nil {
		t.Errorf("syslog_timestamp: %v", err)
	}
}

// changeFiles changes, adds and deletes a file of a watched directory and expects the three alerts; trigger makes the agent look.
func (s *scene) changeFiles(t *testing.T, dir string, trigger func()) {
	changed, added, gone := s.agent.path("host/"+dir+"/app.conf"), s.agent.path("host/"+dir+"/new.conf"), s.agent.path("host/"+dir+"/gone.conf")
	s.agent.write("host/"+dir+"/app.conf", "first line\nanother second line\n")
	s.agent.write("host/"+dir+"/new.conf", "new\n")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	trigger()
	s.manager.eventually("alerts 550, 554 and 553 for "+dir, 30*time.Second, func() bool {
		return len(s.manager.entries("Rule: 550 ", "'"+changed+"'")) > 0 && len(s.manager.entries("Rule: 554 ", "'"+added+"'")) > 0 &&
			len(s.manager.entries("Rule: 553 ", "'"+gone+"'")) > 0
	})
	entry := s.manager.entries("Rule: 550 ", "'"+changed+"'")[0]
	for _, want := range []string{
		"Integrity checksum changed for: '" + changed + "'\nSize changed from '23' to '31'\n",
		"Old md5sum was: '" + digest("md5", "first line\nsecond line\n") + "'\nNew md5sum is : '" + digest("md5", "first line\nanother second line\n") + "'\n",
		"Old sha1sum was: '" + digest("sha1", "first line\nsecond line\n") + "'\nNew sha1sum is : '" + digest("sha1", "first line\nanother second line\n") + "'\n",
		"Old sha256sum was: '" + digest("sha256", "first line\nsecond line\n") + "'\nNew sha256sum is : '" + digest("sha256", "first line\nanother second line\n") + "'\n",
		"What changed:\n2c2\n< second line\n---\n> another second line\n",
	} {
		if !strings.Contains(entry, want) {
			t.Errorf("alert 550 lacks %q:\n%s", want, entry)
		}
	}
	if e := s.manager.entries("Rule: 554 ", "'"+added+"'")[0]; !strings.Contains(e, "New file '"+added+"' added to the file system.\nNew sha1sum is : '"+digest("sha1", "new\n")+"'") {
		t.Errorf("alert 554:\n%s", e)
	}
	if e := s.manager.entries("Rule: 553 ", "'"+gone+"'")[0]; !strings.Contains(e, "File '"+gone+"' was deleted. Unable to retrieve checksum.") {
		t.Errorf("alert 553:\n%s", e)
	}
}

func fileChanges(t *testing.T, s *scene) {
	s.agent.eventually("the first scan has ended and realtime runs", 60*time.Second, func() bool {
		return strings.Contains(s.manager.read("queue/rootcheck/(test) any->rootcheck"), "Ending syscheck scan.")
	})
	s.changeFiles(t, "live", func() {})
	s.changeFiles(t, "scanned", func() { s.manager.run("", s.manager.bin("agent_control"), "-r", "-u", "001") })
}

func rootkitFinding(t *testing.T, s *scene) {
	for _, dir := range []string{"docker/overlay", "other"} {
		s.agent.write("host/base/var/lib/"+dir+"/.hidden", "x")
	}
	s.manager.run("", s.manager.bin("agent_control"), "-r", "-u", "001")
	other := s.agent.path("host/base/var/lib/other/.hidden")
	docker := s.agent.path("host/base/var/lib/docker/overlay/.hidden")
	s.manager.eventually("rule 510 alerts on the finding elsewhere", 30*time.Second, func() bool {
		return len(s.manager.entries("Rule: 510 (level 7)", other)) > 0
	})
	s.manager.eventually("the finding below /var/lib/docker has been seen", 30*time.Second, func() bool {
		return strings.Contains(s.manager.read("queue/rootcheck/(test) any->rootcheck"), docker)
	})
	if e := s.manager.entries(docker); len(e) > 0 {
		t.Errorf("the silenced finding alerted:\n%s", e[0])
	}
}

func newUser(t *testing.T, s *scene) {
	appendTo(t, s.agent.path("host/live/passwd"), "bob:x:1001:1001::/home/bob:/bin/sh\n")
	appendTo(t, s.log, time.Now().Format("Jan _2 15:04:05")+" box useradd[4242]: new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh\n")
	s.manager.eventually("alerts for the passwd file and the useradd line", 15*time.Second, func() bool {
		return len(s.manager.entries("Rule: 550 ", "/host/live/passwd'", "> bob:x:1001")) > 0 && len(s.manager.entries("Rule: 5902 (level 8)", "name=bob")) > 0
	})
}

func (s *scene) expectLogin(t *testing.T, addr string) {
	line := s.sshFailure(t, s.log, addr)
	s.manager.eventually("an alert for the login from "+addr, 40*time.Second, func() bool { return len(s.manager.entries(line)) > 0 })
}

func restarts(t *testing.T, s *scene) {
	kill(t, s.manager)
	s.manager.run("", s.manager.bin("ossec-control"), "start")
	s.expectLogin(t, "198.51.100.21")
	s.manager.eventually("the agent is active again", 30*time.Second, func() bool {
		out, _ := s.manager.try("", s.manager.bin("agent_control"), "-lc")
		return strings.Contains(out, "Name: test, IP: any, Active")
	})
	kill(t, s.agent)
	s.agent.run("", s.agent.bin("ossec-control"), "start")
	s.expectLogin(t, "198.51.100.22")
	s.agent.run("", s.agent.bin("ossec-control"), "restart")
	s.expectLogin(t, "198.51.100.23")

	for _, in := range []install{s.agent, s.web, s.manager} {
		pids := pidsOf(in)
		if len(pids) == 0 {
			t.Errorf("%s has no pid files while it runs", in.root)
		}
		out := in.run("", in.bin("ossec-control"), "stop")
		if !strings.HasSuffix(out, "Stopped\n") || strings.Contains(out, "SIGKILL") {
			t.Errorf("ossec-control stop: %s", out)
		}
		for pid := range pids {
			if alive(pid) {
				t.Errorf("process %s of %s is still there", pid, in.root)
			}
		}
		for _, pattern := range []string{"var/run/*.pid", "queue/ossec/queue", "queue/alerts/*"} {
			if left, _ := filepath.Glob(in.path(pattern)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		}
	}
}
