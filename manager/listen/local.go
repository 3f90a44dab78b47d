package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/localqueue"
	"github.com/vedette-hids/vedette/internal/olog"
)

// LocalQueue reads a UNIX datagram queue: queue/ossec/queue of a manager (spec protocol.md, section 14). Who may write is decided by the
// modes of the socket (0660) and of its directory.
type LocalQueue struct {
	path    string
	conn    *net.UnixConn
	closing sync.Once
	deliver Deliver
	log     *olog.Log
	now     func() time.Time

	received, malformed atomic.Uint64
}

// LocalOptions of NewLocalQueue.
type LocalOptions struct {
	Path    string // of the socket; a stale one is replaced
	GID     int    // group of the socket, 0 = leave
	Deliver Deliver
	Log     *olog.Log // of "ossec-analysisd"
}

// NewLocalQueue binds the socket. It refuses a path that something else than a socket occupies, and one that a running process reads.
func NewLocalQueue(o LocalOptions) (*LocalQueue, error) {
	conn, err := localqueue.Listen(o.Path, o.GID)
	if err != nil {
		return nil, err
	}
	return &LocalQueue{path: o.Path, conn: conn, deliver: o.Deliver, log: o.Log, now: time.Now}, nil
}

// Run delivers messages until ctx ends, then what is in the socket, and removes it. While Deliver blocks, senders wait in the kernel's
// queue.
func (q *LocalQueue) Run(ctx context.Context) error {
	work, end := afterlife(ctx)
	defer end()
	stop := context.AfterFunc(ctx, func() {
		q.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) //nolint:errcheck // cannot fail on an open socket
	})
	defer stop()
	defer q.Close()
	r, err := newLocalReader(q.conn, event.MaxMessage+1)
	if err != nil {
		return fmt.Errorf("reading %s: %w", q.path, err)
	}
	for {
		batch, err := r.read()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("reading %s: %w", q.path, err)
		}
		now := q.now()
		for _, d := range batch {
			q.take(work, d.data, now)
		}
	}
}

// take delivers one message.
func (q *LocalQueue) take(ctx context.Context, message []byte, now time.Time) {
	q.received.Add(1)
	ev, err := event.ParseQueue(string(message), now)
	if err != nil {
		q.malformed.Add(1)
		q.log.Every("1106 local", 10*time.Second).Code(1106, "ERROR", "String not correctly formatted.")
		return
	}
	q.deliver(ctx, ev)
}

// Close releases the socket of a queue that will not be run.
func (q *LocalQueue) Close() {
	q.closing.Do(func() { localqueue.Close(q.conn) }) //nolint:errcheck // nothing more can be done about it
}

// Counts gives the numbers of datagrams received and of those that were no message.
func (q *LocalQueue) Counts() (received, malformed uint64) {
	return q.received.Load(), q.malformed.Load()
}
