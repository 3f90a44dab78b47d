package forward

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/localqueue"
)

func (f *Forwarder) openLocal() (*net.UnixConn, error) {
	return localqueue.Listen(filepath.Join(f.o.Root, "queue", "ossec", "queue"), f.o.LocalGID)
}

// readLocal forwards datagrams of local programs unchanged (spec protocol.md, section 9.2). While the forwarder is busy they wait in the
// kernel, and then their senders.
func (f *Forwarder) readLocal(ctx context.Context, q *net.UnixConn) {
	stop := context.AfterFunc(ctx, func() { q.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // cannot fail on an open socket
	defer stop()
	defer localqueue.Close(q) //nolint:errcheck // nothing more can be done about it
	buf := make([]byte, event.MaxMessage+1)
	for {
		n, err := q.Read(buf)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				f.log.Error("Reading the local queue: %v", err)
			}
			return
		}
		payload, ok := f.localPayload(buf[:n])
		if !ok {
			continue
		}
		if f.enqueue(ctx, payload) != nil {
			return
		}
	}
}

// localPayload takes the payload out of a datagram of a local program: its text up to the first NUL. Empty ones are dropped, and so are control
// messages: those are between this process and the manager.
func (f *Forwarder) localPayload(datagram []byte) (payload string, ok bool) {
	payload = string(untilNUL(datagram))
	if strings.HasPrefix(payload, agentwire.Header) {
		f.log.Every("local control", time.Minute).Warn("A local program tried to send a control message; it was dropped.")
		return "", false
	}
	return payload, payload != ""
}
