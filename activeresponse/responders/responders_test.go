//go:build linux

package responders

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var hostile = []string{"--help", "-1", "-", "--", "999.1.1.1", "010.1.1.1", "10.1", "0x7f.1", "1.2.3.4;id", "$(id)", "`id`", "1.2.3.4 5.6.7.8", "fe80::1%eth0",
	"10.0.0.0/8", "1.2.3.4\nALL:ALL", "1.2.3.4\x00", "ALL", "*", ".", "..", "../../etc/passwd", ".com", "com.", "a..b", "x.*", "x.y?", "| sh", "&", "'", `"`, `\`,
	"\u202e1.2.3.4", "１.2.3.4", "1.2.3.4,5.6.7.8", "ALL:ALL", "LOCAL", "[::1]", "-j.ACCEPT", "a.b/24", "/etc/hosts.evil", "a.b:c", "@ng.x", "a.b EXCEPT c.d",
	strings.Repeat("a", 10<<10), strings.Repeat("a.", 5<<10), "1.2.3.4" + strings.Repeat("0", 10<<10), "::" + strings.Repeat("0", 10<<10)}

func TestHostileArgumentsDoNothing(t *testing.T) {
	for _, r := range all {
		if r.Subject == Nothing {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			w := newWorld(t)
			for _, action := range []string{"add", "delete"} {
				for _, v := range hostile {
					args := []string{action, "-", v, "1.1", "5712", "x", "-"}
					if r.Subject == User {
						args[1], args[2] = v, "-"
					}
					res := r.Respond(t.Context(), w.env, Call{Script: "/b/" + r.Name, Args: args})
					if res.Err == nil || !res.Refused {
						t.Errorf("%s %.60q: %+v", action, v, res)
					}
				}
			}
			if len(w.commands) != 0 {
				t.Errorf("started %.200q", w.commands)
			}
			for _, path := range []string{w.env.HostsDeny, w.env.BlockDir} {
				if _, err := os.Stat(path); err == nil {
					t.Errorf("%s was made", path)
				}
			}
			for _, l := range w.log(t) {
				if len(l) > 2000 || !strings.HasPrefix(l, "<date> ") {
					t.Errorf("log line %.200q", l)
				}
			}
		})
	}
}

func TestProtectedAddressesAreRefusedOnlyOnAdd(t *testing.T) {
	gateway := netip.MustParseAddr("192.0.2.1")
	for _, r := range all {
		if r.Subject != Address {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			w := newWorld(t)
			w.env.Protected = func(p netip.Prefix) (string, bool) { return "default gateway", p.Contains(gateway) }
			for _, ip := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "192.0.2.1", "::ffff:192.0.2.1", "255.255.255.255", "ff02::1"} {
				c := Call{Script: "/b/" + r.Name, Args: []string{"add", "-", ip, "1.1", "5712", "x", "-"}}
				if res := r.Respond(t.Context(), w.env, c); res.Err == nil || !res.Refused {
					t.Errorf("%s: %+v", ip, res)
				}
			}
			if len(w.commands) != 0 {
				t.Errorf("started %q", w.commands)
			}
			if r.Name == "firewall-drop.sh" {
				return // has no stand-in; TestRealBlocks…
			}
			c := Call{Script: "/b/" + r.Name, Args: []string{"delete", "-", "192.0.2.1", "1.1", "5712", "x", "-"}}
			if res := r.Respond(t.Context(), w.env, c); res.Err != nil {
				t.Errorf("delete: %+v", res)
			}
		})
	}
}

func TestMainProtectsTheMachineByDefault(t *testing.T) {
	w := newWorld(t)
	w.env.Protected = nil
	conf := "<ossec_config><global><allow_list>192.0.2.0/24</allow_list></global><client><server-ip>198.51.100.9</server-ip></client></ossec_config>"
	if err := os.WriteFile(filepath.Join(w.root, "etc/ossec.conf"), []byte(conf), 0o640); err != nil {
		t.Fatal(err)
	}
	for ip, want := range map[string]int{"127.0.0.1": 1, "192.0.2.7": 1, "198.51.100.9": 1, "203.0.113.7": 0} {
		if got := Main("host-deny.sh", []string{"add", "-", ip}, w.env); got != want {
			t.Errorf("%s: exit %d, want %d", ip, got, want)
		}
	}
	if got := strings.Join(w.log(t), "\n"); !strings.Contains(got, w.root+"/active-response/bin/host-deny.sh add - 203.0.113.7") ||
		!strings.Contains(got, "Unable to run active response (protected address: '198.51.100.9', manager).") {
		t.Errorf("log:\n%s", got)
	}
	if Main("no-such.sh", nil, w.env) != 1 || !strings.Contains(w.stdout.String(), "host-deny.sh") {
		t.Error("an unknown name is not explained")
	}
}

func TestHostsDenyKeepsModeOwnerAndLink(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.root, "real")
	if err := os.WriteFile(file, []byte("# no line end"), 0o604); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(file, w.env.HostsDeny); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(file)
	mustRespond(t, w, "host-deny.sh", 0, "add", "192.0.2.7")
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	b, a := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid {
		t.Errorf("mode %o owner %d:%d became %o %d:%d", b.Mode, b.Uid, b.Gid, a.Mode, a.Uid, a.Gid)
	}
	if got, _ := os.ReadFile(file); string(got) != "# no line end\nALL:192.0.2.7\n" {
		t.Errorf("%q", got)
	}
	if target, _ := os.Readlink(w.env.HostsDeny); target != file {
		t.Error("the link was replaced")
	}
	if names, _ := filepath.Glob(filepath.Join(w.root, ".real*")); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestHostsDenyTakesManyAtOnce(t *testing.T) {
	w := newWorld(t)
	w.env.Sleep = sleep
	const n = 40
	for _, action := range []string{"add", "delete"} {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { mustRespond(t, w, "host-deny.sh", 0, action, fmt.Sprintf("192.0.2.%d", i+1)) })
		}
		wg.Wait()
		data, err := os.ReadFile(w.env.HostsDeny)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Count(string(data), "\n"), map[string]int{"add": n, "delete": 0}[action]; got != want {
			t.Errorf("%d lines after %s, want %d", got, action, want)
		}
	}
}

func TestLockThatIsHeldEndsWithTheContext(t *testing.T) {
	w := newWorld(t)
	w.env.Sleep = sleep
	unlock, err := lockFile(t.Context(), w.env, filepath.Join(w.root, "active-response/host-deny.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	r, _ := Lookup("host-deny.sh")
	res := r.Respond(ctx, w.env, Call{Script: "/b/host-deny.sh", Args: []string{"add", "-", "192.0.2.7"}})
	if !errors.Is(res.Err, context.DeadlineExceeded) || res.Refused {
		t.Errorf("%+v", res)
	}
	if got := w.log(t); !slices.Contains(got, "<date> Unable to execute. Locked: /b/host-deny.sh") {
		t.Errorf("log %q", got)
	}
}

func TestLogIsNotWrittenThroughStrangersLinks(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a link to another user")
	}
	w := newWorld(t)
	victim := filepath.Join(w.root, "victim")
	if err := os.Symlink(victim, w.env.LogFile()); err != nil {
		t.Fatal(err)
	}
	mustRespond(t, w, "host-deny.sh", 0, "add", "192.0.2.7")
	if _, err := os.Stat(victim); err != nil {
		t.Error("root's own link is not followed:", err)
	}
	os.Remove(victim)
	if err := os.Lchown(w.env.LogFile(), 12, 34); err != nil {
		t.Fatal(err)
	}
	mustRespond(t, w, "host-deny.sh", 0, "add", "192.0.2.8")
	if _, err := os.Stat(victim); err == nil {
		t.Error("a stranger's link was followed")
	}
	os.Remove(w.env.LogFile())
	if err := syscall.Mkfifo(w.env.LogFile(), 0o660); err != nil {
		t.Fatal(err)
	}
	mustRespond(t, w, "host-deny.sh", 0, "add", "192.0.2.9") // must not hang
}

func TestOnlyOrdinaryAccountsAreLocked(t *testing.T) {
	w := newWorld(t)
	uids := map[string]int{"bob": 1005, "daemon": 1, "nobody": 65534, "toor": 0}
	w.env.LookupUser = func(name string) (int, error) {
		if uid, ok := uids[name]; ok {
			return uid, nil
		}
		return 0, errors.New("unknown")
	}
	r, _ := Lookup("disable-account.sh")
	for name, ok := range map[string]bool{"bob": true, "root": false, "daemon": false, "nobody": false, "toor": false, "ghost": false, "-l": false, "a b": false} {
		res := r.Respond(t.Context(), w.env, Call{Script: "/b/x", Args: []string{"add", name, "-"}})
		if (res.Err == nil) != ok || res.Refused == ok {
			t.Errorf("%s: %+v", name, res)
		}
	}
	if len(w.commands) != 1 {
		t.Errorf("started %q", w.commands)
	}
	w.fail = 10
	if res := r.Respond(t.Context(), w.env, Call{Script: "/b/x", Args: []string{"add", "bob", "-"}}); res.Err == nil || res.Refused {
		t.Errorf("a failing passwd: %+v", res)
	}
}

func TestLowestOrdinaryUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "login.defs")
	if got := lowestUser(path); got != 1000 {
		t.Errorf("without file %d", got)
	}
	if err := os.WriteFile(path, []byte("# UID_MIN 5\nUID_MIN\t\t 500\nUID_MAX 60000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lowestUser(path); got != 500 {
		t.Errorf("got %d", got)
	}
}

func TestMissingProgramsAreReported(t *testing.T) {
	w := newWorld(t)
	w.env.Exists = func(string) bool { return false }
	for script, exit := range map[string]int{"firewall-drop.sh": 0, "firewalld-drop.sh": 1} {
		res := respond(t, w, script, 0, "add", "192.0.2.7")
		if res.Exit != exit || !res.Refused || !errors.Is(res.Err, errNotHere) {
			t.Errorf("%s: %+v", script, res)
		}
	}
	if got := w.stdout.String(); got != "/b/firewall-drop.sh: can not find iptables\n" {
		t.Errorf("stdout %q", got)
	}
}

func TestRestart(t *testing.T) {
	w := newWorld(t)
	n := 0
	w.env.Restart = func() error { n++; return nil }
	r, _ := Lookup("restart-ossec.sh")
	for _, action := range []string{"add", "delete"} {
		if res := r.Respond(t.Context(), w.env, Call{Script: "/b/x", Args: []string{action, "-", "null", "(from_the_server)", "(no_rule_id)"}}); res.Err != nil || res.Exit != 0 {
			t.Errorf("%s: %+v", action, res)
		}
	}
	if n != 1 {
		t.Errorf("restarted %d times", n)
	}
	w.env.Restart = nil
	if err := os.MkdirAll(filepath.Join(w.root, "bin"), 0o750); err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(w.root, "mark")
	if err := os.WriteFile(filepath.Join(w.root, "bin/ossec-control"), []byte("#!/bin/sh\necho \"$1\" >"+mark+".new && mv "+mark+".new "+mark+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.Respond(t.Context(), w.env, Call{Script: "/b/x", Args: []string{"add", "-", "null"}})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got, err := os.ReadFile(mark); err == nil {
			if string(got) != "restart\n" {
				t.Errorf("argument %q", got)
			}
			return
		}
	}
	t.Error("ossec-control was not started")
}

func TestCustomBlockDirectory(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		mustRespond(t, w, "ip-customblock.sh", 0, "add", "2001:DB8::0:7")
	}
	if _, err := os.Stat(filepath.Join(w.env.BlockDir, "2001:db8::7")); err != nil {
		t.Error(err)
	}
	for range 2 {
		mustRespond(t, w, "ip-customblock.sh", 0, "delete", "2001:db8::7")
	}
	if left, _ := os.ReadDir(w.env.BlockDir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestPostedForms(t *testing.T) {
	status := http.StatusOK
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		got = r.PostFormValue("payload")
		rw.WriteHeader(status)
	}))
	defer srv.Close()
	form := url.Values{"payload": {`{"text":"a&b=\"c\""}`}}
	if err := postForm(t.Context(), srv.URL, form); err != nil || got != form.Get("payload") {
		t.Errorf("%v, got %q", err, got)
	}
	status = http.StatusForbidden
	if err := postForm(t.Context(), srv.URL, form); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v", err)
	}
	for _, site := range []string{"", "file:///etc/passwd", "https://", "::"} {
		if err := postForm(t.Context(), site, form); err == nil {
			t.Errorf("%q was accepted", site)
		}
	}
	err := postForm(t.Context(), "http://127.0.0.1:1/services/SECRET", form)
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("the error shows the secret: %v", err)
	}
}

func TestSlackWithoutTheAlertOrSettings(t *testing.T) {
	w := newWorld(t)
	r, _ := Lookup("ossec-slack.sh")
	c := Call{Script: "/b/x", Args: []string{"add", "-", "-", "1.5", "5712", "(web)", "10.0.0.5->/var/log/x", "-"}}
	if res := r.Respond(t.Context(), w.env, c); res.Err == nil {
		t.Errorf("without SITE: %+v", res)
	}
	site := "# comment\nSITE = https://hooks.example/x\nCHANNEL='#sec'\n"
	restore(t, filepath.Join(w.root, "etc/slack.conf"), &site)
	if res := r.Respond(t.Context(), w.env, c); res.Err != nil {
		t.Error(res.Err)
	}
	if len(w.commands) != 1 || !strings.Contains(w.commands[0][1], `"title":"Alert 1.5"`) || !strings.Contains(w.commands[0][1], `"channel":"#sec"`) {
		t.Errorf("posted %q", w.commands)
	}
}

func TestProgramsRunWithTheirOwnEnvironmentAndLimit(t *testing.T) {
	t.Setenv("SECRET", "leaked")
	exit, out, err := runProgram(t.Context(), []string{"/bin/sh", "-c", `echo "$SECRET" "$LC_ALL"; pwd; exit 7`})
	if exit != 7 || out != " C\n/\n" || err != nil {
		t.Errorf("%d %q %v", exit, out, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := runProgram(ctx, []string{"/bin/sleep", "600"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, _, err := runProgram(t.Context(), []string{"/no/such/program"}); err == nil {
		t.Error("no error")
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1", "fe80::1%eth0", "999.1.1.1", "--help"} {
		f.Add(s, 64)
	}
	f.Fuzz(func(t *testing.T, s string, bits int) {
		p, err := ParseTarget(s, bits)
		if err != nil {
			return
		}
		text := targetText(p)
		if strings.Trim(text, "0123456789abcdef.:/") != "" || text[0] == '-' {
			t.Errorf("%q gives %q", s, text)
		}
		if again, err := ParseTarget(p.Addr().String(), bits); err != nil || again != p {
			t.Errorf("%q gives %s, then %s, %v", s, p, again, err)
		}
	})
}

func BenchmarkHostDeny(b *testing.B) {
	root := b.TempDir()
	e := NewEnv(root, nil).Quiet()
	e.HostsDeny = filepath.Join(root, "hosts.deny")
	r, _ := Lookup("host-deny.sh")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		action := []string{"add", "delete"}[i%2]
		if res := r.Respond(b.Context(), e, Call{Script: "/b/host-deny.sh", Args: []string{action, "-", "192.0.2.7", "1.1", "5712"}}); res.Err != nil {
			b.Fatal(res.Err)
		}
	}
}
