package listen

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
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
	oob   [batchSize][oobSize]byte
	out   [batchSize]datagram
	got   int
	errno unix.Errno
	call  func(fd uintptr) bool
	drops atomic.Uint64
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

// oobSize has room for the SO_RXQ_OVFL counter.
const oobSize = 32

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
	var operr error
	err = raw.Control(func(fd uintptr) { operr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) })
	if err != nil {
		return nil, err
	}
	_ = operr // without the option only the count of lost datagrams is missing
	for i := range r.msgs {
		r.iovs[i].Base = &r.slab[i*size]
		r.iovs[i].SetLen(size)
		h := &r.msgs[i].hdr
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Control = &r.oob[i][0]
	}
	r.call = r.receive
	return r, nil
}

// receive is the body of one attempt; it reports false when there is nothing to read yet. The call never waits, so the scheduler need not
// hear of it: told, it would often give the processor to another thread, which finds nothing to do, before a large batch is copied.
func (r *mmsgReader) receive(fd uintptr) bool {
	for i := range r.msgs {
		r.msgs[i].hdr.Namelen = unix.SizeofSockaddrInet6
		r.msgs[i].hdr.SetControllen(oobSize)
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
	if r.got > 0 {
		r.countDrops(r.got - 1)
	}
	return r.out[:r.got], nil
}

func (r *mmsgReader) lost() uint64 { return r.drops.Load() }

// countDrops reads the kernel's drop counter (32 bit, running) from the control data of the newest datagram.
func (r *mmsgReader) countDrops(i int) {
	n := int(r.msgs[i].hdr.Controllen)
	oob := r.oob[i][:min(n, oobSize)]
	if len(oob) < unix.SizeofCmsghdr+4 {
		return
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_RXQ_OVFL {
		return
	}
	now := uint64(binary.NativeEndian.Uint32(oob[unix.CmsgLen(0):]))
	old := r.drops.Load()
	r.drops.Store(old + (now-old)&0xffffffff)
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
