package activeresponse

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/activeresponse/responders"
	"github.com/vedette-hids/vedette/config"
)

// unclean refuses pieces that could forge a line of a log. The words of a location are excepted, see cleanLocation.
func unclean(pieces []string) error {
	for i, p := range pieces {
		if (i < 4 || i == len(pieces)-1) && strings.IndexFunc(p, isControl) >= 0 {
			return ErrControl
		}
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// cleanText replaces control characters. Locations come from the agent's host, where a file can have any name; that must not keep a
// response from being run.
func cleanText(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return '_'
		}
		return r
	}, s)
}

func cleanLocation(o *order) {
	o.resp.Location = cleanText(o.resp.Location)
	for i := 4; i < len(o.pieces)-1; i++ {
		o.pieces[i] = cleanText(o.pieces[i])
	}
}

// consider decides what a response calls for: nothing, a run, a longer block. The reasons of a refusal are logged and noted here.
// The caller holds the lock.
func (e *Executor) consider(s submission, now time.Time) (*Block, error) {
	r := &s.resp
	cleanLocation(&s.order)
	err := unclean(s.pieces)
	if strings.IndexFunc(r.Name, isControl) >= 0 {
		err = ErrControl
	}
	if err != nil {
		e.log.Every("unclean", time.Minute).Warn("Response %s refused: %v.", clip(r.Name), err)
		return nil, e.refuse(s.order, err)
	}
	ent, known, here := e.table.lookup(r.Name, now)
	switch {
	case !known:
		e.log.Code(1311, "ERROR", "Invalid command name '%s' provided.", clip(r.Name))
		return nil, e.refuse(s.order, fmt.Errorf("no response %s in %s", clip(r.Name), e.o.ARConf))
	case !here:
		return nil, e.refuse(s.order, errors.New("its program is not on this system"))
	case len(s.pieces) < 2:
		e.log.Text("Invalid number of arguments.")
		return nil, e.refuse(s.order, ErrTooFew)
	}
	prog, err := e.programs.resolve(ent.Executable)
	if err != nil {
		e.log.Error("Response %s refused: %v.", clip(r.Name), err)
		return nil, e.refuse(s.order, err)
	}
	sub, err := e.subject(prog, &s.order)
	if err != nil {
		e.log.Every("refused\x00"+r.Name+"\x00"+r.IP, time.Minute).Warn("Response %s for '%s' refused: %v.", clip(r.Name), clip(sub.who(r.IP, r.User)), err)
		return nil, e.refuse(s.order, err)
	}
	if b := e.blocks[sub.key]; b != nil && b.live() {
		if !e.duplicate(b, ent, prog, s.order, now) {
			return e.runOnly(sub, ent, prog, s.order), nil
		}
		c := b.Block
		return &c, nil
	}
	if ent.Timeout == 0 && (prog.builtin == nil || prog.builtin.Subject == responders.Nothing) {
		return e.runOnly(sub, ent, prog, s.order), nil
	}
	return e.newBlock(sub, ent, prog, s.order, now)
}

func (e *Executor) refuse(o order, err error) error {
	e.note(Refused, o, err.Error())
	return err
}

// subject is what a response acts on.
type subject struct {
	key     string
	address string // canonical; "" = none
	user    string // "" = none
	pieces  []string
}

func (s subject) who(ip, user string) string {
	if ip == "" || ip == "-" {
		return user
	}
	return ip
}

// none reports the texts for "no value".
func none(s string) bool { return s == "" || s == "-" || s == "null" || s == "(null)" }

// subject finds what a response acts on, checks it again, and makes its key: the program and the address; without an address the user
// and the file.
func (e *Executor) subject(prog program, o *order) (subject, error) {
	s := subject{pieces: slices.Clone(o.pieces)}
	user, ip := o.pieces[0], o.pieces[1]
	var acts responders.Subject
	if prog.builtin != nil {
		acts = prog.builtin.Subject
	}
	if acts == responders.Nothing && prog.builtin != nil {
		s.key = prog.path + " alert " + o.resp.AlertID
		return s, nil
	}
	if !none(user) {
		if err := responders.CheckUser(user); err != nil {
			return s, err
		}
		s.user = user
	} else if acts == responders.User {
		return s, errors.New("it has no user")
	}
	if err := e.address(&s, ip, prog, acts); err != nil {
		return s, err
	}
	switch {
	case acts == responders.User:
		s.key = prog.path + " user " + s.user
	case s.address != "":
		s.key = prog.path + " " + s.address
	default:
		s.key = prog.path + " user " + s.user + " file " + o.resp.Filename
	}
	return s, nil
}

// address checks the source of a response and puts its canonical form into the arguments.
func (e *Executor) address(s *subject, ip string, prog program, acts responders.Subject) error {
	if none(ip) {
		if acts == responders.Address {
			return errors.New("it has no address")
		}
		return nil
	}
	text, addr, ok := ParseSource(ip)
	if !ok {
		return fmt.Errorf("'%s' is neither an address nor a host name", clip(ip))
	}
	s.pieces[1] = text
	if !addr.IsValid() {
		if acts == responders.Address && !prog.builtin.Names {
			return fmt.Errorf("'%s' is not an address", text)
		}
		s.address = strings.ToLower(text)
		if entry, yes := e.o.Allow.Name(text); yes {
			return fmt.Errorf("allow list: %s", entry)
		}
		if why, yes := e.o.Host.Name(text); yes && acts != responders.User {
			return fmt.Errorf("protected: %s", why)
		}
		return nil
	}
	p := netip.PrefixFrom(addr, addr.BitLen())
	if prog.builtin != nil && acts == responders.Address {
		p, _ = responders.ParseTarget(text, e.o.Config.IPv6Prefix)
	}
	s.address = addr.String()
	if !p.IsSingleIP() {
		s.address = p.String()
	}
	if acts == responders.User {
		return nil // the address is only told, not acted on
	}
	if why, yes := e.o.protected(p); yes {
		return fmt.Errorf("protected: %s", why)
	}
	return nil
}

// duplicate handles a response for a block that is in force: its time starts again, and the offence counts (spec sections 10 and 11).
// It returns false if the program is to be run all the same.
func (e *Executor) duplicate(b *block, ent config.ResponseEntry, prog program, o order, now time.Time) bool {
	if b.Period == 0 {
		// A block without end stays one. Without a timeout every message runs the program, as OSSEC does.
		return ent.Timeout != 0
	}
	period, why := b.Period, "it is in force already; its time starts again"
	if !strings.HasPrefix(o.pieces[1], "-") {
		base := time.Duration(max(ent.Timeout, 0)) * time.Second
		if longer, nth, ok := e.offenders.again(b.Key, base, now); ok {
			period, b.Offences = max(longer, base), nth
			why = fmt.Sprintf("offence %d during the block, %s", nth, period)
		}
	}
	b.begin(now, period)
	e.dirty = true
	e.note(Prolonged, o, why)
	if prog.builtin != nil && prog.builtin.KernelExpiry {
		e.ready = append(e.ready, e.task(doProlong, b))
	}
	return true
}

// maxQueuedRuns bounds the runs that wait for their turn.
const maxQueuedRuns = 4096

// runOnly runs a program without anything to take back later.
func (e *Executor) runOnly(sub subject, ent config.ResponseEntry, prog program, o order) *Block {
	if e.queued()+len(e.ready) >= maxQueuedRuns {
		e.log.Every("runs", time.Minute).Error("Response %s is not run: %d runs are waiting.", o.resp.Name, maxQueuedRuns)
		e.note(Refused, o, "too many runs are waiting")
		return nil
	}
	e.ready = append(e.ready, &task{do: doAdd, key: sub.key, prog: prog, exe: ent.Executable, pieces: sub.pieces, resp: o.resp.Name,
		dry: e.o.Config.DryRun})
	return nil
}

// newBlock writes a block down and plans its program.
func (e *Executor) newBlock(sub subject, ent config.ResponseEntry, prog program, o order, now time.Time) (*Block, error) {
	if len(e.blocks) >= e.o.Config.MaxBlocks && e.blocks[sub.key] == nil {
		e.log.Every("cap", time.Minute).Error("Response %s for '%s' refused: %d blocks are in force, which is the limit (max_blocks).",
			o.resp.Name, clip(sub.who(o.resp.IP, o.resp.User)), len(e.blocks))
		return nil, e.refuse(o, fmt.Errorf("%d blocks are in force, which is the limit", len(e.blocks)))
	}
	period, nth := time.Duration(ent.Timeout)*time.Second, 1
	if ent.Timeout != 0 {
		period, nth = e.offenders.first(sub.key, period, now)
	}
	r := &o.resp
	b := &block{Block: Block{Key: sub.key, Response: r.Name, Executable: ent.Executable, Pieces: sub.pieces, Address: sub.address,
		User: sub.user, AlertID: r.AlertID, RuleID: r.RuleID, Location: r.Location, Since: now, Offences: nth, State: Planned,
		DryRun: e.o.Config.DryRun, IPv6Prefix: e.o.Config.IPv6Prefix}}
	b.begin(now, period)
	e.blocks[sub.key] = b
	e.dirty = true
	e.ready = append(e.ready, e.task(doAdd, b))
	c := b.Block
	return &c, nil
}
