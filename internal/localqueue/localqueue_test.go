package localqueue

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestListenReplacesOnlyDeadSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue")
	first, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Fatalf("%v, %v", st, err)
	}
	if _, err := Listen(path, 0); err == nil {
		t.Fatal("took over a queue that is being read")
	}
	first.Close() // as after a crash: the file stays
	second, err := Listen(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(second)
	c, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, err := second.Read(buf); err != nil || string(buf[:n]) != "hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

func TestListenLeavesOtherFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, 0); err == nil {
		t.Fatal("replaced a regular file")
	}
}
