package mail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/output"
)

// Times and sizes of grouping and retries.
const (
	quiet       = 10 * time.Second // a batch is sent when no alert came for so long
	maxWait     = 2 * time.Minute  // or when its first alert is so old
	maxBatch    = 96               // alerts in one mail
	maxOutbox   = 96               // mails that wait for the server
	firstRetry  = 30 * time.Second
	longRetry   = 10 * time.Minute
	maxRefusals = 5 // attempts of a mail that the server refuses for good
)

// Options of New.
type Options struct {
	Global    *config.Global
	Granular  []config.EmailAlert
	NoGroup   bool      // maild.groupping=0: every alert is a mail of its own
	FullTitle bool      // maild.full_subject=1
	Transport Transport // nil = what Global names
	Lenient   bool      // maild.strict_checking=0
	Log       *olog.Log // of "ossec-maild"
}

// Mailer is the sink for mail alerts, and sends reports. Make it with New.
type Mailer struct {
	o         Options
	transport Transport
	in        chan *event.Alert

	// Of Work's goroutine.
	pending []item
	first   time.Time // arrival of the first pending alert
	last    time.Time // and of the last one
	outbox  []*batch
	hour    int64 // clock hour that count is of
	count   int   // mails sent in it
	tryAt   time.Time
	backoff time.Duration

	sent, lost atomic.Uint64
}

var _ output.Worker = (*Mailer)(nil)

// item is an alert and the granular recipients that it adds.
type item struct {
	entry *alert.Entry
	to    []string
}

// batch is one mail.
type batch struct {
	items   []item
	refused int
}

// ErrDisabled is returned by New when email_notification is off.
var ErrDisabled = errors.New("E-Mail notification disabled")

// New makes the mailer that the configuration asks for.
func New(o Options) (*Mailer, error) {
	if !o.Global.EmailNotification {
		return nil, ErrDisabled
	}
	return NewReporter(o)
}

// NewReporter makes a mailer for reports, which need a server and a sender but no email_notification.
func NewReporter(o Options) (*Mailer, error) {
	g := o.Global
	if g.EmailFrom == "" {
		return nil, errors.New("mail: no email_from")
	}
	t := o.Transport
	if t == nil {
		var err error
		if t, err = NewTransport(g, o.Lenient, o.Log); err != nil {
			return nil, err
		}
	}
	return &Mailer{o: o, transport: t, in: make(chan *event.Alert, maxBatch)}, nil
}

// NewTransport makes the transport that <global> names in smtp_server.
func NewTransport(g *config.Global, lenient bool, log *olog.Log) (Transport, error) {
	switch {
	case g.SMTPServer == "":
		return nil, errors.New("mail: no smtp_server")
	case strings.HasPrefix(g.SMTPServer, "/"):
		return NewProgram(g.SMTPServer), nil
	}
	return &SMTP{Host: g.SMTPServer, Port: g.SMTPPort, Helo: g.HeloServer, Auth: g.AuthSMTP, User: g.SMTPUser, Password: g.SMTPPassword,
		TLS: g.SecureSMTP, NoVerify: !g.SMTPTLSVerify, Lenient: lenient, Log: log}, nil
}

// Name implements output.Sink.
func (m *Mailer) Name() string { return "mail via " + m.transport.String() }

// Wants implements output.Sink: alerts with the mail mark that are logged.
func (m *Mailer) Wants(a *event.Alert) bool { return a.Rule.Mail && a.Rule.Log }

// Send implements output.Sink: it hands the alert to Work.
func (m *Mailer) Send(ctx context.Context, a *event.Alert) error {
	select {
	case m.in <- a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close implements output.Sink.
func (m *Mailer) Close() error { return nil }

// Counts gives the numbers of mails sent and of alerts that were given up.
func (m *Mailer) Counts() (mails, lostAlerts uint64) { return m.sent.Load(), m.lost.Load() }

// Work implements output.Worker.
func (m *Mailer) Work(ctx context.Context, grace time.Duration) error {
	for {
		wait := 24 * time.Hour
		if at := m.next(); !at.IsZero() {
			wait = time.Until(at)
		}
		timer := time.NewTimer(wait)
		select {
		case a := <-m.in:
			m.add(a)
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			m.finish(context.WithoutCancel(ctx), grace)
			return nil
		}
		timer.Stop()
		m.flushDue()
		m.deliver(ctx)
	}
}

// next is when something is to be done; zero = nothing until an alert comes.
func (m *Mailer) next() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if len(m.pending) > 0 && !m.full() {
		sooner(m.dueAt())
	}
	if len(m.pending) > 0 && m.full() {
		sooner(nextHour(time.Now()))
	}
	if len(m.outbox) > 0 {
		sooner(m.tryAt)
	}
	return at
}

func (m *Mailer) dueAt() time.Time {
	at := m.last.Add(quiet)
	if limit := m.first.Add(maxWait); limit.Before(at) {
		at = limit
	}
	return at
}

func nextHour(now time.Time) time.Time { return time.Unix((now.Unix()/3600+1)*3600, 0) }

// full reports whether the mails of this hour are used up, those that wait for the server included.
func (m *Mailer) full() bool {
	if hour := time.Now().Unix() / 3600; hour != m.hour {
		m.hour, m.count = hour, 0
	}
	limit := m.o.Global.EmailMaxPerHour
	return limit > 0 && m.count+len(m.outbox) >= limit
}

// add takes an alert in and decides whether it goes at once.
func (m *Mailer) add(a *event.Alert) {
	it := item{entry: alert.NewEntry(a)}
	delay, group := true, true
	for i := range m.o.Granular {
		if g := &m.o.Granular[i]; matches(g, it.entry) {
			it.to = append(it.to, g.To)
			delay = delay && !g.DoNotDelay
			group = group && !g.DoNotGroup
		}
	}
	if len(m.o.Global.EmailTo) == 0 && len(it.to) == 0 {
		return
	}
	if !group || m.o.NoGroup {
		m.flush()
	}
	now := time.Now()
	if len(m.pending) == 0 {
		m.first = now
	}
	m.last = now
	m.pending = append(m.pending, it)
	if !delay || !group || m.o.NoGroup || len(m.pending) >= maxBatch {
		m.flush()
	}
	if extra := len(m.pending) - maxBatch; extra > 0 { // the hour's mails are used up
		m.pending = slices.Delete(m.pending, 0, extra)
		m.drop(extra, "email_maxperhour is reached")
	}
}

// matches applies the conditions of an <email_alerts> section.
func matches(g *config.EmailAlert, e *alert.Entry) bool {
	return e.Level >= g.Level &&
		(len(g.RuleIDs) == 0 || slices.Contains(g.RuleIDs, e.Rule)) &&
		(g.Group == nil || g.Group.MatchString(e.Groups)) &&
		(g.EventLocation == nil || g.EventLocation.MatchString(e.Location))
}

func (m *Mailer) flushDue() {
	if len(m.pending) > 0 && !time.Now().Before(m.dueAt()) {
		m.flush()
	}
}

// flush makes a mail of the pending alerts, unless the hour's mails are used up: then they wait.
func (m *Mailer) flush() {
	if len(m.pending) == 0 || m.full() {
		return
	}
	if len(m.outbox) >= maxOutbox {
		m.drop(len(m.outbox[0].items), "the mail server does not take them")
		m.outbox = slices.Delete(m.outbox, 0, 1)
	}
	m.outbox = append(m.outbox, &batch{items: m.pending})
	m.pending = nil
}

func (m *Mailer) drop(n int, why string) {
	total := m.lost.Add(uint64(n))
	m.o.Log.Every("drop", time.Minute).Warn("alerts not mailed: %s (%d so far).", why, total)
}

// deliver sends what is in the outbox, until the server fails.
func (m *Mailer) deliver(ctx context.Context) {
	for len(m.outbox) > 0 && !time.Now().Before(m.tryAt) {
		b := m.outbox[0]
		err := m.send(ctx, b)
		switch {
		case err == nil:
			m.count++
			m.sent.Add(1)
			m.backoff, m.tryAt = 0, time.Time{}
		case ctx.Err() != nil:
			return
		default:
			m.failed(b, err)
			if b.refused < maxRefusals {
				return
			}
			m.drop(len(b.items), "the mail server refuses them")
		}
		m.outbox = slices.Delete(m.outbox, 0, 1)
	}
}

func (m *Mailer) failed(b *batch, err error) {
	if errors.Is(err, ErrRefused) {
		b.refused++
	}
	m.backoff = min(max(2*m.backoff, firstRetry), longRetry)
	m.tryAt = time.Now().Add(m.backoff)
	m.o.Log.Code(1223, "ERROR", "Error Sending email to %s (smtp server)", m.transport)
	m.o.Log.Every("reason", time.Minute).Warn("%v; next attempt in %s.", err, m.backoff)
}

func (m *Mailer) send(ctx context.Context, b *batch) error {
	g := m.o.Global
	worst := b.items[0].entry
	var body []byte
	env := Envelope{From: g.EmailFrom, Required: g.EmailTo}
	for _, it := range b.items {
		if it.entry.Level > worst.Level {
			worst = it.entry
		}
		body = appendAlert(body, it.entry)
	}
	// Granular recipients in the order of the configuration, each once.
	for i := range m.o.Granular {
		to := m.o.Granular[i].To
		if !slices.Contains(g.EmailTo, to) && !slices.Contains(env.Optional, to) &&
			slices.ContainsFunc(b.items, func(it item) bool { return slices.Contains(it.to, to) }) {
			env.Optional = append(env.Optional, to)
		}
	}
	return m.post(ctx, env, &message{subject: alertSubject(worst, m.o.FullTitle), body: string(body), replyTo: g.EmailReplyTo})
}

// post completes a message and delivers it.
func (m *Mailer) post(ctx context.Context, env Envelope, msg *message) error {
	env.Required, env.Optional = safe(env.Required), safe(env.Optional)
	msg.to = append(slices.Clip(env.Required), env.Optional...)
	if len(msg.to) == 0 {
		return fmt.Errorf("%w: no recipient", ErrRefused)
	}
	msg.body += "\r\n" // OSSEC's mails have it, from its way to end the data
	now := time.Now()
	msg.from, msg.idsName = env.From, m.o.Global.EmailIDSName
	if m.o.Global.AuthSMTP || m.o.Global.SecureSMTP {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		msg.id = fmt.Sprintf("<%s.%d@%s>", now.Format("20060102150405"), now.Nanosecond(), host)
	}
	return m.transport.Deliver(ctx, env, msg.bytes(now))
}

// safe leaves out addresses that could add lines to the dialogue.
func safe(to []string) []string {
	return slices.DeleteFunc(slices.Clone(to), func(a string) bool { return a == "" || strings.ContainsAny(a, "\r\n<>") })
}

// Report mails a report at once; the caller decides about trying again. Unlike alert mails it has no Reply-To and names every recipient in a
// To line (spec outputs.md, section 12.1). It may be called while Work runs.
func (m *Mailer) Report(ctx context.Context, to []string, title, text string) error {
	return m.post(ctx, Envelope{From: m.o.Global.EmailFrom, Required: to}, &message{subject: title, body: text, again: true})
}

// finish sends what is there before the stop, hourly limit or not.
func (m *Mailer) finish(ctx context.Context, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	for len(m.in) > 0 {
		m.add(<-m.in)
	}
	if len(m.pending) > 0 {
		m.outbox = append(m.outbox, &batch{items: m.pending})
		m.pending = nil
	}
	m.tryAt = time.Time{}
	m.deliver(ctx)
	if n := len(m.outbox); n > 0 {
		for _, b := range m.outbox {
			m.lost.Add(uint64(len(b.items)))
		}
		m.o.Log.Warn("Shutdown abandoning %d queued email(s).", n)
	}
}
