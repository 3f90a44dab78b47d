package quickstart

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/layout"

	defaults "github.com/vedette-hids/vedette/etc"
)

// Files of the demonstration, below the install root.
const (
	DemoLog  = "demo/auth.log"
	DemoDir  = "demo/etc"
	DemoFile = "demo/etc/app.conf"
)

const demoContent = "# settings of an imaginary service\nport 8080\nworkers 4\n"

// extra is the block that the quick start adds to ossec.conf: the demo's log and directory, and responses that only say what they would do.
const extra = `<!-- Added by "vedette run": the demonstration's log and directory; responses are rehearsed, not carried out. -->
<ossec_config>
  <global>
    <jsonout_output>yes</jsonout_output>
    <email_notification>no</email_notification>
  </global>
  <syscheck>
    <directories check_all="yes" realtime="yes" report_changes="yes">%[1]s/demo/etc</directories>
  </syscheck>
  <localfile>
    <log_format>syslog</log_format>
    <location>%[1]s/demo/auth.log</location>
  </localfile>
  <active-response>
    <dry_run>yes</dry_run>
    <repeated_offenders>30,60,120</repeated_offenders>
  </active-response>
</ossec_config>
`

const fullSpeed = "# Written by \"vedette run\".\nsyscheck.sleep=0\n"

// Prepare lays out or updates the root at dir with the programs in binDir and returns its absolute path.
func Prepare(dir, binDir string, now time.Time) (string, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("preparing %s: %w", dir, err)
	}
	if len(root)+len(longestSocket) > maxSocketPath {
		return "", fmt.Errorf("%s is too long a path: names of sockets below it would have more than %d bytes; choose a shorter one with -D", root, maxSocketPath)
	}
	if err := layout.Install(layout.Options{Root: root, Role: layout.Manager, BinDir: binDir, Etc: defaults.Files, Now: now}); err != nil {
		return "", err
	}
	if err := addDemo(root); err != nil {
		return "", fmt.Errorf("preparing %s: %w", root, err)
	}
	return root, nil
}

// The longest socket of an install root, and what the kernel allows.
const (
	longestSocket = "/queue/alerts/execq"
	maxSocketPath = 107
)

// agentsPort is where agents are listened for, as a new configuration says.
const agentsPort = 1514

// choosePort gives a new configuration another port for agents when something else, OSSEC perhaps, has the usual one.
func choosePort(conf string) string {
	taken, err := net.ListenPacket("udp", fmt.Sprintf(":%d", agentsPort))
	if err == nil {
		taken.Close()
		return conf
	}
	free, err := net.ListenPacket("udp", ":0")
	if err != nil {
		return conf
	}
	defer free.Close()
	const secure = "<connection>secure</connection>\n"
	return strings.Replace(conf, secure, fmt.Sprintf("%s    <port>%d</port>   <!-- \"vedette run\" found %d taken -->\n",
		secure, free.LocalAddr().(*net.UDPAddr).Port, agentsPort), 1)
}

func addDemo(root string) error {
	if err := os.MkdirAll(filepath.Join(root, DemoDir), 0o750); err != nil {
		return err
	}
	for path, text := range map[string]string{DemoLog: "", DemoFile: demoContent} {
		p := filepath.Join(root, path)
		if _, err := os.Stat(p); err == nil {
			continue
		}
		if err := os.WriteFile(p, []byte(text), 0o640); err != nil {
			return err
		}
	}
	// A newcomer watches and waits: the first scan runs at full speed.
	options := filepath.Join(root, "etc", "local_internal_options.conf")
	if err := os.WriteFile(options, []byte(fullSpeed), 0o640); err != nil {
		return err
	}
	conf := filepath.Join(root, "etc", "ossec.conf")
	data, err := os.ReadFile(conf)
	if err != nil {
		return err
	}
	block := fmt.Sprintf(extra, root)
	if strings.Contains(string(data), block) {
		return nil
	}
	return os.WriteFile(conf, []byte(block+choosePort(string(data))), 0o640)
}
