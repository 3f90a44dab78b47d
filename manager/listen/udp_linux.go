package listen

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// mmsgReader receives up to batchSize datagrams with one system call. All its memory is made once.
type mmsgReader struct {
	raw   syscall.RawConn
	size  int
	slab  []byte
	msgs  [batchSize]mmsghdr
	iovs  [batchSize]unix.Iovec
	names [batchSize]unix.RawSockaddrInet6
	out   [batchSize]datagram
	got   int
	errno unix.Errno
	call  func(fd uintptr) bool
}

// forceBuffer sets a receive buffer beyond the system's limit (net.core.rmem_max), which a privileged process may.
func forceBuffer(conn *net.UDPConn, size int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var operr error
	err = raw.Control(func(fd uintptr) { operr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) })
	return errors.Join(err, operr)
}

// lostDatagrams tells how many datagrams the kernel has thrown away because the socket's buffer was full (a running number of 32 bits).
func lostDatagrams(conn *net.UDPConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info [16]uint32
	size := uint32(unsafe.Sizeof(info))
	var errno unix.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if err != nil {
		return 0, err
	}
	const drops = 8 // SK_MEMINFO_DROPS
	if errno != 0 || size < 4*(drops+1) {
		return 0, errors.ErrUnsupported
	}
	return info[drops], nil
}

func newBatchReader(conn *net.UDPConn, size int) (batchReader, error) {
	return newMmsgReader(conn, size)
}

func newLocalReader(conn *net.UnixConn, size int) (batchReader, error) {
	return newMmsgReader(conn, size)
}

// newMmsgReader makes a reader of datagrams of up to size bytes; larger ones are cut.
func newMmsgReader(conn syscall.Conn, size int) (batchReader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &mmsgReader{raw: raw, size: size, slab: make([]byte, batchSize*size)}
	for i := range r.msgs {
		r.iovs[i].Base = &r.slab[i*size]
		r.iovs[i].SetLen(size)
		h := &r.msgs[i].hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
	}
	r.call = r.receive
	return r, nil
}

// receive is the body of one attempt; it reports false when there is nothing to read yet. The call never waits, so the scheduler need not
// hear of it: told, it would often give the processor to another thread, which finds nothing to do, before a large batch is copied.
func (r *mmsgReader) receive(fd uintptr) bool {
	for i := range r.msgs {
		r.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet6
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.got, r.errno = int(n), 0
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		default:
			r.got, r.errno = 0, errno
			return true
		}
	}
}

func (r *mmsgReader) read() ([]datagram, error) {
	if err := r.raw.Read(r.call); err != nil {
		return nil, err
	}
	if r.errno != 0 {
		return nil, r.errno
	}
	for i := range r.got {
		m := &r.msgs[i]
		r.out[i] = datagram{data: r.slab[i*r.size:][:m.n], src: sockaddr(&r.names[i])}
	}
	return r.out[:r.got], nil
}

// sockaddr reads the source address; IPv4-mapped addresses come out as IPv4, others than IP as none.
func sockaddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	switch sa.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), port)
	}
	return netip.AddrPort{}
}
