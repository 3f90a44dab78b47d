// Package localqueue binds the UNIX datagram sockets of an install root: queue/ossec/queue and queue/alerts/ar (spec protocol.md,
// sections 14 and 15).
package localqueue

import (
	"fmt"
	"net"
	"os"
)

// maxPath is what the kernel has room for.
const maxPath = 107

// Listen binds a datagram socket with mode 0660. gid is its group, 0 leaves that to the directory. A socket that a dead process left is
// replaced; Listen refuses a path that a running process reads, or that is no socket. Close removes it again.
func Listen(path string, gid int) (*net.UnixConn, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("binding %s: the name of a socket has at most %d bytes; choose an install root with a shorter path", path, maxPath)
	}
	addr := &net.UnixAddr{Name: path, Net: "unixgram"}
	if err := clearPath(addr); err != nil {
		return nil, fmt.Errorf("binding %s: %w", path, err)
	}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		return nil, fmt.Errorf("binding %s: %w", path, err)
	}
	err = os.Chmod(path, 0o660)
	if err == nil && gid > 0 {
		err = os.Chown(path, -1, gid)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("binding %s: %w", path, err)
	}
	_ = conn.SetReadBuffer(4 << 20) // the default is a fine second best
	return conn, nil
}

func clearPath(addr *net.UnixAddr) error {
	st, err := os.Lstat(addr.Name)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("a file that is no socket is in the way")
	}
	if probe, err := net.DialUnix("unixgram", nil, addr); err == nil {
		probe.Close()
		return fmt.Errorf("another process reads this queue")
	}
	return os.Remove(addr.Name)
}

// Close ends a queue and removes its socket, so that senders fail instead of filling it.
func Close(conn *net.UnixConn) error {
	path := conn.LocalAddr().(*net.UnixAddr).Name
	err := os.Remove(path)
	if cerr := conn.Close(); err == nil {
		err = cerr
	}
	return err
}
