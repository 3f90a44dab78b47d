package enroll_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/keys"
)

// TestStorm enrols agents while one address opens connections and says nothing, and another guesses passwords as fast as it can: every agent
// gets its key, and the server needs neither much memory nor many lines.
func TestStorm(t *testing.T) {
	w := newWorld(t)
	password := "swordfish and more"
	w.server.Password, w.server.MaxConnections, w.server.ErrorDelay = &password, 64, 5*time.Millisecond
	w.start()
	w.taken()
	before := runtime.NumGoroutine()
	stop := make(chan struct{})
	var storm, fleet sync.WaitGroup
	var silent, guesses, most atomic.Int64
	from := func(src string) *net.Dialer {
		return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(src)}, Timeout: 10 * time.Second}
	}
	if c, err := from("127.0.0.2").Dial("tcp", w.addr); err != nil {
		t.Skipf("no second loopback address here: %v", err)
	} else {
		c.Close()
	}
	for range 40 { // half-open: more than their share of the server's room
		storm.Go(func() {
			for !done(stop) {
				if c, err := from("127.0.0.2").Dial("tcp", w.addr); err == nil {
					silent.Add(1)
					c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) //nolint:errcheck // open
					io.Copy(io.Discard, c)                                    //nolint:errcheck // ends one way or the other
					c.Close()
				}
			}
		})
	}
	for range 10 {
		storm.Go(func() {
			for !done(stop) {
				if reply, _ := ask(from("127.0.0.3"), w.addr, "OSSEC PASS: guess OSSEC A:'thief'\n"); strings.Contains(reply, "OSSEC K:") {
					t.Errorf("a key for a guess: %q", reply)
				}
				guesses.Add(1)
				most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
			}
		})
	}
	const agents, parallel = 150, 10
	var next atomic.Int64
	for range parallel {
		fleet.Go(func() {
			for {
				n := next.Add(1)
				if n > agents {
					return
				}
				request := fmt.Sprintf("OSSEC PASS: %s OSSEC A:'host-%03d'\n", password, n)
				if reply, err := ask(from("127.0.0.4"), w.addr, request); !strings.HasPrefix(reply, "OSSEC K:'") {
					t.Errorf("agent %d: %q, %v", n, reply, err)
				}
			}
		})
	}
	fleet.Wait()
	close(stop)
	storm.Wait()
	w.halt()
	set, err := keys.Open(w.keyFile())
	if err != nil || set.Len() != agents || len(set.Problems()) != 0 {
		t.Errorf("%d keys, %v, %v", set.Len(), set.Problems(), err)
	}
	ids := map[string]bool{}
	for _, k := range set.All() {
		ids[k.ID] = true
	}
	if len(ids) != agents {
		t.Errorf("%d different ids", len(ids))
	}
	// The test's own clients have goroutines too; the server's share is one for each connection.
	if n := most.Load(); n > int64(before)+64+40+10+parallel+20 {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	lines := w.taken()
	if len(lines) > 3*agents+2000 {
		t.Errorf("%d lines", len(lines))
	}
	log := strings.Join(lines, "\n")
	for _, want := range []string{"Invalid password provided by 127.0.0.3. Closing connection.", "Unable to queue auth connection from 127.0.0.2"} {
		if !strings.Contains(log, want) {
			t.Errorf("no line %q", want)
		}
	}
	t.Logf("%d silent connections, %d guesses, %d goroutines at most, %d lines", silent.Load(), guesses.Load(), most.Load(), len(lines))
}

func done(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// ask sends a request and reads the answer.
func ask(d *net.Dialer, addr, request string) (string, error) {
	c, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return string(b), err
	}
	return string(b), nil // the server closes without a TLS farewell
}
