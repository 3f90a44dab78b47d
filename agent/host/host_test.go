package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// collector keeps what the parts of a host send.
type collector struct {
	mu   sync.Mutex
	got  []string
	came chan struct{}
}

func (c *collector) Send(_ context.Context, m event.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, m.String())
	select {
	case c.came <- struct{}{}:
	default:
	}
	return nil
}

// wait waits until a message was sent so many times and gives all messages.
func (c *collector) wait(t *testing.T, text string, times int) []string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		c.mu.Lock()
		got := append([]string(nil), c.got...)
		c.mu.Unlock()
		n := 0
		for _, g := range got {
			if g == text {
				n++
			}
		}
		if n >= times {
			return got
		}
		select {
		case <-c.came:
		case <-limit:
			t.Fatalf("%q was not sent %d times: %q", text, times, got)
		}
	}
}

const quietRootcheck = `<rootcheck><check_files>no</check_files><check_trojans>no</check_trojans><check_unixaudit>no</check_unixaudit><check_dev>no</check_dev>
<check_sys>no</check_sys><check_pids>no</check_pids><check_ports>no</check_ports><check_if>no</check_if></rootcheck>`

// started runs a host with a configuration, whose rootcheck has nothing to check.
func started(t *testing.T, syscheck string) (h *Host, c *collector, root string) {
	t.Helper()
	root = t.TempDir()
	mustWrite(t, filepath.Join(root, "etc", "ossec.conf"), "<ossec_config>"+quietRootcheck+syscheck+"</ossec_config>")
	cfg, problems := config.Load(root, "etc/ossec.conf")
	if errs := problems.Errors(); len(errs) > 0 {
		t.Fatal(errs)
	}
	internal, _ := config.LoadOptions(root)
	c = &collector{came: make(chan struct{}, 1)}
	h, err := New(Options{Root: root, Config: cfg, Internal: internal, Log: olog.New(filepath.Join(root, "ossec.log"), nil), Sink: c})
	if err != nil {
		t.Fatal(err)
	}
	h.settle = time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h, c, root
}

const (
	rootcheckStart = "9:rootcheck:Starting rootcheck scan."
	completed      = "8:syscheck:syscheck-db-completed"
)

func TestRootcheckRunsAtTheStart(t *testing.T) {
	_, c, _ := started(t, "")
	c.wait(t, rootcheckStart, 1)
	for _, g := range c.wait(t, completed, 1) { // nothing to monitor: the end is told, no scan is
		if strings.Contains(g, "syscheck scan") {
			t.Error(g)
		}
	}
}

// TestScanOnStartHoldsForRootcheckToo asks for a scan by file, as agent_control does on the manager's host: the first that runs is that one.
func TestScanOnStartHoldsForRootcheckToo(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "a"), "a")
	_, c, root := started(t, `<syscheck><scan_on_start>no</scan_on_start><directories check_all="yes">`+dir+`</directories></syscheck>`)
	mustWrite(t, filepath.Join(root, "var", "run", ".syscheck_run"), "/var/run/.syscheck_run\n")
	c.wait(t, rootcheckStart, 1)
	got := c.wait(t, completed, 1)
	if n := strings.Count(strings.Join(got, "\n")+"\n", rootcheckStart); n != 1 {
		t.Errorf("%d rootcheck scans: %q", n, got)
	}
}

func TestRequestReachesRootcheckWhenSyscheckIsDisabled(t *testing.T) {
	_, c, root := started(t, "<syscheck><disabled>yes</disabled><scan_on_start>no</scan_on_start></syscheck>")
	mustWrite(t, filepath.Join(root, "var", "run", ".syscheck_run"), "/var/run/.syscheck_run\n")
	for _, g := range c.wait(t, rootcheckStart, 1) {
		if strings.HasPrefix(g, "8:") {
			t.Errorf("disabled, yet: %s", g)
		}
	}
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
