package activeresponse

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/protect"
	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// DeciderOptions is what a Decider needs besides the configuration. All may be left empty.
type DeciderOptions struct {
	Host    *protect.Host // the manager's own addresses, gateways, name servers: never sent; nil: only what is not a host
	Log     *olog.Log     // warnings 1271 and 1272; program ossec-analysisd
	Journal *Journal      // nil: a new one of DefaultJournal records
}

// Decider finds the responses that an alert calls for. It is safe for concurrent use.
type Decider struct {
	responses []config.ActiveResponse
	allow     *protect.List
	exact     bool
	host      *protect.Host
	log       *olog.Log
	journal   *Journal

	mu    sync.RWMutex
	bound map[ruleKey][]*config.ActiveResponse // responses by rule, filled as rules fire
}

// ruleKey holds everything of a rule that binds responses to it, so that a reloaded ruleset cannot find stale bindings.
type ruleKey struct {
	id, level int
	groups    string
}

// maxBound bounds the memory of bindings; rulesets have a few thousand rules.
const maxBound = 1 << 15

// NewDecider makes a Decider for the enabled responses of a configuration.
func NewDecider(cfg *config.Config, opts DeciderOptions) *Decider {
	if opts.Journal == nil {
		opts.Journal = NewJournal(0)
	}
	return &Decider{
		responses: cfg.ActiveResponses,
		allow:     protect.NewList(&cfg.Global),
		exact:     cfg.Global.OssecExact,
		host:      opts.Host,
		log:       opts.Log,
		journal:   opts.Journal,
		bound:     map[ruleKey][]*config.ActiveResponse{},
	}
}

// Journal gives the record of decisions.
func (d *Decider) Journal() *Journal { return d.journal }

// Decision is a response to be sent, with where it goes. Exactly one of Local, All, Agent and AgentID says so.
type Decision struct {
	Response event.Response         // what the executor gets; "-" for absent values
	Config   *config.ActiveResponse // the section that asked for it

	Local   bool         // to the executor of this host
	All     bool         // to every agent
	Agent   *event.Agent // to the agent that the event came from
	AgentID string       // to the agent with this id

	location string // of the event
	remote   bool   // the event came from an agent
}

// ExecqText is the message for queue/alerts/execq of this host (spec active-response.md, section 6.1).
func (d *Decision) ExecqText() string { return FormatExecd(d.Response) }

// ARQueueText is the message for queue/alerts/ar (section 6.2), with OSSEC's "(null)" for a missing agent id or file name.
func (d *Decision) ARQueueText() string {
	var b strings.Builder
	if !d.remote {
		b.WriteString("(local_source) ")
	}
	b.WriteString(d.location)
	b.WriteByte(' ')
	b.WriteString(d.flags())
	id := d.Config.AgentID
	if id == "" {
		id = "(null)"
	}
	b.WriteString(" " + id + " ")
	r := d.Response
	if r.Filename == "-" {
		r.Filename = "(null)"
	}
	b.WriteString(FormatExecd(r))
	return cut(b.String())
}

func (d *Decision) flags() string {
	f := []byte("NNN")
	if d.Config.All {
		f[0] = 'A'
	}
	if d.Config.Local {
		f[1] = 'R'
	}
	if d.Config.DefinedAgent {
		f[2] = 'S'
	}
	return string(f)
}

// Target describes the destination for people.
func (d *Decision) Target() string {
	switch {
	case d.Local:
		return "local"
	case d.All:
		return "all agents"
	case d.Agent != nil:
		return "agent " + d.Agent.Name
	}
	return "agent " + d.AgentID
}

// Decide gives the responses to send for an alert, in configuration order. Responses that a check refuses are only recorded in the
// journal, and logged where OSSEC logs them. The alert itself may be below the log level; the caller leaves out ignored events.
func (d *Decider) Decide(a *event.Alert) []Decision {
	if len(d.responses) == 0 || a.Rule == nil || a.Rule.Level < 1 || a.Rule.NoAR {
		return nil
	}
	bound := d.bindings(a.Rule)
	if len(bound) == 0 {
		return nil
	}
	out := make([]Decision, 0, len(bound))
	for _, ar := range bound {
		dec := Decision{Config: ar, location: cleanText(a.Event.Location), remote: strings.HasPrefix(a.Event.Location, "(")}
		if reason := d.fill(&dec, a); reason != "" {
			d.record(&dec, Refused, a, reason)
			continue
		}
		if !dec.address(a.Event) {
			d.record(&dec, Refused, a, "no destination: the event is not from an agent")
			continue
		}
		d.record(&dec, Sent, a, bindReason(ar, a.Rule))
		out = append(out, dec)
	}
	return out
}

// bindings gives the responses of a rule: any of level, group and id is enough (section 4).
func (d *Decider) bindings(r *event.Rule) []*config.ActiveResponse {
	k := ruleKey{r.ID, r.Level, r.Groups}
	d.mu.RLock()
	got, ok := d.bound[k]
	d.mu.RUnlock()
	if ok {
		return got
	}
	for i := range d.responses {
		if bindReason(&d.responses[i], r) != "" {
			got = append(got, &d.responses[i])
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.bound) >= maxBound {
		clear(d.bound)
	}
	k.groups = strings.Clone(k.groups)
	d.bound[k] = got
	return got
}

// bindReason says which condition binds the response to the rule, "" if none.
func bindReason(ar *config.ActiveResponse, r *event.Rule) string {
	if ar.Level > 0 && r.Level >= ar.Level {
		return "rule level " + strconv.Itoa(r.Level) + " is at least " + strconv.Itoa(ar.Level)
	}
	if ar.RulesGroup != nil && ar.RulesGroup.MatchString(r.Groups) {
		return "rule group matches " + ar.RulesGroup.String()
	}
	for _, id := range ar.RuleIDs {
		if id == r.ID {
			return "rule id is listed"
		}
	}
	return ""
}

// fill sets the response and gives the reason why it must not be sent, "" if it may (section 5).
func (d *Decider) fill(dec *Decision, a *event.Alert) (refusal string) {
	ar, ev := dec.Config, a.Event
	dec.Response = event.Response{Name: ar.Name(), User: "-", IP: "-", AlertID: a.AlertID(), RuleID: strconv.Itoa(a.Rule.ID),
		Location: cleanText(ev.Location), Filename: "-"}
	if ar.Command.ExpectUser {
		user := pickUser(&ev.Fields)
		if user == "" {
			return "the event has no user"
		}
		dec.Response.User = user
		if !userOK(user, d.exact) {
			d.log.Code(1272, "WARN", "Invalid username '%s'. Possible logging attack.", user)
			return "the user name is not acceptable"
		}
	}
	if ar.Command.ExpectSrcIP {
		if refusal = d.fillAddress(dec, ev); refusal != "" {
			return refusal
		}
	}
	if ar.Command.ExpectFilename {
		name := fileName(ev)
		if name == "" {
			return "the event has no file name"
		}
		dec.Response.Filename = EscapeFilename(name)
	}
	return ""
}

func (d *Decider) fillAddress(dec *Decision, ev *event.Event) (refusal string) {
	ip := ev.Fields.Value(event.SrcIP)
	if ip == "" || ip == "-" {
		return "the event has no source address"
	}
	dec.Response.IP = ip
	text, addr, ok := ParseSource(ip)
	if !ok && !(d.exact && onlyBytes(ip, addressBytes)) {
		d.log.Code(1271, "WARN", "Invalid IP Address '%s'. Possible logging attack.", ip)
		return "the source is neither an address nor a host name"
	}
	if !ok {
		text = strings.TrimPrefix(ip, "::ffff:")
	}
	dec.Response.IP = text
	if !addr.IsValid() {
		if entry, ok := d.allow.Name(text); ok {
			return "allow list: " + entry
		}
		if why, ok := d.host.Name(text); ok && !d.exact {
			return "protected: " + why
		}
		return ""
	}
	if entry, ok := d.allow.Addr(addr); ok {
		return "allow list: " + entry
	}
	if why, ok := d.host.Addr(addr); ok {
		return "protected: " + why
	}
	return ""
}

// address chooses the destination; false if there is none.
func (dec *Decision) address(ev *event.Event) bool {
	ar := dec.Config
	switch {
	case ar.Server, ar.Local && !dec.remote:
		dec.Local = true
	case ar.All:
		dec.All = true
	case ar.Local && ev.Agent != nil:
		dec.Agent = ev.Agent
	case ar.DefinedAgent:
		dec.AgentID = ar.AgentID
	default:
		return false
	}
	return true
}

func (d *Decider) record(dec *Decision, v Verdict, a *event.Alert, reason string) {
	r := &dec.Response
	rec := Record{Time: time.Unix(a.Epoch, 0), Verdict: v, Response: r.Name, Address: strings.Clone(r.IP), User: strings.Clone(r.User),
		RuleID: r.RuleID, AlertID: r.AlertID, Location: strings.Clone(r.Location), Reason: reason}
	if v == Sent {
		rec.Target = dec.Target()
	}
	d.journal.Add(rec)
}

// pickUser gives dstuser, else srcuser; "" and "-" count as absent.
func pickUser(f *event.Fields) string {
	for _, k := range []event.Field{event.DstUser, event.SrcUser} {
		if u := f.Value(k); u != "" && u != "-" {
			return u
		}
	}
	return ""
}

// fileName gives the path of an integrity event; other events have none.
func fileName(ev *event.Event) string {
	if ev.Kind != event.KindSyscheck {
		return ""
	}
	if ev.File != nil {
		return ev.File.Path
	}
	return ev.Fields.Value(event.Filename)
}

const (
	letters      = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	userBytes    = letters + "._@?-"
	addressBytes = letters + ".:_-"
)

func onlyBytes(s, set string) bool {
	for i := range len(s) {
		if strings.IndexByte(set, s[i]) < 0 {
			return false
		}
	}
	return true
}

// userOK accepts OSSEC's set of bytes. A leading dash would be an option of the program that gets the name, so only exact mode lets it
// pass.
func userOK(u string, exact bool) bool {
	return len(u) <= 255 && onlyBytes(u, userBytes) && (exact || u[0] != '-')
}

// ParseSource reads a source as a message may carry it: a numeric address, returned in canonical form without "::ffff:" and also as
// addr, or a host name, for which addr is invalid. Texts that look like an address but are none ("999.1.1.1", "10.1", "010.0.0.1"),
// options ("-1"), zones and all other bytes are refused.
func ParseSource(s string) (text string, addr netip.Addr, ok bool) {
	if len(s) > 255 || s == "" || !onlyBytes(s, addressBytes) {
		return "", netip.Addr{}, false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return a.String(), a, true
	}
	if !IsHostName(s) {
		return "", netip.Addr{}, false
	}
	return s, netip.Addr{}, true
}

// IsHostName accepts labels of letters, digits, "-" and "_" that neither begin nor end with a dash, the last one not a number.
func IsHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	last := ""
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || !onlyBytes(label, letters+"-_") {
			return false
		}
		last = label
	}
	return !isNumber(last)
}

// isNumber reports what the C library's address parser takes for a number: digits, or 0x and hexadecimal digits.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(strings.ToLower(label), "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
