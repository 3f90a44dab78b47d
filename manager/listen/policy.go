package listen

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// accept says which ciphers an address takes (<crypto_accept>).
type accept struct{ aes, blowfish bool }

// acceptRule reads a <remote> block; one that names no cipher takes both.
func acceptRule(r *config.Remote) accept {
	if !r.AcceptAES && !r.AcceptBlowfish {
		return accept{true, true}
	}
	return accept{r.AcceptAES, r.AcceptBlowfish}
}

func (a accept) allows(c keys.Cipher) bool {
	if c == keys.AES {
		return a.aes
	}
	return a.blowfish
}

// policy logs packets that <crypto_accept> rejects: one line, then at most one per minute with the count (spec protocol.md, section 16).
type policy struct {
	log *olog.Log
	now func() time.Time

	mu       sync.Mutex
	rejected [2]struct {
		last  time.Time
		count int
	}
}

var cipherNames = [2]string{keys.AES: "AES", keys.Blowfish: "Blowfish"}

func (p *policy) reject(c keys.Cipher, src netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &p.rejected[c]
	r.count++
	now := p.now()
	if !r.last.IsZero() && now.Sub(r.last) < time.Minute {
		return
	}
	only := cipherNames[1-c]
	if r.count == 1 {
		p.log.Text("Rejected %s message from %s (Policy: %s only)", cipherNames[c], mappedText(src), only)
	} else {
		p.log.Text("Rejected %d %s messages in last minute (Policy: %s only)", r.count, cipherNames[c], only)
	}
	r.last, r.count = now, 0
}

// mappedText writes IPv4 addresses in their IPv6 form, as this one message does.
func mappedText(a netip.Addr) string {
	if a.Is4() {
		return fmt.Sprintf("::ffff:%s", a)
	}
	return a.String()
}
