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
	maxLines   = 20      // log lines of one alert that are forwarded
	maxLog     = 1256    // bytes of each log text, as in alerts.log
)

// view is an alert as the formats see it: integrity attributes apart from the log lines, values with their quotes.
type view struct {
	a                                *event.Alert
	host, hl, groups                 string
	srcIP, dstIP, user               string
	srcPort, dstPort                 int
	file                             string
	oldMD5, newMD5, oldSHA1, newSHA1 string
	size, owner, group, perm         string
	msg                              string
	hasMsg                           bool
	exact                            bool
}

// integrity lists the lines of a composed integrity text that become fields of their own.
var integrity = []struct {
	prefix string
	field  func(*view) *string
}{
	{"Old md5sum was: ", func(v *view) *string { return &v.oldMD5 }},
	{"New md5sum is : ", func(v *view) *string { return &v.newMD5 }},
	{"Old sha1sum was: ", func(v *view) *string { return &v.oldSHA1 }},
	{"New sha1sum is : ", func(v *view) *string { return &v.newSHA1 }},
	{"Size changed from ", func(v *view) *string { return &v.size }},
	{"Ownership was ", func(v *view) *string { return &v.owner }},
	{"Group ownership was ", func(v *view) *string { return &v.group }},
	{"Permissions changed from ", func(v *view) *string { return &v.perm }},
}

func newView(a *event.Alert, host string, exact bool) *view {
	ev := a.Event
	f := &ev.Fields
	v := &view{a: a, host: host, exact: exact, hl: string(alert.AppendHL(nil, ev)), groups: " " + a.Rule.Groups,
		srcIP: f.Value(event.SrcIP), dstIP: f.Value(event.DstIP), user: f.Value(event.DstUser)}
	v.srcPort, _ = strconv.Atoi(f.Value(event.SrcPort))
	v.dstPort, _ = strconv.Atoi(f.Value(event.DstPort))
	var lines []string
	for line := range strings.SplitSeq(cut(ev.FullLog, maxLog), "\n") {
		if line == "" || (ev.Kind == event.KindSyscheck && v.take(line)) {
			continue
		}
		lines = append(lines, line)
	}
	for _, p := range a.Previous {
		lines = append(lines, cut(p, maxLog))
	}
	if len(lines) > maxLines {
		lines = lines[:maxLines]
	}
	v.msg, v.hasMsg = strings.Join(lines, "\n"), len(lines) > 0
	if name, ok := strings.CutPrefix(ev.FullLog, "Integrity checksum changed for: '"); ok && ev.Kind == event.KindSyscheck {
		name, _, _ = strings.Cut(name, "\n")
		v.file = strings.TrimSuffix(name, "'")
	}
	return v
}

// take moves an attribute line of an integrity text into its field.
func (v *view) take(line string) bool {
	for _, p := range integrity {
		if rest, ok := strings.CutPrefix(line, p.prefix); ok {
			*p.field(v) = rest
			return true
		}
	}
	return false
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
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
	b := appendTime([]byte(priority), v.a.Epoch)
	b = cat(b, " ", v.host, " ossec: Alert Level: ")
	b = num(b, v.a.Rule.Level)
	b = append(b, "; Rule: "...)
	b = num(b, v.a.Rule.ID)
	b = cat(b, " - ", v.a.Rule.Description, "; Location: ", v.hl, ";")
	for _, f := range [...]struct{ label, value string }{
		{"classification: ", v.groups}, {"srcip: ", v.srcIP}, {"dstip: ", v.dstIP}, {"user: ", v.user},
		{"Previous MD5: ", v.oldMD5}, {"Current MD5: ", v.newMD5}, {"Previous SHA1: ", v.oldSHA1}, {"Current SHA1: ", v.newSHA1},
		{"Size changed: from ", v.size}, {"User ownership: was ", v.owner}, {"Group ownership: was ", v.group},
		{"Permissions changed: from ", v.perm},
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
	b := appendTime([]byte(priority), v.a.Epoch)
	b = cat(b, " CEF:0|OSSEC Foundation|OSSEC HIDS|", version, "|")
	b = num(b, v.a.Rule.ID)
	b = cat(b, "|", cefHeader.Replace(v.a.Rule.Description), "|")
	b = num(b, min(v.a.Rule.Level, 10))
	b = cat(b, "|dvc=", cefExtension.Replace(v.host), " cs1Label=Location cs1=", cefExtension.Replace(v.hl))
	opt := func(label, value string) {
		if v.shown(value) {
			b = cat(b, label, value)
		}
	}
	opt(" classification=", cefExtension.Replace(v.groups))
	opt(" src=", v.srcIP)
	if v.dstPort > 0 {
		b = num(append(b, " dpt="...), v.dstPort)
	}
	if v.srcPort > 0 {
		b = num(append(b, " spt="...), v.srcPort)
	}
	opt(" fname=", cefExtension.Replace(v.file))
	opt(" dhost=", v.dstIP)
	opt(" shost=", v.srcIP)
	opt(" suser=", cefExtension.Replace(v.user))
	opt(" dst=", cefExtension.Replace(v.dstIP))
	if v.newMD5 != "" && v.newSHA1 != "" {
		opt(" cs2Label=OldMD5 cs2=", v.oldMD5)
		opt(" cs3Label=NewMD5 cs3=", v.newMD5)
		opt(" oldFileHash=", v.oldSHA1)
		opt(" fhash=", v.newSHA1)
		opt(" fileHash=", v.newSHA1)
	}
	escaped := *v
	escaped.msg = cefExtension.Replace(v.msg)
	return appendMsg(b, " msg=", "", &escaped)
}

// formatJSON builds the packet of section 9.5; truncated is true when the object was too large and the short form took its place.
func formatJSON(v *view) (b []byte, truncated bool) {
	b = appendTime([]byte(priority), v.a.Epoch)
	b = cat(b, " ", v.host, " ossec: ")
	head := len(b)
	b = num(append(b, `{"crit":`...), v.a.Rule.Level)
	b = num(append(b, `,"id":`...), v.a.Rule.ID)
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
	str("component", v.hl, true)
	str("classification", v.groups, true)
	str("description", v.a.Rule.Description, true)
	str("message", v.msg, v.hasMsg)
	str("acct", v.user, false)
	str("src_ip", v.srcIP, false)
	port("src_port", v.srcPort)
	str("dst_ip", v.dstIP, false)
	port("dst_port", v.dstPort)
	str("file", v.file, false)
	str("md5_old", v.oldMD5, false)
	str("md5_new", v.newMD5, false)
	str("sha1_old", v.oldSHA1, false)
	str("sha1_new", v.newSHA1, false)
	b = append(b, '}')
	if len(b) <= maxPayload {
		return b, false
	}
	b = num(append(b[:head], `{"crit":`...), v.a.Rule.Level)
	b = num(append(b, `,"id":`...), v.a.Rule.ID)
	return append(b, `,"truncated":true}`...), true
}

// formatSplunk builds the packet of section 9.6.
func formatSplunk(v *view) []byte {
	b := appendTime([]byte(priority), v.a.Epoch)
	b = cat(b, " ", v.host, " ossec: crit=")
	b = num(b, v.a.Rule.Level)
	b = num(append(b, " id="...), v.a.Rule.ID)
	b = cat(b, ` description="`, v.a.Rule.Description, `" component="`, v.hl, `",`)
	opt := func(name, value string) bool {
		if !v.shown(value) {
			return false
		}
		b = cat(b, " ", name, `="`, value, `",`)
		return true
	}
	opt("classification", v.groups)
	if opt("src_ip", v.srcIP) && v.srcPort > 0 {
		b = append(num(append(b, " src_port="...), v.srcPort), ',')
	}
	if opt("dst_ip", v.dstIP) && v.dstPort > 0 {
		b = append(num(append(b, " dst_port="...), v.dstPort), ',')
	}
	opt("file", v.file)
	opt("acct", v.user)
	opt("md5_old", v.oldMD5)
	opt("md5_new", v.newMD5)
	opt("sha1_old", v.oldSHA1)
	opt("sha1_new", v.newSHA1)
	return appendMsg(b, ` message="`, `"`, v)
}
