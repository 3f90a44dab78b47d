package syslog

import (
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/manager/alert"
)

const (
	priority   = "<132>" // local0.warning, whatever the level
	maxPayload = 6143    // bytes of one message
)

// view is an alert as the formats see it.
type view struct {
	*alert.Entry
	epoch  int64
	host   string
	msg    string
	hasMsg bool
	exact  bool
}

func newView(a *event.Alert, host string, exact bool) *view {
	e := alert.NewEntry(a)
	return &view{Entry: e, epoch: a.Epoch, host: host, msg: strings.Join(e.Lines, "\n"), hasMsg: len(e.Lines) > 0, exact: exact}
}

// shown reports whether an optional text is written: "(none)" is not. OSSEC leaves out much more, because it looks at five bytes
// only ("anna"); that is what exact restores.
func (v *view) shown(s string) bool {
	if s == "" || !v.exact {
		return s != "" && s != "(none)"
	}
	var b [5]byte
	copy(b[:], s)
	return !(b[1] == 'n' && b[2] == 'n' ||
		b[0] == '(' && (b[1] == 'n' || b[4] == 'k') ||
		b[1] == 'u' && b[2] == 'o' && (b[0] == 'u' || b[4] == 'k'))
}

// appendTime appends "Oct  5 08:09:16": the alert's time, day padded with a blank.
func appendTime(b []byte, epoch int64) []byte {
	return time.Unix(epoch, 0).AppendFormat(b, "Jan _2 15:04:05")
}

func num(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

func cat(b []byte, parts ...string) []byte {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// formatDefault builds the packet of section 9.3.
func formatDefault(v *view) []byte {
	b := appendTime([]byte(priority), v.epoch)
	b = cat(b, " ", v.host, " ossec: Alert Level: ")
	b = num(b, v.Level)
	b = append(b, "; Rule: "...)
	b = num(b, v.Rule)
	b = cat(b, " - ", v.Description, "; Location: ", v.Location, ";")
	for _, f := range [...]struct{ label, value string }{
		{"classification: ", v.Groups}, {"srcip: ", v.SrcIP}, {"dstip: ", v.DstIP}, {"user: ", v.User},
		{"Previous MD5: ", v.OldMD5}, {"Current MD5: ", v.NewMD5}, {"Previous SHA1: ", v.OldSHA1}, {"Current SHA1: ", v.NewSHA1},
		{"Size changed: from ", v.Size}, {"User ownership: was ", v.Owner}, {"Group ownership: was ", v.Group},
		{"Permissions changed: from ", v.Perm},
	} {
		if v.shown(f.value) {
			b = cat(b, " ", f.label, f.value, ";")
		}
	}
	return appendMsg(b, " ", "", v)
}

// appendMsg appends the message field within the room that is left (section 9.7).
func appendMsg(b []byte, before, after string, v *view) []byte {
	room, literal := maxPayload+1-len(b), len(before)+len(after)
	if !v.hasMsg || !v.shown(v.msg) || room <= literal || room-literal <= 3 {
		return b
	}
	msg := v.msg
	if len(msg)+literal > room {
		msg = msg[:room-literal-3] + "..."
	}
	start := len(b)
	b = cat(b, before, msg, after)
	if len(b)-start > room-1 {
		b = b[:start+room-1]
	}
	return b
}

var (
	cefHeader    = strings.NewReplacer(`\`, `\\`, `|`, `\|`, "\r", " ", "\n", " ")
	cefExtension = strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\r", `\r`, "\n", `\n`)
)

// formatCEF builds the packet of section 9.4.
func formatCEF(v *view, version string) []byte {
	b := appendTime([]byte(priority), v.epoch)
	b = cat(b, " CEF:0|OSSEC Foundation|OSSEC HIDS|", version, "|")
	b = num(b, v.Rule)
	b = cat(b, "|", cefHeader.Replace(v.Description), "|")
	b = num(b, min(v.Level, 10))
	b = cat(b, "|dvc=", cefExtension.Replace(v.host), " cs1Label=Location cs1=", cefExtension.Replace(v.Location))
	opt := func(label, value string) {
		if v.shown(value) {
			b = cat(b, label, value)
		}
	}
	opt(" classification=", cefExtension.Replace(v.Groups))
	opt(" src=", v.SrcIP)
	if v.DstPort > 0 {
		b = num(append(b, " dpt="...), v.DstPort)
	}
	if v.SrcPort > 0 {
		b = num(append(b, " spt="...), v.SrcPort)
	}
	opt(" fname=", cefExtension.Replace(v.File))
	opt(" dhost=", v.DstIP)
	opt(" shost=", v.SrcIP)
	opt(" suser=", cefExtension.Replace(v.User))
	opt(" dst=", cefExtension.Replace(v.DstIP))
	if v.NewMD5 != "" && v.NewSHA1 != "" {
		opt(" cs2Label=OldMD5 cs2=", v.OldMD5)
		opt(" cs3Label=NewMD5 cs3=", v.NewMD5)
		opt(" oldFileHash=", v.OldSHA1)
		opt(" fhash=", v.NewSHA1)
		opt(" fileHash=", v.NewSHA1)
	}
	escaped := *v
	escaped.msg = cefExtension.Replace(v.msg)
	return appendMsg(b, " msg=", "", &escaped)
}

// formatJSON builds the packet of section 9.5; truncated is true when the object was too large and the short form took its place.
func formatJSON(v *view) (b []byte, truncated bool) {
	b = appendTime([]byte(priority), v.epoch)
	b = cat(b, " ", v.host, " ossec: ")
	head := len(b)
	b = num(append(b, `{"crit":`...), v.Level)
	b = num(append(b, `,"id":`...), v.Rule)
	str := func(name, value string, always bool) {
		if value != "" || always {
			b = alert.AppendString(cat(b, `,"`, name, `":`), value)
		}
	}
	port := func(name string, n int) {
		if n != 0 {
			b = num(cat(b, `,"`, name, `":`), n)
		}
	}
	str("component", v.Location, true)
	str("classification", v.Groups, true)
	str("description", v.Description, true)
	str("message", v.msg, v.hasMsg)
	str("acct", v.User, false)
	str("src_ip", v.SrcIP, false)
	port("src_port", v.SrcPort)
	str("dst_ip", v.DstIP, false)
	port("dst_port", v.DstPort)
	str("file", v.File, false)
	str("md5_old", v.OldMD5, false)
	str("md5_new", v.NewMD5, false)
	str("sha1_old", v.OldSHA1, false)
	str("sha1_new", v.NewSHA1, false)
	b = append(b, '}')
	if len(b) <= maxPayload {
		return b, false
	}
	b = num(append(b[:head], `{"crit":`...), v.Level)
	b = num(append(b, `,"id":`...), v.Rule)
	return append(b, `,"truncated":true}`...), true
}

// formatSplunk builds the packet of section 9.6.
func formatSplunk(v *view) []byte {
	b := appendTime([]byte(priority), v.epoch)
	b = cat(b, " ", v.host, " ossec: crit=")
	b = num(b, v.Level)
	b = num(append(b, " id="...), v.Rule)
	b = cat(b, ` description="`, v.Description, `" component="`, v.Location, `",`)
	opt := func(name, value string) bool {
		if !v.shown(value) {
			return false
		}
		b = cat(b, " ", name, `="`, value, `",`)
		return true
	}
	opt("classification", v.Groups)
	if opt("src_ip", v.SrcIP) && v.SrcPort > 0 {
		b = append(num(append(b, " src_port="...), v.SrcPort), ',')
	}
	if opt("dst_ip", v.DstIP) && v.DstPort > 0 {
		b = append(num(append(b, " dst_port="...), v.DstPort), ',')
	}
	opt("file", v.File)
	opt("acct", v.User)
	opt("md5_old", v.OldMD5)
	opt("md5_new", v.NewMD5)
	opt("sha1_old", v.OldSHA1)
	opt("sha1_new", v.NewSHA1)
	return appendMsg(b, ` message="`, `"`, v)
}
