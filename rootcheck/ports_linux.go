package rootcheck

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linuxPorts asks the running kernel.
type linuxPorts struct{ proc string }

func newPortView(proc string) portView { return &linuxPorts{proc} }

// listed reads /proc/net, as netstat does, and adds the TCP sockets that are bound and do nothing, which /proc/net leaves out.
func (l *linuxPorts) listed(proto string) (*portSet, error) {
	set := &portSet{}
	read := 0
	for _, name := range []string{proto, proto + "6"} {
		err := readProcNet(filepath.Join(l.proc, "net", name), set)
		if err == nil {
			read++
		} else if !errors.Is(err, fs.ErrNotExist) { // no IPv6
			return nil, err
		}
	}
	if read == 0 {
		return nil, fs.ErrNotExist
	}
	if proto == "tcp" {
		addInactive(set)
	}
	return set, nil
}

// readProcNet takes the local ports out of a table of /proc/net: lines "  0: 0100007F:1F90 00000000:0000 0A ...".
func readProcNet(path string, set *portSet) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		fields := strings.Fields(sc.Text())
		if len(fields) < 2 {
			continue
		}
		_, hex, ok := strings.Cut(fields[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); ok && err == nil {
			set.add(int(port))
		}
	}
	return sc.Err()
}

// inUse binds the port on all addresses, of IPv4 and IPv6, and frees it at once. Only "address in use" counts.
func (l *linuxPorts) inUse(proto string, port int) (bool, error) {
	kind := unix.SOCK_STREAM
	if proto == "udp" {
		kind = unix.SOCK_DGRAM
	}
	busy, err := bindFails(unix.AF_INET, kind, &unix.SockaddrInet4{Port: port})
	if busy || err != nil {
		return busy, err
	}
	return bindFails(unix.AF_INET6, kind, &unix.SockaddrInet6{Port: port})
}

func bindFails(family, kind int, addr unix.Sockaddr) (bool, error) {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return false, nil // no IPv6
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if family == unix.AF_INET6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return false, err
		}
	}
	return errors.Is(unix.Bind(fd, addr), unix.EADDRINUSE), nil
}

// diagRequest is struct inet_diag_req_v2 without addresses.
type diagRequest struct{ family uint8 }

// boundInactive is the bit of idiag_states for sockets that are bound and neither listen nor are connected. Kernels before 6.8 do not know
// it and answer with nothing.
const boundInactive = 1 << 13

func (diagRequest) Len() int { return 56 }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0], b[1] = r.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], boundInactive)
	return b
}

// addInactive asks socket diagnosis. Its errors only mean that nothing is added.
func addInactive(set *portSet) {
	const sockDiagByFamily = 20
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		req := nl.NewNetlinkRequest(sockDiagByFamily, unix.NLM_F_DUMP)
		req.AddData(diagRequest{family})
		msgs, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
		if err != nil {
			continue
		}
		for _, m := range msgs {
			if len(m) >= 6 { // struct inet_diag_msg: four bytes, then the source port in network order
				set.add(int(binary.BigEndian.Uint16(m[4:])))
			}
		}
	}
}
