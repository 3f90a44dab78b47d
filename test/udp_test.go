//go:build linux

package test

import (
	"encoding/binary"
	"net"
)

// listenOn opens a UDP socket on a host.
func listenOn(h host, addr string) (c *net.UDPConn, err error) {
	err = onHost(h.ns, func() error {
		a, err := net.ResolveUDPAddr("udp4", addr)
		if err == nil {
			c, err = net.ListenUDP("udp4", a)
		}
		return err
	})
	return c, err
}

// udpPayload gives the text of an IPv4 packet that carries a whole UDP datagram to a port.
func udpPayload(p []byte, port uint16) (string, bool) {
	if len(p) < 28 || p[0]>>4 != 4 || p[9] != 17 || binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return "", false
	}
	udp := p[int(p[0]&15)*4:]
	if len(udp) < 8 || binary.BigEndian.Uint16(udp[2:]) != port {
		return "", false
	}
	return string(udp[8:]), true
}
