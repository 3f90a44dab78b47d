package event

import "strconv"

// Rule is what an alert, a response and an output know of the rule that matched.
type Rule struct {
	ID          int
	Level       int
	Description string
	Groups      string // group text as written, usually with a trailing comma: "syslog,sshd,authentication_failed,"
	CVE         string
	Info        string // all <info> texts, joined
	Frequency   int    // 0 = not a correlation rule
	Log         bool   // write the alert (level threshold, log_alert, no_log)
	Mail        bool   // mail mark (level threshold, alert_by_email, no_email_alert)
	NoAR        bool   // option no_ar: never triggers a response
}

// Alert is a decided alert: a rule of level above 0 matched, outside its ignore window (spec rules.md, section 8). Alerts whose
// Rule.Log is false are not written but may trigger responses.
type Alert struct {
	Epoch      int64 // seconds at which the message was taken from the queue
	Seq        uint64
	Rule       *Rule
	FiredTimes int // matches of the rule since the last hourly reset, this one included
	Event      *Event
	Previous   []string // earlier full logs, newest first; for check_diff "Previous output:" and the text
}

// AlertID is the text "EPOCH.SEQ" (spec outputs.md, section 2.3).
func (a *Alert) AlertID() string {
	return strconv.FormatInt(a.Epoch, 10) + "." + strconv.FormatUint(a.Seq, 10)
}
