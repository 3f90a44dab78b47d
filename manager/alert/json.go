package alert

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vedette-hids/vedette/event"
)

// ftsDone is the number that alerts.json shows as decoder_desc.fts for an event seen for the first time.
const ftsDone = 4096

// object appends members of a JSON object in order.
type object struct {
	b     []byte
	first bool
}

func open(b []byte) object { return object{b: append(b, '{'), first: true} }

func (o *object) name(n string) {
	if !o.first {
		o.b = append(o.b, ',')
	}
	o.first = false
	o.b = AppendString(o.b, n)
	o.b = append(o.b, ':')
}

func (o *object) str(n, v string) { o.name(n); o.b = AppendString(o.b, v) }

func (o *object) num(n string, v int64) { o.name(n); o.b = strconv.AppendInt(o.b, v, 10) }

// some writes a number that is left out when it is 0.
func (o *object) some(n string, v int64) {
	if v != 0 {
		o.num(n, v)
	}
}

// given writes a string that is left out when it is empty.
func (o *object) given(n, v string) {
	if v != "" {
		o.str(n, v)
	}
}

func (o *object) field(n string, f *event.Fields, k event.Field) {
	if v, ok := f.Get(k); ok {
		o.str(n, v)
	}
}

func (o *object) list(n string, vs []string) {
	o.name(n)
	o.b = append(o.b, '[')
	for i, v := range vs {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = AppendString(o.b, v)
	}
	o.b = append(o.b, ']')
}

func (o *object) close() []byte { return append(o.b, '}') }

const hex = "0123456789abcdef"

// AppendString appends s as a JSON string: `/` and valid UTF-8 are not escaped; bytes that are not UTF-8 become U+FFFD, so that the
// line is always valid JSON.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			if _, n := utf8.DecodeRuneInString(s[i:]); n > 1 {
				i += n
				continue
			}
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

// AppendJSON appends the alerts.json object of a, without line end (spec outputs.md, section 3).
func AppendJSON(b []byte, a *event.Alert) []byte {
	ev := a.Event
	f := &ev.Fields
	o := open(b)
	o.name("rule")
	o.b = appendRule(o.b, a.Rule, a.FiredTimes, ev)
	o.name("id")
	o.b = append(appendID(append(o.b, '"'), a), '"')
	o.num("TimeStamp", a.Epoch*1000)
	o.given("decoder", ev.Decoder)
	o.given("decoder_parent", ev.DecoderParent)
	for _, m := range [...]struct {
		name  string
		field event.Field
	}{
		{"action", event.Action}, {"protocol", event.Protocol}, {"srcip", event.SrcIP}, {"srcport", event.SrcPort},
		{"srcuser", event.SrcUser}, {"dstip", event.DstIP}, {"dstport", event.DstPort}, {"dstuser", event.DstUser},
	} {
		o.field(m.name, f, m.field)
	}
	o.str("location", ev.Location)
	o.str("full_log", ev.FullLog)
	if len(a.Previous) > 1 {
		o.str("previous_output", a.Previous[1])
	}
	if ev.File != nil {
		o.name("SyscheckFile")
		o.b = appendFile(o.b, ev.File)
	}
	o.str("hostname", ev.Hostname)
	if ev.HasProgram {
		o.str("program_name", ev.ProgramName)
	}
	o.field("status", f, event.Status)
	o.field("command", f, event.Cmd)
	o.field("url", f, event.URL)
	if ev.Kind != event.KindSyscheck {
		o.field("data", f, event.Data)
	}
	o.field("systemname", f, event.SystemName)
	appendDynamic(&o, ev)
	o.name("decoder_desc")
	o.b = appendDecoder(o.b, ev)
	return appendOrigin(&o, ev, time.Unix(a.Epoch, 0), true)
}

// appendOrigin writes the members that end both JSON forms: agent, time and log file.
func appendOrigin(o *object, ev *event.Event, t time.Time, stampFirst bool) []byte {
	stamp := func() {
		o.name("timestamp")
		o.b = append(AppendDate(append(o.b, '"'), t), '"')
	}
	if !stampFirst {
		stamp()
	}
	if FromAgent(ev) {
		name, ip, file := agentParts(ev.Location)
		o.str("agent_name", name)
		o.given("agentip", ip)
		if stampFirst {
			stamp()
		}
		o.str("logfile", file)
	} else {
		o.str("agent_name", ev.Hostname)
		if stampFirst {
			stamp()
		}
		o.str("logfile", ev.Location)
	}
	return o.close()
}

// agentParts takes "(name) ip->path" apart as the JSON members show it: the address ends at its first '-', the path begins after the
// first '>'.
func agentParts(loc string) (name, ip, file string) {
	name, rest, _ := strings.Cut(loc[1:], ")")
	rest = strings.TrimPrefix(rest, " ")
	ip, _, _ = strings.Cut(rest, "-")
	_, file, _ = strings.Cut(loc, ">")
	return name, ip, file
}

func appendRule(b []byte, r *event.Rule, fired int, ev *event.Event) []byte {
	o := open(b)
	o.some("level", int64(r.Level))
	o.str("comment", r.Description)
	o.num("sidid", int64(r.ID))
	o.given("cve", r.CVE)
	o.given("info", r.Info)
	o.some("frequency", int64(r.Frequency))
	o.some("firedtimes", int64(fired))
	o.str("group", r.Groups)
	o.groups("groups", r.Groups, "")
	o.groups("PCI_DSS", r.Groups, pciPrefix)
	o.groups("CIS", r.Groups, cisPrefix)
	if strings.Contains(r.Groups, "rootcheck") {
		for _, t := range complianceTags(ev.FullLog) {
			if !(t.name == "PCI_DSS" && strings.Contains(r.Groups, pciPrefix) || t.name == "CIS" && strings.Contains(r.Groups, cisPrefix)) {
				o.list(t.name, t.values)
			}
		}
	}
	return o.close()
}

// members are the names that the two JSON forms give to members of their own.
var members = map[string]bool{
	"rule": true, "id": true, "TimeStamp": true, "decoder": true, "decoder_parent": true, "action": true, "protocol": true, "srcip": true,
	"srcgeoip": true, "srcport": true, "srcuser": true, "dstip": true, "dstgeoip": true, "dstport": true, "dstuser": true, "location": true,
	"full_log": true, "previous_output": true, "SyscheckFile": true, "hostname": true, "program_name": true, "status": true,
	"url": true, "data": true, "systemname": true, "decoder_desc": true, "agent_name": true, "agentip": true,
	"timestamp": true, "logfile": true, "log": true, "filename": true, "md5_before": true, "md5_after": true, "sha1_before": true,
	"sha1_after": true, "sha256_before": true, "sha256_after": true, "perm_before": true, "perm_after": true,
	"owner_before": true, "owner_after": true, "gowner_before": true, "gowner_after": true,
}

// appendDynamic writes the dynamic fields under their own names. One that a member has already gets the prefix "field_": collectors
// reject objects with a name twice, or lose the rule.
func appendDynamic(o *object, ev *event.Event) {
	for _, d := range ev.Dynamic {
		if members[d.Name] || d.Name == "command" && ev.Fields.Has(event.Cmd) {
			o.str("field_"+d.Name, d.Value)
		} else {
			o.str(d.Name, d.Value)
		}
	}
}

// Groups that name compliance requirements have lists of their own.
const (
	pciPrefix = "pci_dss_"
	cisPrefix = "cis_"
)

// groups writes the list of the groups that begin with prefix, without it; "" means those that begin with none. A list of a prefix is left
// out when it is empty.
func (o *object) groups(name, groups, prefix string) {
	first := true
	for g := range strings.SplitSeq(groups, ",") {
		g = strings.TrimSpace(g)
		special := strings.HasPrefix(g, pciPrefix) || strings.HasPrefix(g, cisPrefix)
		if g == "" || prefix == "" && special || !strings.HasPrefix(g, prefix) {
			continue
		}
		if first {
			o.name(name)
			o.b = append(o.b, '[')
		} else {
			o.b = append(o.b, ',')
		}
		first = false
		o.b = AppendString(o.b, g[len(prefix):])
	}
	switch {
	case !first:
		o.b = append(o.b, ']')
	case prefix == "":
		o.name(name)
		o.b = append(o.b, "[]"...)
	}
}

type tag struct {
	name   string
	values []string
}

var tagPattern = regexp.MustCompile(`\{([A-Za-z0-9_]+): ([A-Za-z0-9_., ]+)\}`)

// maxTags bounds what a text from a host can add to an alert.
const maxTags = 10

// ruleMembers are names that no text of a host may give to a member of the rule.
var ruleMembers = []string{"level", "comment", "sidid", "cve", "info", "frequency", "firedtimes", "group", "groups"}

// complianceTags reads {NAME: a, b} marks from the first 1023 bytes of a policy finding. Marks of the same name become one list.
func complianceTags(text string) []tag {
	var tags []tag
	for _, m := range tagPattern.FindAllStringSubmatch(cut(text, 1023), maxTags) {
		if slices.Contains(ruleMembers, m[1]) {
			continue
		}
		i := slices.IndexFunc(tags, func(t tag) bool { return t.name == m[1] })
		if i < 0 {
			i = len(tags)
			tags = append(tags, tag{name: m[1]})
		}
		for v := range strings.SplitSeq(m[2], ",") {
			if v = strings.TrimSpace(v); v != "" {
				tags[i].values = append(tags[i].values, v)
			}
		}
	}
	return tags
}

func appendDecoder(b []byte, ev *event.Event) []byte {
	o := open(b)
	if ev.FirstSeen {
		o.num("fts", ftsDone)
	}
	if ev.Accumulate {
		o.num("accumulate", 1)
	}
	o.given("parent", ev.DecoderParent)
	o.given("name", ev.Decoder)
	o.given("ftscomment", ev.FTSComment)
	return o.close()
}

// appendFile writes the SyscheckFile object. Sizes are not part of the format.
func appendFile(b []byte, c *event.FileChange) []byte {
	o := open(b)
	o.str("path", c.Path)
	for _, h := range [...]struct{ name, before, after string }{
		{"md5", c.Before.MD5, c.After.MD5}, {"sha1", c.Before.SHA1, c.After.SHA1}, {"sha256", c.Before.SHA256, c.After.SHA256},
	} {
		pair(&o, h.name, h.before, h.after, true)
	}
	pair(&o, "owner", c.Before.UID, c.After.UID, false)
	pair(&o, "gowner", c.Before.GID, c.After.GID, false)
	if c.HasBefore && c.Before.Mode != c.After.Mode && c.After.Mode != 0 {
		o.num("perm_before", int64(c.Before.Mode))
		o.num("perm_after", int64(c.After.Mode))
	}
	return o.close()
}

// pair writes NAME_before and NAME_after when both are known and differ; alone lets the later value stand without an earlier one.
func pair(o *object, name, before, after string, alone bool) {
	switch {
	case after == "":
	case before == "":
		if alone {
			o.str(name+"_after", after)
		}
	case before != after:
		o.str(name+"_before", before)
		o.str(name+"_after", after)
	}
}

// AppendArchiveJSON appends the archives.json object of an event, without line end; r is its final rule (nil: none of a level above 0)
// and fired the counter of that rule.
func AppendArchiveJSON(b []byte, ev *event.Event, r *event.Rule, fired int) []byte {
	f := &ev.Fields
	o := open(b)
	if ev.HasProgram {
		o.str("program_name", ev.ProgramName)
	}
	o.str("log", ev.Log)
	for _, m := range [...]struct {
		name  string
		field event.Field
	}{
		{"srcip", event.SrcIP}, {"dstip", event.DstIP}, {"srcport", event.SrcPort}, {"dstport", event.DstPort},
		{"protocol", event.Protocol}, {"action", event.Action}, {"srcuser", event.SrcUser}, {"dstuser", event.DstUser},
		{"id", event.ID}, {"status", event.Status}, {"command", event.Cmd}, {"url", event.URL}, {"data", event.Data},
		{"systemname", event.SystemName},
	} {
		o.field(m.name, f, m.field)
	}
	if c := ev.File; c != nil {
		o.str("filename", c.Path)
		pair(&o, "md5", c.Before.MD5, c.After.MD5, false)
		pair(&o, "sha1", c.Before.SHA1, c.After.SHA1, false)
		pair(&o, "sha256", c.Before.SHA256, c.After.SHA256, false)
		pair(&o, "owner", c.Before.UID, c.After.UID, false)
		pair(&o, "gowner", c.Before.GID, c.After.GID, false)
		if c.HasBefore && c.Before.Mode != c.After.Mode && c.After.Mode != 0 {
			o.num("perm_before", int64(c.Before.Mode))
			o.num("perm_after", int64(c.After.Mode))
		}
	}
	if r != nil {
		o.name("rule")
		o.b = appendRule(o.b, r, fired, ev)
	}
	appendDynamic(&o, ev)
	o.name("decoder")
	o.b = appendDecoder(o.b, ev)
	o.str("full_log", ev.FullLog)
	return appendOrigin(&o, ev, ev.Received, false)
}
