package keys

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/internal/vectors"
)

type receiveVector struct {
	Name       string
	Src        string
	PacketHex  *string `json:"packet_hex"`
	KeysLine   string  `json:"keys_line"`
	Delivered  []string
	Replies    [][]any
	ManagerLog []string `json:"manager_log"`
	Note       string
	Crash      bool
}

// Where a vector differs from what we do, and why. The value is the message code we give instead.
var receiveDeviations = map[string]struct {
	code int
	why  string
}{
	"prefix-unterminated": {CodeFormat, "the reference reads bytes of the previous datagram; README: reject with 1403 or 1404"},
	"prefix-only":         {CodeFormat, "the reference crashes; README: log 1403 and go on"},
	"bf-marker-only":      {CodeWrongKey, "the reference reads bytes of the previous datagram; README: reject with 1403 or 1404"},
	"trunc-bf-1":          {CodeWrongKey, "spec 6.2 Improve: a Blowfish text that is not whole blocks is refused with 1404"},
	"replay-after-reload": {CodeWrongKey, "README: a better manager refuses what the reference forgot at reload"},
}

func receiveVectors(t testing.TB) []receiveVector {
	vs := vectors.Read[receiveVector](t, "protocol/manager_receive.jsonl")
	if len(vs) != 83 {
		t.Fatalf("%d vectors, want 83", len(vs))
	}
	return vs
}

func TestManagerReceiveVectors(t *testing.T) {
	path := writeKeys(t, string(vectors.Data(t, "protocol/manager_receive.client.keys")))
	store, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	counters, err := OpenCounters(t.TempDir(), CountersOptions{Manager: true})
	if err != nil {
		t.Fatal(err)
	}
	skipped := 0
	for _, v := range receiveVectors(t) {
		if v.PacketHex == nil {
			skipped++ // a long one, see TestPayloadLimits
			continue
		}
		if v.Name == "reload-new-key" {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString(v.KeysLine + "\n")
			f.Close()
			if _, err := store.Reload(); err != nil {
				t.Fatal(err)
			}
		}
		k, payload, err := receive(store, counters, netip.MustParseAddr(v.Src), unhex(t, *v.PacketHex))
		checkReceived(t, v, k, payload, err)
	}
	if skipped != 1 {
		t.Errorf("%d vectors without packet, want 1", skipped)
	}
}

func receive(s *Store, c *Counters, src netip.Addr, packet []byte) (*Key, []byte, error) {
	k, rest, err := s.Route(packet, src)
	if err != nil {
		return nil, nil, err
	}
	var codec Codec
	o, err := codec.Open(nil, k, rest)
	if err != nil {
		return k, nil, err
	}
	return k, o.Payload, c.Accept(k, o)
}

func checkReceived(t *testing.T, v receiveVector, k *Key, payload []byte, err error) {
	t.Helper()
	var e *Error
	refused := errors.As(err, &e)
	if err != nil && !refused {
		t.Errorf("%s: %v", v.Name, err)
		return
	}
	if d, ok := receiveDeviations[v.Name]; ok {
		if !refused || e.Code != d.code {
			t.Errorf("%s: %v, want code %d (%s)", v.Name, err, d.code, d.why)
		}
		return
	}
	// A refusal must give exactly the reference's line; an accepted message may log something later (1106, uname),
	// and a reload reports bad lines (1401).
	var want string
	for _, l := range v.ManagerLog {
		if strings.HasPrefix(l, "ossec-remoted(") && !strings.Contains(l, "(1106)") && !strings.Contains(l, "(1401)") && !strings.Contains(l, ": INFO: ") {
			want = l
		}
	}
	got := ""
	if refused {
		got = "ossec-remoted(" + strconv.Itoa(e.Code) + "): " + e.Level() + ": " + e.Text(v.Src)
	}
	if got != want {
		t.Errorf("%s: %q (%v), want %q", v.Name, got, err, want)
		return
	}
	for _, msg := range v.Delivered {
		text, _, _ := bytes.Cut(payload, []byte{0})
		if len(text) < 2 {
			t.Errorf("%s: payload %q", v.Name, payload)
			continue
		}
		if q := string(text[:2]) + k.Label() + "->" + string(text[2:]); q != msg && !strings.Contains(msg, "...len=") {
			t.Errorf("%s: %q, want %q", v.Name, q, msg)
		}
	}
	if len(v.Replies) > 0 && !bytes.HasPrefix(payload, []byte("#!-")) {
		t.Errorf("%s: %q is not a control message", v.Name, payload)
	}
}

// The vectors event-6016 to event-6092: the reader takes 6091 bytes of payload, not 6092.
func TestPayloadLimits(t *testing.T) {
	k := lineKey(t, "003 gamma 127.0.0.0/8 f7ab469d1dc79166fc874dadcc0dd8542c729497d91709de6bf1ccd875cf28e5")
	for _, with := range []Cipher{AES, Blowfish} {
		for size, ok := range map[int]bool{6016: true, 6091: true, 6092: false} {
			s := &scratch{buf: make([]byte, 2*MaxPacket)}
			plain := s.plain(Counter{1, 2}, bytes.Repeat([]byte("a"), size))
			packet := encrypt(nil, k, with, nil, make([]byte, 16), new(deflater).zlib(plain))
			o, err := new(Codec).Open(nil, k, packet)
			if ok && (err != nil || len(o.Payload) != size) {
				t.Errorf("%v %d: %d bytes, %v", with, size, len(o.Payload), err)
			}
			var e *Error
			if !ok && (!errors.As(err, &e) || e.Code != CodeUncompress) {
				t.Errorf("%v %d: %v", with, size, err)
			}
		}
	}
	noise := make([]byte, MaxPayload)
	var c Codec
	if err := c.random(noise); err != nil {
		t.Fatal(err)
	}
	p, err := c.Seal(nil, k, AES, true, Counter{1, 3}, noise)
	if err != nil || len(p) > MaxPacket+64 {
		t.Fatalf("%d bytes, %v", len(p), err)
	}
	_, rest, _ := SplitID(p)
	if o, err := c.Open(nil, k, rest); err != nil || !bytes.Equal(o.Payload, noise) {
		t.Errorf("incompressible payload: %v", err)
	}
}
