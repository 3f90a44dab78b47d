package agentwire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// FrameHeader is the length of the prefix of a frame on TCP: the packet's length as a little-endian 32 bit number.
const FrameHeader = 4

// ErrFrame is returned for a frame of length 0 or above MaxPacket; the connection cannot be used any more.
var ErrFrame = errors.New("frame length out of range")

// AppendFrame appends the frame of a packet.
func AppendFrame(dst, packet []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(packet)))
	return append(dst, packet...)
}

// ReadFrame reads one frame into buf, which holds at least MaxPacket bytes, and returns the packet.
func ReadFrame(r io.Reader, buf []byte) ([]byte, error) {
	if _, err := io.ReadFull(r, buf[:FrameHeader]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(buf)
	if n == 0 || n > MaxPacket {
		return nil, fmt.Errorf("%w: %d", ErrFrame, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return buf[:n], nil
}
