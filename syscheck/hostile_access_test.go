//go:build linux

package syscheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// loggedMonitor is a monitor whose log can be read.
func loggedMonitor(t *testing.T, cfg *config.Syscheck, sink event.Sink, opts Options) (m *Monitor, logged func() string) {
	t.Helper()
	var mu sync.Mutex
	var text strings.Builder
	log := olog.New("", writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return text.Write(b)
	}))
	opts.Root = t.TempDir()
	m, err := New(cfg, sink, log.Prog("ossec-syscheckd"), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
}

// asNobody runs the test again in a process without rights; it reports false in that process.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("/tmp", "nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const nobody = 65534
	self := filepath.Join(dir, "test")
	data, err := os.ReadFile(os.Args[0]) // where it stands, nobody may not be allowed to run it
	if err == nil {
		err = os.WriteFile(self, data, 0o755)
	}
	if err == nil {
		err = os.Chown(dir, nobody, nobody)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return true
}

func TestUnreadableFilesAreReportedWithoutHashesAndKeptWhileOutOfSight(t *testing.T) {
	if asNobody(t) {
		return
	}
	dir := tree(t)
	secret, inside := filepath.Join(dir, "secret"), filepath.Join(dir, "sub", "inside")
	write(t, secret, "x")
	write(t, inside, "x")
	mode := func(path string, m os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	mode(secret, 0)
	defer mode(filepath.Dir(inside), 0o755)
	sink := newCollector()
	m, logged := loggedMonitor(t, &config.Syscheck{Directories: []config.Directory{everything(dir)}}, sink, Options{})
	scan(t, m)
	got := about(sink.take())
	if len(got) != 2 || !strings.HasPrefix(got[0]+got[1], "8:syscheck:1:") || strings.Count(strings.Join(got, ""), ":xxx:xxx:xxx "+secret) != 1 {
		t.Errorf("messages: %q", got)
	}
	if want := "WARN: Unable to read file '" + secret + "' for checksum: permission denied"; !strings.Contains(logged(), want) {
		t.Errorf("log %q, want %q", logged(), want)
	}
	// A file and a directory that cannot be read any more have not changed; a directory's files are not gone.
	mode(filepath.Dir(inside), 0)
	scan(t, m)
	if got := about(sink.take()); len(got) != 0 {
		t.Errorf("out of sight: %q", got)
	}
	if want := "WARN: Error opening directory: '" + filepath.Dir(inside) + "': Permission denied "; !strings.Contains(logged(), want) {
		t.Errorf("log %q, want %q", logged(), want)
	}
	mode(filepath.Dir(inside), 0o755)
	mode(secret, 0o600)
	scan(t, m)
	if got := about(sink.take()); len(got) != 1 || !strings.HasSuffix(got[0], " "+secret) || strings.Contains(got[0], "xxx") {
		t.Errorf("in sight again: %q", got)
	}
}

// TestFileWhoseReadingFails takes a file of the kernel that can be opened and not be read.
func TestFileWhoseReadingFails(t *testing.T) {
	dir := tree(t)
	if err := os.Symlink("/proc/self/mem", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	sink := newCollector()
	m, logged := loggedMonitor(t, &config.Syscheck{Directories: []config.Directory{everything(dir)}}, sink, Options{})
	scan(t, m)
	if got := about(sink.take()); len(got) != 1 || !strings.HasSuffix(got[0], ":xxx:xxx:xxx "+dir+"/link") || !strings.Contains(logged(), "Unable to read file") {
		t.Errorf("messages %q, log %q", got, logged())
	}
	scan(t, m)
	if got := about(sink.take()); len(got) != 0 {
		t.Errorf("second scan: %q", got)
	}
}

func TestDevicesAndSocketsAreNotMonitored(t *testing.T) {
	dir := tree(t)
	if err := unix.Mknod(filepath.Join(dir, "char"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Skip("no devices can be made here: ", err)
	}
	if err := unix.Mknod(filepath.Join(dir, "block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 250))); err != nil {
		t.Skip("no devices can be made here: ", err)
	}
	if err := unix.Mknod(filepath.Join(dir, "socket"), unix.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	write(t, file, "x")
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{})
	scan(t, m)
	if got := about(sink.take()); len(got) != 1 || !strings.HasSuffix(got[0], " "+file) {
		t.Errorf("messages: %q", got)
	}
	if err := os.Remove(file); err != nil { // a device takes the place of a known file
		t.Fatal(err)
	}
	if err := unix.Mknod(file, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	scan(t, m)
	if got := about(sink.take()); len(got) != 1 || got[0] != "8:syscheck:-1 "+file {
		t.Errorf("messages: %q", got)
	}
}

func TestNetworkDirectoriesAreSkippedWhenAskedFor(t *testing.T) {
	dir := tree(t)
	mount := filepath.Join(dir, "home")
	write(t, filepath.Join(dir, "local"), "x")
	write(t, filepath.Join(mount, "user", "remote"), "x")
	for _, skip := range []bool{false, true} {
		d := everything(dir)
		d.Realtime = true
		sink := newCollector()
		m, logged := loggedMonitor(t, &config.Syscheck{SkipNFS: skip, Directories: []config.Directory{d}}, sink,
			Options{network: func(path string) bool { return within(path, mount) }})
		scan(t, m)
		want := 2
		if skip {
			want = 1
		}
		if got := about(sink.take()); len(got) != want {
			t.Errorf("skip_nfs %v: %q", skip, got)
		}
		if told := strings.Contains(logged(), "ERROR: "+mount+" NFS Directories do not support iNotify."); told != skip {
			t.Errorf("skip_nfs %v: log %q", skip, logged())
		}
		if skip { // what is there now and was seen before it was skipped is not gone
			m.cfg.SkipNFS = false
			scan(t, m)
			sink.take()
			m.cfg.SkipNFS = true
			scan(t, m)
			if got := about(sink.take()); len(got) != 0 {
				t.Errorf("skipped later: %q", got)
			}
		}
	}
}

func TestFileSystemsOfThisHostAreLocal(t *testing.T) {
	if network(t.TempDir()) {
		t.Skip("the directory for temporary files is on a network")
	}
	if !network(filepath.Join(t.TempDir(), "missing")) {
		t.Error("a file system that cannot be asked counts as one of the network")
	}
}

// TestTreeThatChangesDuringScans scans while the tree changes as fast as it can. What a scan says about files in motion may be either
// state; when the tree is at rest the next scan sets everything right.
func TestTreeThatChangesDuringScans(t *testing.T) {
	dir := tree(t)
	v := &vandal{r: rand.New(rand.NewPCG(5, 9)), dir: dir, outside: t.TempDir()}
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{})
	known := map[string]string{}
	for round := range 6 {
		ctx, stop := context.WithCancel(t.Context())
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for ctx.Err() == nil {
				v.act()
			}
		}()
		for range 5 {
			scan(t, m)
		}
		stop()
		<-stopped
		scan(t, m)
		replay(known, sink.take())
		if diff := cmp.Diff(truth(t, dir), known, sameState); diff != "" {
			t.Fatalf("round %d: (-tree +messages)\n%s", round, diff)
		}
		scan(t, m)
		if got := about(sink.take()); len(got) != 0 {
			t.Errorf("round %d, at rest: %s", round, fmt.Sprint(got))
		}
	}
}

// TestDeletionsAreSaidAgainByTheNextProcess takes the messages away from a process that dies: what is new or changed follows from the base line of
// the next one, deletions would not.
func TestDeletionsAreSaidAgainByTheNextProcess(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	for _, n := range []string{"a", "b", "c"} {
		write(t, filepath.Join(dir, n), n)
	}
	sink := newCollector()
	m := monitor(t, everything(dir), sink, Options{Root: state})
	scan(t, m)
	for _, n := range []string{"a", "b"} {
		if err := os.Remove(filepath.Join(dir, n)); err != nil {
			t.Fatal(err)
		}
	}
	scan(t, m)
	sink.take()
	write(t, filepath.Join(dir, "b"), "back")
	restart := func(want ...string) {
		t.Helper()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		m = monitor(t, everything(dir), sink, Options{Root: state})
		scan(t, m)
		got := about(sink.take())
		for _, w := range want {
			if !strings.Contains(strings.Join(got, "\n")+"\n", w+"\n") {
				t.Errorf("no message %q: %q", w, got)
			}
		}
		if len(got) != len(want) {
			t.Errorf("messages: %q", got)
		}
	}
	restart("8:syscheck:-1 "+dir+"/a", " "+dir+"/b", " "+dir+"/c")
	restart(" "+dir+"/b", " "+dir+"/c") // once is enough
}
