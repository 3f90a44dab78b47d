package activeresponse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/protect"
)

// ControlPath is the socket of the executor of an install root. Its directory is writable for root only.
func ControlPath(root string) string { return filepath.Join(root, "queue", "ar-control") }

// ControlRequest is what an operator asks. Do is "blocked" (list), "unblock" (Who: address, network, host name or user; "" = everything),
// "block" (Name of the response in ar.conf, Who: address), "why" (Who; the journal) or "keep" (leave the blocks in force at the next
// stop, which a restart asks for).
type ControlRequest struct {
	Do   string `json:"do"`
	Who  string `json:"who,omitempty"`
	Name string `json:"name,omitempty"`
}

// ControlReply is the answer. Error is "" when all went well.
type ControlReply struct {
	Error     string          `json:"error,omitempty"`
	Now       time.Time       `json:"now"` // clock of the executor, for the time left
	Blocks    []Block         `json:"blocks,omitempty"`
	Records   []Record        `json:"records,omitempty"`
	Protected []protect.Entry `json:"protected,omitempty"` // with "why": addresses that are never blocked
}

// Handle answers one request.
func (e *Executor) Handle(ctx context.Context, q ControlRequest) ControlReply {
	var r ControlReply
	var err error
	switch q.Do {
	case "blocked":
		r.Blocks = e.Blocked()
	case "unblock":
		if q.Who == "" {
			r.Blocks, err = e.UnblockAll(ctx)
		} else {
			r.Blocks, err = e.Unblock(ctx, q.Who)
		}
	case "block":
		var b *Block
		if b, err = e.Block(ctx, q.Name, q.Who); b != nil {
			r.Blocks = []Block{*b}
		}
	case "why":
		r.Blocks, r.Records, r.Protected = e.Blocked(), e.o.Journal.Why(q.Who), e.o.Host.Entries()
	case "keep":
		e.KeepForRestart()
	default:
		err = fmt.Errorf("unknown request %q", clip(q.Do))
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.Now = e.o.Now()
	return r
}

// Limits of the control socket.
const (
	maxRequest   = 4096     // bytes
	maxReply     = 32 << 20 // bytes
	controlLimit = time.Minute
	maxClients   = 8
)

// ServeControl answers requests on a unix socket until ctx ends. Only root and the user that we run as are answered. handle is
// Executor.Handle, or what the manager makes of several sources.
func ServeControl(ctx context.Context, path string, handle func(context.Context, ControlRequest) ControlReply) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, maxClients)
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			answer(ctx, c, handle)
		})
	}
}

func answer(ctx context.Context, c net.Conn, handle func(context.Context, ControlRequest) ControlReply) {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	c.SetDeadline(time.Now().Add(controlLimit)) //nolint:errcheck // a unix socket takes deadlines
	var q ControlRequest
	var r ControlReply
	if err := allowedPeer(c); err != nil {
		r.Error = err.Error()
	} else if err := json.NewDecoder(io.LimitReader(c, maxRequest)).Decode(&q); err != nil {
		r.Error = "unreadable request"
	} else {
		hctx, cancel := context.WithTimeout(ctx, controlLimit)
		r = handle(hctx, q)
		cancel()
	}
	json.NewEncoder(c).Encode(r) //nolint:errcheck // the client is gone
}

// Control asks the executor at a socket.
func Control(ctx context.Context, path string, q ControlRequest) (ControlReply, error) {
	var r ControlReply
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return r, fmt.Errorf("is it running? %w", err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return r, err
	}
	if err := json.NewDecoder(io.LimitReader(c, maxReply)).Decode(&r); err != nil {
		return r, fmt.Errorf("reading the answer: %w", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}
