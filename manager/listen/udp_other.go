//go:build !linux

package listen

import "net"

func newBatchReader(conn *net.UDPConn, size int) (batchReader, error) {
	return newSimpleReader(conn, size), nil
}
