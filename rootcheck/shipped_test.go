//go:build unix

package rootcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/vectors"
)

// TestStockFilesLoad reads what users of OSSEC have: all of it is understood.
func TestStockFilesLoad(t *testing.T) {
	dir := vectors.Corpus(t, "corpus", "ossec-4.3.0", "rootcheck") // OSSEC's own, used in place
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	policies := 0
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_rcl.txt") {
			loadPolicy(t, filepath.Join(dir, e.Name()), 10)
			policies++
		}
	}
	if policies == 0 {
		t.Error("no policies")
	}
	checkDatabases(t, dir, 100, 30)
}

// loadPolicy loads a policy that has no errors.
func loadPolicy(t *testing.T, path string, atLeast int) {
	t.Helper()
	text, err := readDatabase(path)
	if err != nil {
		t.Fatal(err)
	}
	p, problems := parsePolicy(text)
	for _, b := range problems {
		t.Errorf("%s:%d: %s", path, b.line, b.text)
	}
	if len(p.entries) < atLeast {
		t.Errorf("%s: %d entries", path, len(p.entries))
	}
	for _, e := range p.entries {
		if len(e.tests) == 0 {
			t.Errorf("%s:%d: entry without tests", path, e.line)
		}
	}
}

func checkDatabases(t *testing.T, dir string, files, trojans int) {
	t.Helper()
	text, err := readDatabase(filepath.Join(dir, "rootkit_files.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(parseRootkitFiles(text)); n < files {
		t.Errorf("%s: %d files", dir, n)
	}
	if text, err = readDatabase(filepath.Join(dir, "rootkit_trojans.txt")); err != nil {
		t.Fatal(err)
	}
	list := parseTrojans(text)
	if len(list) < trojans {
		t.Errorf("%s: %d trojans", dir, len(list))
	}
	for _, tr := range list {
		if _, err := regexp.CompilePOSIX(tr.pattern); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// shared holds the files that are installed with Vedette.
var shared = filepath.Join("..", "etc", "shared")

func TestOwnDatabasesLoadAndAreQuietHere(t *testing.T) {
	checkDatabases(t, shared, 300, 50)
	text, err := readDatabase(filepath.Join(shared, "rootkit_files.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines, seen := 0, make(map[string]bool)
	eachLine(text, func(n int, line string) {
		lines++
		path, _, _ := strings.Cut(line, " ")
		if seen[path] {
			t.Errorf("line %d: %s stands twice", n, path)
		}
		seen[path] = true
	})
	if n := len(parseRootkitFiles(text)); n != lines {
		t.Errorf("%d of %d lines are understood", n, lines)
	}
	cfg := &config.Rootcheck{
		CheckFiles: true, CheckTrojans: true,
		RootkitFiles: filepath.Join(shared, "rootkit_files.txt"), RootkitTrojans: filepath.Join(shared, "rootkit_trojans.txt"),
	}
	if got, lines := scan(t, cfg, Options{}); len(got) > 0 || len(lines) != 2 {
		t.Errorf("findings on a clean host: %q, log %q", got, lines)
	}
}

func TestOwnDatabasesFindWhatTheyAreFor(t *testing.T) {
	base := t.TempDir()
	for path, content := range map[string]string{
		"reptile/reptile_cmd": "x", "dev/shm/kdmtmpflush": "x", "lib/libsh.so": "x", "opt/app/xmrig": "x", "bin/ls": "\x7fELF\x00/dev/ptyr\x00", "usr/sbin/sshd": "libns2.so\x00",
		"bin/ps": "\x7fELF\x00/dev/pts\x00/proc/self\x00", "usr/local/xmrig": "x",
	} {
		op{Op: "write", Path: path, Content: content}.run(t, func(s string) string { return filepath.Join(base, s) })
	}
	got, _ := scan(t, &config.Rootcheck{
		CheckFiles: true, CheckTrojans: true, CheckSys: true, BaseDirectory: base,
		RootkitFiles: filepath.Join(shared, "rootkit_files.txt"), RootkitTrojans: filepath.Join(shared, "rootkit_trojans.txt"),
	}, Options{})
	var names []string
	for _, g := range got {
		words := strings.SplitN(g, "'", 3)
		names = append(names, words[0]+words[1])
	}
	slices.Sort(names)
	want := []string{"Rootkit BPFDoor", "Rootkit Reptile", "Rootkit Reptile", "Rootkit ShV5", "Rootkit Xmrig",
		"Trojaned version of file " + base + "/bin/ls", "Trojaned version of file " + base + "/usr/sbin/sshd"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestOwnPoliciesLoadAndRun(t *testing.T) {
	for name, entries := range map[string]int{"system_audit_debian.txt": 50, "system_audit_rhel.txt": 55, "system_audit_ssh.txt": 20} {
		path := filepath.Join(shared, name)
		loadPolicy(t, path, entries)
		_, lines := scan(t, &config.Rootcheck{CheckUnixAudit: true, SystemAudit: []string{path}}, Options{})
		for _, l := range lines {
			if strings.Contains(l, "ERROR") {
				t.Errorf("%s: %s", name, l)
			}
		}
	}
}

// hostFiles are files of an imagined host, and the beginnings of the findings that each policy gives for it.
var hostFiles = []struct {
	name, policy string
	files        map[string]string
	want         []string
	not          []string
}{
	{
		"careless ssh server", "system_audit_ssh.txt",
		map[string]string{
			"/etc/ssh/sshd_config":                "Include /etc/ssh/sshd_config.d/*.conf\n#PermitRootLogin yes\nPermitRootLogin\tyes\nCiphers aes256-ctr,3des-cbc\nMaxAuthTries 6\nX11Forwarding no\n",
			"/etc/ssh/sshd_config.d/50-site.conf": "PasswordAuthentication yes\nKexAlgorithms -diffie-hellman-group1-sha1\n",
			"/etc/hosts.equiv":                    "+\n",
		},
		[]string{"SSH - OpenSSH server", "SSH - Root may log in", "SSH - Passwords are accepted", "SSH - Weak ciphers", "SSH - Old trust files", "SSH - Nobody is restricted"},
		[]string{"SSH - X11", "SSH - Weak key exchange", "SSH - Many tries", "SSH - Accounts without"},
	},
	{
		"careful ssh server", "system_audit_ssh.txt",
		map[string]string{"/etc/ssh/sshd_config": "PermitRootLogin no\nPasswordAuthentication no\n#X11Forwarding yes\nAllowGroups admins\n"},
		[]string{"SSH - OpenSSH server"},
		[]string{"SSH - Root", "SSH - Passwords", "SSH - X11", "SSH - Nobody", "SSH - Weak"},
	},
	{"no ssh server", "system_audit_ssh.txt", map[string]string{"/etc/hosts.equiv": "+\n"}, nil, []string{"SSH - "}},
	{
		"careless Debian", "system_audit_debian.txt",
		map[string]string{
			"/etc/debian_version": "12.5\n", "/etc/os-release": "VERSION_CODENAME=buster\n",
			"/etc/passwd":                         "root:x:0:0:root:/root:/bin/bash\ndaemon:*:1:1::/:/usr/sbin/nologin\ntoor:x:0:0::/:/bin/sh\nold:abJnggxhB/yWI:1001:1001::/:/bin/sh\n",
			"/etc/shadow":                         "root:$y$j9T$x:19000:0:99999:7:::\nguest::19000:0:99999:7:::\n",
			"/etc/group":                          "root:x:0:\nusers:x:100:\n",
			"/etc/sudoers":                        "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL) NOPASSWD: ALL\n",
			"/etc/apt/sources.list":               "deb [trusted=yes] http://mirror.example/debian bookworm main\n",
			"/etc/apt/apt.conf.d/20auto-upgrades": "APT::Periodic::Unattended-Upgrade \"0\";\n",
			"/etc/pam.d/common-auth":              "auth [success=1 default=ignore] pam_unix.so nullok\n",
			"/etc/ld.so.preload":                  "/usr/local/lib/libprocesshider.so\n",
			"/proc/sys/net/ipv4/ip_forward":       "1\n", "/proc/sys/kernel/randomize_va_space": "2\n",
			"/etc/fstab":              "tmpfs /tmp tmpfs defaults,nodev 0 0\n",
			"/etc/redis/redis.conf":   "bind 0.0.0.0\nprotected-mode yes\n",
			"/usr/sbin/in.telnetd":    "x",
			"/usr/sbin/rsyslogd":      "x",
			"/etc/exports":            "# /srv *(no_root_squash)\n",
			"/etc/docker/daemon.json": "{\"hosts\": [\"unix:///var/run/docker.sock\", \"tcp://0.0.0.0:2375\"]}\n",
		},
		[]string{
			"Debian - System of", "Debian - Package source is trusted", "Debian - Security updates are not", "Debian - No source of security", "Debian - Accounts without",
			"Debian - Wrong passwords", "Debian - Old release", "SYSTEM - Accounts without a password", "SYSTEM - Password hash", "SYSTEM - Account other than root",
			"SYSTEM - Library preloading", "SYSTEM - Everything may be run", "KERNEL - Packets are forwarded", "FILESYSTEM - /tmp is a file system of its own and allows programs",
			"SERVICE - Telnet", "SERVICE - Database (Redis)", "SERVICE - Container engine", "LOG - Kernel auditing",
		},
		[]string{"SYSTEM - Group other", "KERNEL - Addresses are not", "FILESYSTEM - /tmp is a file system of its own and allows devices", "LOG - Nothing writes", "FILESYSTEM - Root of clients", "SYSTEM - Sudo does not"},
	},
	{
		"careless Red Hat", "system_audit_rhel.txt",
		map[string]string{
			"/etc/redhat-release": "CentOS Linux release 7.9.2009 (Core)\n", "/etc/selinux/config": "# SELINUX=disabled\nSELINUX=permissive\n",
			"/etc/yum.repos.d/site.repo": "[site]\nbaseurl=http://mirror.example/\ngpgcheck = 0\n", "/etc/crypto-policies/config": "DEFAULT\n",
			"/etc/pam.d/system-auth": "auth sufficient pam_unix.so try_first_pass nullok\npassword requisite pam_pwquality.so\n", "/usr/sbin/firewalld": "x",
			"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "/etc/shadow": "root:!!:1::::::\n",
		},
		[]string{"RHEL - System of", "RHEL - Packages are installed without", "RHEL - SELinux only warns", "RHEL - Accounts without", "RHEL - Wrong passwords", "RHEL - Old release", "RHEL - Boot loader"},
		[]string{"RHEL - SELinux is off", "RHEL - Old cryptography", "RHEL - Quality", "RHEL - No packet filter", "SYSTEM - Accounts without", "SYSTEM - Password hash", "SYSTEM - Account other"},
	},
	{"another system", "system_audit_rhel.txt", map[string]string{"/etc/debian_version": "12\n"}, nil, []string{"RHEL", "SYSTEM"}},
}

func TestOwnPoliciesJudgeHosts(t *testing.T) {
	paths := regexp.MustCompile(`([:!=,>(] ?)(/(?:etc|usr|proc|sys|root|lib|sbin|boot|var)\b)`)
	for _, h := range hostFiles {
		t.Run(h.name, func(t *testing.T) {
			base := t.TempDir()
			for path, content := range h.files {
				op{Op: "write", Path: path, Content: content}.run(t, func(s string) string {
					if strings.HasPrefix(s, "/") && s == path {
						return base + s
					}
					return s
				})
			}
			text, err := readDatabase(filepath.Join(shared, h.policy))
			if err != nil {
				t.Fatal(err)
			}
			var moved strings.Builder
			for line := range strings.Lines(text) {
				if strings.HasPrefix(line, "f:") || strings.HasPrefix(line, "d:") || strings.HasPrefix(line, "$") {
					head, rest, cut := strings.Cut(line, " -> ")
					line = paths.ReplaceAllString(head, "${1}"+base+"${2}")
					if cut {
						line += " -> " + rest
					}
				}
				moved.WriteString(line)
			}
			got, lines := policyFindings(t, moved.String(), Options{proc: t.TempDir()})
			all := strings.Join(got, "\n")
			for _, w := range h.want {
				if !strings.Contains(all, "System Audit: "+w) {
					t.Errorf("no finding %q", w)
				}
			}
			for _, n := range h.not {
				if strings.Contains(all, "System Audit: "+n) {
					t.Errorf("finding %q", n)
				}
			}
			if t.Failed() {
				t.Logf("findings:\n%s\nlog: %q", all, lines)
			}
		})
	}
}
