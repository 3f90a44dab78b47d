package listen

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/keys"
)

// told is a link that keeps what is sent.
type told struct{ packets [][]byte }

func (l *told) send(_ netip.AddrPort, p []byte) error {
	l.packets = append(l.packets, append([]byte(nil), p...))
	return nil
}

// receiptsOf takes the receipts out of what was sent.
func (l *told) receiptsOf(t *testing.T, key *keys.Key) (list []agentwire.Receipts) {
	t.Helper()
	var codec keys.Codec
	for _, p := range l.packets {
		o, err := codec.Open(make([]byte, 0, keys.MaxPlain), key, p)
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := agentwire.Control(o.Payload); ok {
			if r, ok := agentwire.ParseReceipt(text); ok {
				list = append(list, r)
			}
		}
	}
	l.packets = nil
	return list
}

// TestEventsAreConfirmedWhenTheyAreSettled lets the analysis be behind: what it has not written is not confirmed, however long that takes.
func TestEventsAreConfirmedWhenTheyAreSettled(t *testing.T) {
	synctest.Test(t, eventsAreConfirmedWhenTheyAreSettled)
}

func eventsAreConfirmedWhenTheyAreSettled(t *testing.T) {
	s, store, _ := benchServer(t, 1, 1)
	var delivered, settled uint64
	s.o.Deliver = func(context.Context, *event.Event) { delivered++ }
	s.o.Settled = func() (uint64, uint64) { return delivered, settled }
	key, sh, link := store.First(), s.shards[0], &told{}
	var codec keys.Codec
	number := uint16(0)
	arrive := func(payload string) {
		t.Helper()
		number++
		p, err := codec.Seal(nil, key, keys.AES, true, keys.Counter{Global: 1, Local: number}, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		d := dispatcher{s: s, link: link, rule: accept{true, true}, open: make([]*batch, 1)}
		d.add(context.Background(), p, netip.MustParseAddrPort("127.0.0.1:4000"), time.Now())
		sh.handle(t.Context(), d.open[0])
	}
	confirmed := func(want ...uint16) {
		t.Helper()
		list := link.receiptsOf(t, key)
		if len(want) == 0 {
			if len(list) > 0 {
				t.Errorf("%d receipts", len(list))
			}
			return
		}
		if len(list) == 0 {
			t.Fatalf("no receipt for %d", want)
		}
		r := list[len(list)-1]
		for n := uint16(1); n <= number; n++ {
			wanted := n <= want[0]
			if r.Has(agentwire.Index(1, n)) != wanted {
				t.Errorf("message %d confirmed: %v, want %v", n, !wanted, wanted)
			}
		}
	}
	arrive(agentwire.BuildKeepalive(agentwire.KeepaliveParts{System: "Linux x", Vedette: true}))
	confirmed(1)

	arrive("1:/var/log/x:one")
	sh.settle()
	sh.release()
	confirmed()
	arrive("1:/var/log/x:two") // comes while the first one waits
	settled = 1
	sh.release()
	confirmed(2)
	sh.release()
	confirmed()
	settled = 2
	sh.release()
	confirmed(3)
	if len(sh.held) > 0 {
		t.Errorf("%d receipts wait and there is nothing to say", len(sh.held))
	}

	for range 3 * receiptEvery { // a burst, of which half is settled in between
		if arrive("1:/var/log/x:many"); delivered == 2+receiptEvery {
			settled = delivered
		}
	}
	confirmed(3 + receiptEvery)
	settled = delivered // an orderly end
	sh.last()
	confirmed(3 + 3*receiptEvery)
	arrive("1:/var/log/x:on a full disk")
	sh.settle()
	sh.last()
	confirmed()
}

// TestWhatIsDeliveredTooLateIsNotConfirmed ends the pipeline's patience during a delivery.
func TestWhatIsDeliveredTooLateIsNotConfirmed(t *testing.T) {
	s, store, _ := benchServer(t, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	s.o.Deliver = func(_ context.Context, ev *event.Event) {
		if ev.Raw == "late" {
			cancel()
		}
	}
	key, sh, link := store.First(), s.shards[0], &told{}
	var codec keys.Codec
	d := dispatcher{s: s, link: link, rule: accept{true, true}, open: make([]*batch, 1)}
	for i, payload := range []string{agentwire.BuildKeepalive(agentwire.KeepaliveParts{System: "Linux x", Vedette: true}), "1:/x:in time", "1:/x:late"} {
		p, err := codec.Seal(nil, key, keys.AES, true, keys.Counter{Global: 1, Local: uint16(i + 1)}, []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		d.add(ctx, p, netip.MustParseAddrPort("127.0.0.1:4000"), time.Now())
	}
	sh.handle(ctx, d.open[0])
	sh.settle()
	list := link.receiptsOf(t, key)
	if len(list) == 0 {
		t.Fatal("no receipt")
	}
	if r := list[len(list)-1]; !r.Has(agentwire.Index(1, 2)) || r.Has(agentwire.Index(1, 3)) {
		t.Errorf("confirmed in time: %v, late: %v", r.Has(agentwire.Index(1, 2)), r.Has(agentwire.Index(1, 3)))
	}
}
