package etc

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/config"
)

var update = flag.Bool("update", false, "rewrite the lists of rules and options")

func TestFilesHoldsWhatIsInstalled(t *testing.T) {
	if err := fstest.TestFS(Files, "ossec-server.conf", "ossec-agent.conf", "ossec-local.conf", "internal_options.conf",
		"local_internal_options.conf", "decoder.xml", "rules/rules_config.xml", "rules/local_rules.xml"); err != nil {
		t.Error(err)
	}
	for _, n := range names(t) {
		if strings.HasSuffix(n, ".go") || strings.HasPrefix(n, "tests") {
			t.Errorf("%s would be installed", n)
		}
	}
}

// names lists every default file.
func names(t *testing.T) (out []string) {
	t.Helper()
	err := fs.WalkDir(Files, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// install lays the files out as an installer does.
func install(t *testing.T, conf string) string {
	t.Helper()
	root := t.TempDir()
	for _, n := range names(t) {
		to := "etc/" + n
		switch {
		case n == conf:
			to = "etc/ossec.conf"
		case strings.HasPrefix(n, "ossec-"):
			continue
		case strings.HasPrefix(n, "rules/"):
			to = n
		}
		data, err := fs.ReadFile(Files, n)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, to)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDefaultConfigurationsHaveNoProblems(t *testing.T) {
	for conf, programs := range map[string]config.Daemon{"ossec-server.conf": config.ManagerPrograms, "ossec-agent.conf": config.AgentPrograms,
		"ossec-local.conf": config.LocalPrograms} {
		t.Run(conf, func(t *testing.T) {
			root := install(t, conf)
			cfg, ps := config.Load(root, "etc/ossec.conf")
			for _, p := range ps.For(programs) {
				t.Error(p)
			}
			if _, ps := config.LoadOptions(root); len(ps) != 0 {
				t.Error(ps)
			}
			if len(cfg.Syscheck.Directories) != 6 || len(cfg.Localfiles) < 15 || cfg.Rootcheck == nil {
				t.Errorf("%d directories, %d files, rootcheck %v", len(cfg.Syscheck.Directories), len(cfg.Localfiles), cfg.Rootcheck)
			}
			if manager := conf == "ossec-server.conf"; (len(cfg.Remotes) == 1) != manager {
				t.Errorf("remotes %v", cfg.Remotes)
			}
			if agent := conf == "ossec-agent.conf"; (cfg.Client != nil) != agent || (len(cfg.ActiveResponses) == 0) != agent ||
				(len(cfg.Rules.Rules) == 0) != agent || cfg.Global.JSONOut == agent {
				t.Errorf("client %v, %d responses, %d rules, JSON %v", cfg.Client, len(cfg.ActiveResponses), len(cfg.Rules.Rules), cfg.Global.JSONOut)
			}
		})
	}
}

// order is the order in which known rules files load: categories first. Files that are not named here load after them,
// local_rules.xml last.
var order = strings.Fields(`rules_config pam_rules sshd_rules telnetd_rules syslog_rules arpwatch_rules symantec-av_rules symantec-ws_rules
pix_rules named_rules smbd_rules vsftpd_rules pure-ftpd_rules proftpd_rules ms_ftpd_rules ftpd_rules hordeimp_rules roundcube_rules
wordpress_rules cimserver_rules vpopmail_rules vmpop3d_rules courier_rules web_rules web_appsec_rules apache_rules nginx_rules
modsecurity_rules php_rules mysql_rules postgresql_rules ids_rules squid_rules firewall_rules apparmor_rules cisco-ios_rules
netscreenfw_rules sonicwall_rules postfix_rules sendmail_rules imapd_rules mailscanner_rules dovecot_rules ms-exchange_rules racoon_rules
vpn_concentrator_rules spamd_rules msauth_rules mcafee_av_rules trend-osce_rules ms-se_rules policy_rules zeus_rules solaris_bsm_rules
vmware_rules ms_dhcp_rules asterisk_rules ossec_rules attack_rules dropbear_rules unbound_rules sysmon_rules opensmtpd_rules exim_rules
openbsd-dhcpd_rules dnsmasq_rules cpanel_rules clam_av_rules firewalld_rules kesl_rules last_rootlogin_rules lighttpd_rules
linux_usbdetect_rules mhn_cowrie_rules mhn_dionaea_rules ms1016_usbdetect_rules ms_firewall_rules ms_ipsec_rules ms_powershell_rules
nsd_rules openbsd_rules owncloud_rules proxmox-ve_rules psad_rules systemd_rules topleveldomain_rules`)

// optional is shipped but not included: which logins are unusual differs everywhere.
const optional = "policy_rules.xml"

// inOrder sorts rules files by load order.
func inOrder(names []string) []string {
	rank := func(name string) int {
		if name == "local_rules.xml" {
			return len(order) + 1
		}
		if i := slices.Index(order, strings.TrimSuffix(name, ".xml")); i >= 0 {
			return i
		}
		return len(order)
	}
	out := slices.Clone(names)
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

func TestEveryRulesFileIsIncluded(t *testing.T) {
	var block strings.Builder
	block.WriteString("  <rules>\n")
	for _, r := range inOrder(Rules()) {
		if r != optional {
			block.WriteString("    <include>" + r + "</include>\n")
		}
	}
	block.WriteString("  </rules>\n")
	for _, conf := range []string{"ossec-server.conf", "ossec-local.conf"} {
		data, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		from, to := bytes.Index(data, []byte("  <rules>\n")), bytes.Index(data, []byte("  </rules>\n"))
		if from < 0 || to < from {
			t.Fatalf("%s has no <rules> section", conf)
		}
		to += len("  </rules>\n")
		if string(data[from:to]) == block.String() {
			continue
		}
		if !*update {
			t.Errorf("%s does not name the files of rules/; run go generate ./etc\n%s", conf, cmp.Diff(block.String(), string(data[from:to])))
			continue
		}
		data = slices.Concat(data[:from], []byte(block.String()), data[to:])
		if err := os.WriteFile(conf, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	updateOptions(t)
}

// optionsText is internal_options.conf: every key with its default, range and meaning.
func optionsText() string {
	var b strings.Builder
	b.WriteString("# Tuning that is rarely needed. Do not edit: upgrades replace this file. Put what differs into local_internal_options.conf.\n")
	group := ""
	for _, s := range config.OptionSpecs() {
		if g, _, _ := strings.Cut(s.Key, "."); g != group {
			group = g
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "# %s (%d to %d)\n%s=%d\n", s.Meaning, s.Min, s.Max, s.Key, s.Default)
	}
	return b.String()
}

func updateOptions(t *testing.T) {
	if !*update {
		return
	}
	if err := os.WriteFile("internal_options.conf", []byte(optionsText()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestInternalOptionsHoldEveryDefault(t *testing.T) {
	data, err := os.ReadFile("internal_options.conf")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(optionsText(), string(data)); d != "" {
		t.Errorf("run go generate ./etc\n%s", d)
	}
	opts, ps := config.ParseOptions("internal_options.conf", data)
	if len(ps) != 0 {
		t.Error(ps)
	}
	for _, s := range config.OptionSpecs() {
		if opts.Int(s.Key) != s.Default {
			t.Errorf("%s is %d", s.Key, opts.Int(s.Key))
		}
	}
}

func TestRulesOfUnknownNameLoadBeforeTheLocalOnes(t *testing.T) {
	got := inOrder([]string{"aaa_rules.xml", "local_rules.xml", "ossec_rules.xml", "rules_config.xml", "sshd_rules.xml"})
	want := []string{"rules_config.xml", "sshd_rules.xml", "ossec_rules.xml", "aaa_rules.xml", "local_rules.xml"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
