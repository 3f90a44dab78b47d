package agents

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

var now = time.Unix(1_795_000_000, 0)

const confSum = "0123456789abcdef0123456789abcdef"

// install makes a manager with an active, a silent and a new agent.
func install(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/client.keys":                      "001 web any aaaa\n002 db 10.0.0.1 bbbb\n003 new 10.0.0.2 cccc\n",
		"queue/agent-info/web-any":             "Linux web 6.1 #1 x86_64 - OSSEC HIDS v4.2.0 / " + confSum + "\ncrypto_method:aes\n",
		"queue/agent-info/db-10.0.0.1":         "Linux db 6.1\x1b[2J - OSSEC HIDS v3.7.0\n",
		"queue/rootcheck/(web) any->rootcheck": "!1794990000!1790000000 Starting syscheck scan.\n!1794990100!1790000000 Ending syscheck scan.\n",
		"queue/syscheck/.keep":                 "",
		"backup/agents/.keep":                  "",
		"queue/rids/002":                       "1:2:",
	} {
		write(t, root, name, text)
	}
	for name, at := range map[string]time.Time{"web-any": now.Add(-time.Minute), "db-10.0.0.1": now.Add(-40 * 24 * time.Hour)} {
		if err := os.Chtimes(filepath.Join(root, "queue/agent-info", name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, root string) []Agent {
	t.Helper()
	all, err := List(root, now)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestList(t *testing.T) {
	all := list(t, install(t))
	var states []string
	for _, a := range all {
		states = append(states, a.ID+" "+a.Status)
	}
	if want := []string{"001 active", "002 disconnected", "003 never connected"}; !slices.Equal(states, want) {
		t.Errorf("%q", states)
	}
	web := all[0]
	if web.OS != "Linux web 6.1 #1 x86_64" || web.Cipher != "aes" || web.SyscheckStarted.Unix() != 1794990000 || web.SyscheckEnded.Unix() != 1794990100 ||
		web.RootcheckStarted != nil || web.LastSeen.Unix() != now.Unix()-60 || web.IP != "any/0" {
		t.Errorf("%+v", web)
	}
	if strings.ContainsRune(all[1].OS, '\x1b') {
		t.Errorf("%q would control a terminal", all[1].OS)
	}
}

func TestFindByIDAndName(t *testing.T) {
	all := list(t, install(t))
	for who, id := range map[string]string{"1": "001", "002": "002", "new": "003"} {
		if a, err := Find(all, who); err != nil || a.ID != id {
			t.Errorf("%s: %+v %v", who, a, err)
		}
	}
	if _, err := Find(all, "nobody"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestOnlySilentAgentsAreStale(t *testing.T) {
	all := list(t, install(t))
	if s := Stale(all, 30*24*time.Hour, now); len(s) != 1 || s[0].Name != "db" {
		t.Errorf("%+v", s)
	}
	if s := Stale(all, 50*24*time.Hour, now); len(s) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRemoveKeepsABackup(t *testing.T) {
	root := install(t)
	if err := Remove(root, "002"); err != nil {
		t.Fatal(err)
	}
	if all := list(t, root); len(all) != 2 || all[1].ID != "003" {
		t.Errorf("%+v", all)
	}
	if _, err := os.Stat(filepath.Join(root, "queue/agent-info/db-10.0.0.1")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("agent-info is left", err)
	}
	if got, _ := filepath.Glob(filepath.Join(root, "backup/agents/db-10.0.0.1-*/agent-info")); len(got) != 1 {
		t.Errorf("backup: %q", got)
	}
	if err := Remove(root, "009"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func TestRenameGivesTheKeyTextThatTheAgentNeeds(t *testing.T) {
	root := install(t)
	web, err := Find(list(t, root), "web")
	if err != nil {
		t.Fatal(err)
	}
	text, err := Rename(root, web, "www")
	if err != nil {
		t.Fatal(err)
	}
	if e, err := keys.ParseText(text); err != nil || e != (keys.Entry{ID: "001", Name: "www", IP: "any", Key: "aaaa"}) {
		t.Errorf("%+v %v", e, err)
	}
	all := list(t, root)
	if all[0].Name != "www" || all[0].Status != Active || all[0].SyscheckStarted == nil {
		t.Errorf("what is known does not go by the new name: %+v", all[0])
	}
	if st, err := os.Stat(filepath.Join(root, "etc/client.keys")); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v %v", st, err)
	}
	if _, err := Rename(root, &all[0], "db"); err == nil || list(t, root)[0].Name != "www" {
		t.Error("the name of another agent was accepted")
	}
}

const agentConf = `<agent_config><syscheck><frequency>100</frequency></syscheck></agent_config>
<agent_config name="web|mail"><localfile><location>/var/log/a&b</location><log_format>syslog</log_format></localfile></agent_config>
<agent_config os="Windows"><syscheck><frequency>200</frequency></syscheck></agent_config>
<agent_config profile="dmz"><syscheck><frequency>300</frequency></syscheck></agent_config>
`

func TestConfigOf(t *testing.T) {
	root := install(t)
	write(t, root, "etc/shared/agent.conf", agentConf)
	write(t, root, "etc/shared/x.txt", "x")
	write(t, root, "etc/shared/merged.mg", string(agentwire.AppendMerged(agentwire.AppendMerged(nil, "agent.conf", []byte(agentConf)), "old.txt", nil)))
	web, err := Find(list(t, root), "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		profile  string
		selected []bool
		need     bool
	}{{"", []bool{true, true, false, false}, true}, {"dmz", []bool{true, true, false, true}, false}, {"lan", []bool{true, true, false, false}, false}} {
		conf, err := ConfigOf(root, web, c.profile)
		if err != nil {
			t.Fatal(err)
		}
		var selected []bool
		for _, b := range conf.Blocks {
			selected = append(selected, b.Selected)
		}
		if !slices.Equal(selected, c.selected) || conf.Blocks[3].NeedProfile != c.need {
			t.Errorf("profile %q: %v %+v", c.profile, selected, conf.Blocks)
		}
		if !strings.Contains(conf.Blocks[1].Text, "<location>") || conf.Blocks[2].Text != "" || conf.Blocks[1].Line != 2 {
			t.Errorf("%+v", conf.Blocks)
		}
		if conf.InSync || conf.Held != confSum || len(conf.Present) != 32 {
			t.Errorf("%+v", conf)
		}
		if want := []string{"x.txt", "old.txt (gone)"}; !slices.Equal(conf.BundleStale, want) {
			t.Errorf("%q", conf.BundleStale)
		}
	}
	write(t, root, "queue/agent-info/web-any", "Linux web - OSSEC HIDS v4.2.0 / "+sumOf([]byte(agentConf))+"\n")
	web, err = Find(list(t, root), "web")
	if err != nil {
		t.Fatal(err)
	}
	if conf, err := ConfigOf(root, web, ""); err != nil || !conf.InSync {
		t.Errorf("%+v %v", conf, err)
	}
	// An agent of Vedette tells its profile, and which agent.conf it runs with.
	for _, running := range []string{"", confSum, sumOf([]byte(agentConf))} {
		write(t, root, "queue/agent-info/web-any", "Linux web - OSSEC HIDS v4.2.0 / "+sumOf([]byte(agentConf))+"\ncrypto_method:aes\nagent_conf:"+running+"\nprofile:x, dmz\n")
		if web, err = Find(list(t, root), "web"); err != nil {
			t.Fatal(err)
		}
		conf, err := ConfigOf(root, web, "")
		if err != nil || web.Cipher != "aes" || !conf.Blocks[3].Selected || conf.InSync != (running == conf.Present) || conf.NeedRestart == conf.InSync {
			t.Errorf("%q: %+v %v", running, conf, err)
		}
	}
}

func TestRemovalIsAllOrNothing(t *testing.T) {
	root := install(t)
	before := list(t, root)
	if err := Remove(root, "001", "009"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if after := list(t, root); len(after) != len(before) {
		t.Errorf("%+v", after)
	}
	if err := Remove(root, "001", "002"); err != nil {
		t.Fatal(err)
	}
	if after := list(t, root); len(after) != len(before)-2 {
		t.Errorf("%+v", after)
	}
}
