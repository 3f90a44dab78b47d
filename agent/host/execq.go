package host

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"

	"github.com/vedette-hids/vedette/activeresponse"
	"github.com/vedette-hids/vedette/internal/localqueue"
)

// responseQueue reads queue/alerts/execq, through which local tools ask for responses (spec active-response.md, section 8), until ctx
// ends. Who may write is decided by the modes of the socket and its directory.
func (h *Host) responseQueue(ctx context.Context) error {
	conn, err := localqueue.Listen(filepath.Join(h.o.Root, "queue", "alerts", "execq"), 0)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { localqueue.Close(conn) }) //nolint:errcheck // nothing is left to do about it
	defer stop()
	log := h.o.Log.Prog("ossec-execd")
	buf := make([]byte, activeresponse.MaxDatagram+1)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		text, _, _ := bytes.Cut(buf[:n], []byte{0})
		if err := h.exec.SubmitText(string(text)); err != nil {
			log.Warn("response not carried out: %v", err)
		}
	}
}
