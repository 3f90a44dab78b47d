package layout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

var defaults = fstest.MapFS{
	"etc/ossec-server.conf":     {Data: []byte("<!-- server /var/ossec/etc -->\n")},
	"etc/ossec-agent.conf":      {Data: []byte("<!-- agent -->\n")},
	"etc/internal_options.conf": {Data: []byte("syscheck.sleep=2\n")},
	"decoder.xml":               {Data: []byte("<!-- decoders -->\n")},
	"rules/local_rules.xml":     {Data: []byte("<!-- local -->\n")},
	"rules/sshd_rules.xml":      {Data: []byte("<!-- sshd -->\n")},
	"shared/rootkit_files.txt":  {Data: []byte("# files\n")},
}

// programs makes stand-ins for the built programs.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, n := range []string{"vedette", "vedette-manager", "vedette-agent"} {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func install(t *testing.T, root string, role Role) {
	t.Helper()
	if err := Install(Options{Root: root, Role: role, BinDir: programs(t), Etc: defaults, Now: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestManagerRootHasToolsRulesAndItsOwnPaths(t *testing.T) {
	root := filepath.Join(t.TempDir(), "r")
	install(t, root, Manager)
	if got, want := content(t, filepath.Join(root, "etc/ossec.conf")), "<!-- server "+root+"/etc -->\n"; got != want {
		t.Errorf("ossec.conf %q, want %q", got, want)
	}
	for link, target := range map[string]string{"bin/manage_agents": "vedette", "bin/ossec-logtest": "vedette", "active-response/bin/host-deny.sh": "../../bin/vedette"} {
		if got, err := os.Readlink(filepath.Join(root, link)); err != nil || got != target {
			t.Errorf("%s -> %q, %v", link, got, err)
		}
	}
	if content(t, filepath.Join(root, "active-response/bin/host-deny.sh")) != "vedette" {
		t.Error("the link of a responder does not lead to the program")
	}
	if init := content(t, filepath.Join(root, "etc/ossec-init.conf")); !strings.Contains(init, "DIRECTORY=\""+root+"\"\n") || !strings.HasSuffix(init, "TYPE=\"server\"\n") {
		t.Errorf("ossec-init.conf: %s", init)
	}
	for _, p := range []string{"rules/sshd_rules.xml", "etc/decoder.xml", "etc/shared/rootkit_files.txt", "logs/alerts", "queue/alerts", "stats"} {
		if _, err := os.Stat(filepath.Join(root, p)); err != nil {
			t.Error(err)
		}
	}
}

func TestAgentRootHasNoRules(t *testing.T) {
	root := filepath.Join(t.TempDir(), "r")
	install(t, root, Agent)
	for _, p := range []string{"rules", "etc/decoder.xml", "bin/ossec-logtest", "bin/vedette-manager", "logs/alerts"} {
		if _, err := os.Lstat(filepath.Join(root, p)); err == nil {
			t.Errorf("an agent has %s", p)
		}
	}
	for _, p := range []string{"bin/vedette-agent", "bin/agent-auth", "queue/spool", "etc/shared"} {
		if _, err := os.Lstat(filepath.Join(root, p)); err != nil {
			t.Error(err)
		}
	}
}

func TestUpgradeKeepsWhatTheOperatorEdited(t *testing.T) {
	root := filepath.Join(t.TempDir(), "r")
	install(t, root, Manager)
	edited := []string{"etc/ossec.conf", "rules/local_rules.xml", "etc/client.keys"}
	for _, p := range edited {
		if err := os.WriteFile(filepath.Join(root, p), []byte("mine"), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "rules/sshd_rules.xml"), []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(root, "active-response/bin/host-deny.sh")
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o750); err != nil {
		t.Fatal(err)
	}
	install(t, root, Manager)
	for _, p := range edited {
		if content(t, filepath.Join(root, p)) != "mine" {
			t.Errorf("%s was overwritten", p)
		}
	}
	if content(t, filepath.Join(root, "rules/sshd_rules.xml")) == "old" {
		t.Error("shipped rules were not upgraded")
	}
	if content(t, script) != "#!/bin/sh\n" {
		t.Error("the operator's own script was replaced")
	}
}

func TestRolesAreNamed(t *testing.T) {
	if r, err := ParseRole("server"); err != nil || r != Manager {
		t.Errorf("server: %v, %v", r, err)
	}
	if _, err := ParseRole("boss"); err == nil || !strings.Contains(err.Error(), "manager, agent or local") {
		t.Errorf("boss: %v", err)
	}
}
