package manageagents

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const twoAgents = "001 alpha 10.1.1.1 k1\n002 beta any k2\n"

func put(t *testing.T, root, name, text string) string {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTakenAddressFromFlagAsksOnceAndEnds(t *testing.T) {
	v := transcript{Args: []string{"-a", "10.1.1.1", "-n", "new-1"}, Before: twoAgents}
	stdout, _, after, code := run(t, v, nil)
	if code != 1 || after != twoAgents || strings.Count(stdout, "Duplicated IP") != 1 {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
	v.Stdin = "10.1.1.9\n"
	_, _, after, code = run(t, v, nil)
	if code != 0 || !strings.Contains(after, "\n003 new-1 10.1.1.9 ") {
		t.Errorf("exit %d, file %q", code, after)
	}
}

func TestTakenAddressIsReportedToTheQueue(t *testing.T) {
	var got string
	done := make(chan struct{})
	v := transcript{Args: []string{"-j", "-a", "10.1.1.1", "-n", "new-1"}, Before: twoAgents}
	run(t, v, func(root string) {
		path := filepath.Join(root, "queue", "ossec", "queue")
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Skip("no unix datagram sockets here: ", err)
		}
		t.Cleanup(func() { conn.Close() })
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(done)
			b := make([]byte, 1000)
			n, _ := conn.Read(b)
			got = string(b[:n])
		}()
	})
	<-done
	if got != "1:manage_agents:ossec: Duplicated IP 10.1.1.1" {
		t.Errorf("%q", got)
	}
}

func TestRemovalBacksUpAndDeletesTheAgentsFiles(t *testing.T) {
	var root string
	names := []string{
		"queue/agent-info/alpha-10.1.1.1", "queue/rids/001", "queue/syscheck/(alpha) 10.1.1.1->syscheck", "queue/syscheck/.(alpha) 10.1.1.1->syscheck.cpt",
		"queue/syscheck/(alpha) 10.1.1.1->syscheck-registry", "queue/syscheck/.(alpha) 10.1.1.1.maint", "queue/rootcheck/(alpha) 10.1.1.1->rootcheck",
	}
	_, stderr, after, code := run(t, transcript{Args: []string{"-r", "001"}, Before: twoAgents}, func(r string) {
		root = r
		for _, n := range names {
			put(t, root, n, n)
		}
		put(t, root, "queue/rids/002", "5:5:")
	})
	if code != 0 || stderr != "" || after != "001 #*#*#*#*#*#*#*#*#*#*#\n002 beta any k2\n" {
		t.Errorf("exit %d, stderr %q, file %q", code, stderr, after)
	}
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(root, n)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", n)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "queue/rids/002")); err != nil {
		t.Error(err)
	}
	for _, n := range []string{"agent-info", "syscheck", "syscheck.cpt", "syscheck-registry", "rootcheck"} {
		if _, err := os.Stat(filepath.Join(root, "backup/agents/alpha-10.1.1.1-2026-11-24-100000", n)); err != nil {
			t.Error(err)
		}
	}
}

func TestRemovalNeverLeavesTheQueueDirectories(t *testing.T) {
	var victim string
	_, stderr, after, code := run(t, transcript{Args: []string{"-r", "001"}, Before: "001 x/../../../etc/hosts any k\n"}, func(root string) {
		victim = put(t, root, "queue/agent-info/x/keep", "")
	})
	if _, err := os.Stat(victim); err != nil || code != 0 || !strings.HasPrefix(after, "001 #") {
		t.Errorf("exit %d, stderr %q, file %q, %v", code, stderr, after, err)
	}
}

func TestDuplicateOwnerMustHaveBeenSilent(t *testing.T) {
	for _, c := range []struct {
		age  time.Duration
		code int
	}{{59 * time.Second, 1}, {61 * time.Second, 0}} {
		_, _, after, code := run(t, transcript{Args: []string{"-F", "60", "-a", "10.1.1.1", "-n", "new-1"}, Before: twoAgents}, func(root string) {
			at := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Add(-c.age)
			if err := os.Chtimes(put(t, root, "queue/agent-info/alpha-10.1.1.1", "x"), at, at); err != nil {
				t.Fatal(err)
			}
		})
		if removed := strings.HasPrefix(after, "001 #"); code != c.code || removed != (c.code == 0) {
			t.Errorf("silent for %v: exit %d, file %q", c.age, code, after)
		}
	}
}

func TestImportDropsCountersOfAnotherKeyOnly(t *testing.T) {
	text := "MDAxIGFscGhhIDEwLjEuMS4xIGsx" // 001 alpha 10.1.1.1 k1
	for before, kept := range map[string]bool{twoAgents: true, "001 alpha 10.1.1.1 other\n": false, "003 x any k1\n": false} {
		var root string
		_, stderr, after, code := run(t, transcript{Role: "agent", Args: []string{"-i", text}, Stdin: "y", Before: before}, func(r string) {
			root = r
			put(t, root, "queue/rids/sender_counter", "7:7:")
			put(t, root, "queue/rids/001", "8:8:")
		})
		if code != 0 || after != "001 alpha 10.1.1.1 k1\n" {
			t.Fatalf("exit %d, %q, %q", code, after, stderr)
		}
		for _, n := range []string{"sender_counter", "001"} {
			if _, err := os.Stat(filepath.Join(root, "queue/rids", n)); (err == nil) != kept {
				t.Errorf("before %q: %s kept %v, want %v", before, n, err == nil, kept)
			}
		}
	}
}

func TestKeyFileIsReplacedReadOnly(t *testing.T) {
	var root string
	run(t, transcript{Args: []string{"-a", "any", "-n", "new-1"}, Before: "001 a any k"}, func(r string) { root = r })
	st, err := os.Stat(filepath.Join(root, "etc", "client.keys"))
	if err != nil || st.Mode().Perm() != 0o440 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	b, _ := os.ReadFile(filepath.Join(root, "etc", "client.keys"))
	if !strings.HasPrefix(string(b), "001 a any k\n002 new-1 any ") {
		t.Errorf("%q", b)
	}
}

func TestListInJSON(t *testing.T) {
	stdout, _, _, code := run(t, transcript{Args: []string{"-lj"}, Before: twoAgents}, nil)
	want := `{"error":0,"response":[{"id":"001","name":"alpha","ip":"10.1.1.1"},{"id":"002","name":"beta","ip":"any"}]}`
	if code != 0 || stdout != want {
		t.Errorf("%d %s", code, stdout)
	}
}
