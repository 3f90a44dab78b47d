//go:build linux

package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const integrityManagerConf = `<ossec_config>
  <global><email_notification>no</email_notification></global>
  <rules><include>rules_config.xml</include><include>ossec_rules.xml</include></rules>
  <remote><connection>secure</connection></remote>
  <alerts><log_alert_level>1</log_alert_level></alerts>
  <syscheck><disabled>yes</disabled><alert_new_files>yes</alert_new_files><auto_ignore>no</auto_ignore></syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
</ossec_config>
`

const integrityAgentConf = `<ossec_config>
  <client><server-ip>@MANAGER@</server-ip><notify_time>2</notify_time><time-reconnect>6</time-reconnect></client>
  <syscheck>
    <frequency>86400</frequency>
    <directories check_all="yes">@ROOT@/tree</directories>
  </syscheck>
  <rootcheck><disabled>yes</disabled></rootcheck>
</ossec_config>
`

// watchedFile is the path of the nth file of the tree.
func (in install) watchedFile(n int) string {
	return filepath.Join(in.root, "tree", fmt.Sprintf("%03d", n%200), fmt.Sprintf("f%05d", n))
}

func (in install) writeWatched(n int, text string) {
	in.t.Helper()
	path := in.watchedFile(n)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		in.t.Fatal(err)
	}
	if err := os.WriteFile(path, fmt.Appendf(nil, "%s %d\n", text, n), 0o644); err != nil {
		in.t.Fatal(err)
	}
}

var (
	alertSays = map[string]*regexp.Regexp{
		"new":     regexp.MustCompile(`(?m)^New file '[^']*/f(\d+)' added to the file system\.$`),
		"changed": regexp.MustCompile(`(?m)^Integrity checksum changed for: '[^']*/f(\d+)'$`),
		"deleted": regexp.MustCompile(`(?m)^File '[^']*/f(\d+)' was deleted\.`),
	}
)

// integrityAlerts counts the alerts by "kind number".
func (in install) integrityAlerts() map[string]int {
	found := map[string]int{}
	log := in.read("logs/alerts/alerts.log")
	for kind, re := range alertSays {
		for _, m := range re.FindAllStringSubmatch(log, -1) {
			found[kind+" "+m[1]]++
		}
	}
	return found
}

func total(found map[string]int, kind string) (n int) {
	for k := range found {
		if strings.HasPrefix(k, kind) {
			n++
		}
	}
	return n
}

// TestKilledScansLoseAndRepeatNothing kills an agent and its manager with SIGKILL, alone and together, while a base line and later the
// differences to it are on their way from one to the other. In the end there is exactly one alert for every file that is new, changed or gone.
func TestKilledScansLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("fimm"), n.host("fima")
	n.link(m, "10.78.7.1", a, "10.78.7.2")
	manager := installOn(m, "manager", integrityManagerConf)
	t.Cleanup(func() { stopInstall(manager) })
	manager.write("etc/client.keys", linkKey(1))
	agent := installOn(a, "agent", strings.ReplaceAll(integrityAgentConf, "@MANAGER@", "10.78.7.1"))
	t.Cleanup(func() { stopInstall(agent) })
	agent.write("etc/client.keys", linkKey(1))
	for _, in := range []install{manager, agent} {
		appendTo(t, in.path("etc/local_internal_options.conf"), "syscheck.sleep=0\n")
	}
	const files = 6000
	for i := range files {
		agent.writeWatched(i, "content")
	}
	manager.control("start")
	agent.control("start")

	// disturb kills when so many alerts of a kind are there, and starts again what was killed.
	disturb := func(kind string, at int, victims ...install) {
		manager.eventually(fmt.Sprintf("%d alerts %s", at, kind), 2*time.Minute, func() bool { return total(manager.integrityAlerts(), kind) >= at })
		for _, v := range victims {
			kill(t, v)
		}
		t.Logf("killed when there were %d alerts %s", total(manager.integrityAlerts(), kind), kind)
		for _, v := range victims {
			v.control("start")
		}
	}
	expect := func(what string, want map[string]bool) {
		t.Helper()
		var missing, twice, wrong []string
		check := func() bool {
			missing, twice, wrong = nil, nil, nil
			got := manager.integrityAlerts()
			for k := range want {
				if got[k] == 0 {
					missing = append(missing, k)
				}
			}
			for k, times := range got {
				if !want[k] {
					wrong = append(wrong, k)
				} else if times > 1 {
					twice = append(twice, k)
				}
			}
			return missing == nil
		}
		for end := time.Now().Add(90 * time.Second); !check() && time.Now().Before(end); {
			time.Sleep(500 * time.Millisecond)
		}
		if missing != nil || twice != nil || wrong != nil {
			t.Errorf("%s: %d alerts are missing (%q...), %d repeated (%q...), %d wrong (%q...)", what,
				len(missing), missing[:min(3, len(missing))], len(twice), twice[:min(3, len(twice))], len(wrong), wrong[:min(3, len(wrong))])
		}
	}

	want := map[string]bool{}
	for i := range files {
		want[fmt.Sprintf("new %05d", i)] = true
	}
	disturb("new", 300, manager)
	disturb("new", 1500, manager)
	disturb("new", 3000, manager)
	expect("base line", want)

	// From here on slowly, so that the scan lasts longer than a restart.
	agent.control("stop")
	agent.write("etc/local_internal_options.conf", "syscheck.sleep=1\nsyscheck.sleep_after=200\n")
	for i := 0; i < files; i += 3 {
		agent.writeWatched(i, "other content")
		want[fmt.Sprintf("changed %05d", i)] = true
	}
	for i := 1; i < files; i += 4 {
		if i%3 == 0 {
			continue
		}
		if err := os.Remove(agent.watchedFile(i)); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("deleted %05d", i)] = true
	}
	for i := files; i < files+1000; i++ {
		agent.writeWatched(i, "content")
		want[fmt.Sprintf("new %05d", i)] = true
	}
	agent.control("start")
	disturb("changed", 200, agent)
	disturb("changed", 500, manager)
	disturb("changed", 900, agent, manager)
	disturb("deleted", 600, manager)
	expect("differences", want)
}
