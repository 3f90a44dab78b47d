package activeresponse

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// State is where a block stands.
type State string

// The states of a block.
const (
	Planned   State = "planned"   // written down, its program has not run yet
	Active    State = "active"    // in force
	Releasing State = "releasing" // being taken back
	Suspended State = "suspended" // taken back for a stop of the program; comes back at the next start
)

// Block is one response in force: who, why, since when and how long.
type Block struct {
	Key        string        `json:"key"`        // program and subject; one block per key
	Response   string        `json:"response"`   // "firewall-drop600"
	Executable string        `json:"executable"` // "firewall-drop.sh"
	Pieces     []string      `json:"pieces"`     // arguments of the first message: user, srcip, alert, rule, location…, file
	Address    string        `json:"address"`    // address, network or host name; "" = none
	User       string        `json:"user"`       // "" = none
	AlertID    string        `json:"alert"`
	RuleID     string        `json:"rule"`
	Location   string        `json:"location"`
	Since      time.Time     `json:"since"`    // first message
	Start      time.Time     `json:"start"`    // beginning of the current period
	Period     time.Duration `json:"period"`   // length of the current period in nanoseconds; 0 = for ever
	Until      time.Time     `json:"until"`    // when it is taken back; zero = never
	Offences   int           `json:"offences"` // 1 for the first block of this key
	State      State         `json:"state"`
	DryRun     bool          `json:"dry_run,omitempty"` // only pretended
	IPv6Prefix int           `json:"ipv6_prefix"`       // bits of an IPv6 address that are blocked
	Error      string        `json:"error,omitempty"`   // of the latest run, "" = none
}

// TimeLeft is how long the block will stay, 0 for one without end.
func (b *Block) TimeLeft(now time.Time) time.Duration {
	if b.Until.IsZero() {
		return 0
	}
	return max(b.Until.Sub(now), 0)
}

// begin starts a period. A block ends when more than its period, counted in whole seconds, has passed (spec section 10).
func (b *Block) begin(now time.Time, period time.Duration) {
	b.Start, b.Period = now, period
	if period == 0 {
		b.Until = time.Time{}
		return
	}
	// Adding keeps the monotonic reading: a step of the clock neither ends a block early nor makes it stay.
	b.Until = now.Add(period + time.Second - time.Duration(now.Nanosecond()))
}

// block is a Block with what only the running executor needs.
type block struct {
	Block
	reason  string        // why it is being released
	retry   time.Time     // when a failed release is tried again; zero = none failed
	backoff time.Duration // pause before that
	waiting []chan error  // told when the release is over
	made    bool          // an earlier run made it, or may have
}

func (b *block) live() bool { return b.State == Planned || b.State == Active }

func (b *block) tell(err error) {
	for _, w := range b.waiting {
		w <- err
	}
	b.waiting = nil
}

// concerns reports whether the block is about an address, network, host name or user.
func (b *Block) concerns(who string) bool {
	return who != "" && (strings.EqualFold(b.Address, who) || b.User == who || len(b.Pieces) > 1 && b.Pieces[1] == who)
}

func (b *Block) response() event.Response {
	return event.Response{Name: b.Response, User: b.User, IP: b.Address, AlertID: b.AlertID, RuleID: b.RuleID, Location: b.Location}
}

// sortBlocks orders by beginning, then key.
func sortBlocks(bs []Block) {
	slices.SortFunc(bs, func(a, b Block) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key)) })
}
