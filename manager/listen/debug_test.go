package listen

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// TestDebugTellsWhyPacketsAreRefused refuses two packets for one reason, of which only the first has a line of the ordinary kind.
func TestDebugTellsWhyPacketsAreRefused(t *testing.T) {
	for level, want := range []int{0, 1, 2} {
		var out strings.Builder
		lg := olog.New("", &out)
		lg.SetLevels(map[string]int{"ossec-remoted": level})
		r := refusals{log: lg.Prog("ossec-remoted"), every: time.Hour}
		for range 2 {
			r.add(&keys.Error{Code: keys.CodeWrongKey, Detail: "ciphertext is not whole blocks"}, netip.MustParseAddr("192.0.2.7"), time.Unix(1000, 0))
		}
		debug := strings.Count(out.String(), "ossec-remoted: DEBUG: Packet of 192.0.2.7 refused: Authentication error. Wrong key from '192.0.2.7'. (ciphertext is not whole blocks)")
		if debug != want || strings.Count(out.String(), "ossec-remoted(1404): ERROR: ") != 1 {
			t.Errorf("level %d:\n%s", level, out.String())
		}
	}
}
