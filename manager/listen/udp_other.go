//go:build !linux

package listen

import (
	"errors"
	"net"
)

func forceBuffer(*net.UDPConn, int) error { return errors.ErrUnsupported }

func lostDatagrams(*net.UDPConn) (uint32, error) { return 0, errors.ErrUnsupported }

func newBatchReader(conn *net.UDPConn, size int) (batchReader, error) {
	return newSimpleReader(conn, size), nil
}

func newLocalReader(conn *net.UnixConn, size int) (batchReader, error) {
	return &localReader{conn: conn, buf: make([]byte, size)}, nil
}

// localReader is simpleReader for a UNIX socket.
type localReader struct {
	conn *net.UnixConn
	buf  []byte
	out  [1]datagram
}

func (r *localReader) read() ([]datagram, error) {
	n, err := r.conn.Read(r.buf)
	if err != nil {
		return nil, err
	}
	r.out[0] = datagram{data: r.buf[:n]}
	return r.out[:], nil
}

// simpleReader reads one datagram per call: systems without recvmmsg.
type simpleReader struct {
	conn *net.UDPConn
	buf  []byte
	out  [1]datagram
}

func newSimpleReader(conn *net.UDPConn, size int) *simpleReader {
	return &simpleReader{conn: conn, buf: make([]byte, size)}
}

func (r *simpleReader) read() ([]datagram, error) {
	n, src, err := r.conn.ReadFromUDPAddrPort(r.buf)
	if err != nil {
		return nil, err
	}
	r.out[0] = datagram{data: r.buf[:n], src: unmapPort(src)}
	return r.out[:], nil
}
