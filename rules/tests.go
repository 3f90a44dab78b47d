package rules

import (
	"strings"

	"github.com/vedette-hids/vedette/event"
)

// compiledTest is a test that is written in Go, not in patterns (spec rules.md, 4.8).
type compiledTest uint8

const (
	compiledNone compiledTest = iota
	checkIDSize
	compSrcUserDstUser
	compMSWinUsers
	isSimpleHTTPRequest
	isValidCrawler
)

var compiledRules = map[string]compiledTest{
	"check_id_size":                         checkIDSize,
	"comp_srcuser_dstuser":                  compSrcUserDstUser,
	"comp_mswin_targetuser_calleruser_diff": compMSWinUsers,
	"is_simple_http_request":                isSimpleHTTPRequest,
	"is_valid_crawler":                      isValidCrawler,
}

func (c compiledTest) String() string {
	for name, t := range compiledRules {
		if t == c {
			return name
		}
	}
	return ""
}

func (c compiledTest) holds(ev *event.Event) bool {
	switch c {
	case checkIDSize:
		return len(ev.Fields.Value(event.ID)) >= 10
	case compSrcUserDstUser:
		src, okSrc := ev.Fields.Get(event.SrcUser)
		dst, okDst := ev.Fields.Get(event.DstUser)
		return !okSrc || !okDst || src == dst
	case compMSWinUsers:
		return windowsUsersDiffer(ev.Log)
	case isSimpleHTTPRequest:
		url, ok := ev.Fields.Get(event.URL)
		if action, has := ev.Fields.Get(event.Action); has && !strings.EqualFold(action, "GET") {
			return false
		}
		return ok && (url == "/" || !strings.Contains(url, "?"))
	case isValidCrawler:
		return crawlerPrefix(ev.Log)
	}
	return true
}

// crawlers are the address blocks of search engines. The reverse look-up that OSSEC does for other addresses is left out: a name server
// must not be able to stall or steer the analysis.
var crawlers = []string{"72.14.", "209.85.", "65.55.", "207.46.", "74.6.", "72.30.", "67.195."}

func crawlerPrefix(log string) bool {
	for _, p := range crawlers {
		if strings.HasPrefix(log, p) {
			return true
		}
	}
	return false
}

// windowsUsersDiffer compares the two account names of a log: the texts after the next colon of each label, up to a tab or two blanks.
func windowsUsersDiffer(log string) bool {
	target, ok := accountAfter(log, "Target Account Name")
	if !ok {
		return false
	}
	caller, ok := accountAfter(log, "Caller User Name")
	if !ok {
		return false
	}
	for i := 0; i < len(target); i++ {
		if target[i] == '\t' || (target[i] == ' ' && i+1 < len(target) && target[i+1] == ' ') {
			return false
		}
		if i >= len(caller) || target[i] != caller[i] {
			return true
		}
	}
	return len(caller) > len(target)
}

func accountAfter(log, label string) (string, bool) {
	_, rest, ok := strings.Cut(log, label)
	if !ok {
		return "", false
	}
	_, rest, ok = strings.Cut(rest, ":")
	return rest, ok
}

// ftsSet selects values of an event for the ignore store.
type ftsSet uint8

const (
	setName ftsSet = 1 << iota
	setID
	setDstUser
	setSrcIP
	setDstIP
	setData
	setLocation
)

// parseFTSSet finds the names of values in the text of <ignore> or <check_if_ignored>.
func parseFTSSet(text string) (s ftsSet, ok bool) {
	for _, n := range []struct {
		name string
		bit  ftsSet
	}{{"user", setDstUser}, {"srcip", setSrcIP}, {"dstip", setDstIP}, {"id", setID}, {"location", setLocation}, {"data", setData}, {"name", setName}} {
		if strings.Contains(text, n.name) {
			s |= n.bit
		}
	}
	return s, s != 0
}

// line is the text that the ignore store keeps: eight values joined with blanks, the ones not selected or missing empty.
func (s ftsSet) line(ev *event.Event) string {
	var b strings.Builder
	value := func(bit ftsSet, v string) {
		if s&bit != 0 {
			b.WriteString(v)
		}
		b.WriteByte(' ')
	}
	value(setName, ev.Decoder)
	value(setID, ev.Fields.Value(event.ID))
	value(setDstUser, ev.Fields.Value(event.DstUser))
	value(setSrcIP, ev.Fields.Value(event.SrcIP))
	value(setDstIP, ev.Fields.Value(event.DstIP))
	value(setData, ev.Fields.Value(event.Data))
	b.WriteByte(' ') // the system name can be selected by no text
	if s&setLocation != 0 {
		b.WriteString(ev.Location)
	}
	return b.String()
}

// listField is the event value that a list is asked for.
type listField uint8

const (
	listSrcIP listField = iota
	listSrcPort
	listDstIP
	listDstPort
	listUser
	listURL
	listID
	listHostname
	listProgram
	listStatus
	listAction
)

var listFields = map[string]listField{"srcip": listSrcIP, "srcport": listSrcPort, "dstip": listDstIP, "dstport": listDstPort,
	"user": listUser, "url": listURL, "id": listID, "hostname": listHostname, "program_name": listProgram, "status": listStatus,
	"action": listAction}

// lookup is what a list is asked.
type lookup uint8

const (
	matchKey lookup = iota
	notMatchKey
	matchKeyValue
	addressMatchKey
	notAddressMatchKey
	addressMatchKeyValue
)

var lookups = map[string]lookup{"match_key": matchKey, "not_match_key": notMatchKey, "match_key_value": matchKeyValue,
	"address_match_key": addressMatchKey, "not_address_match_key": notAddressMatchKey, "address_match_key_value": addressMatchKeyValue}

func (f listField) value(ev *event.Event) (string, bool) {
	switch f {
	case listSrcIP:
		return ev.Fields.Get(event.SrcIP)
	case listSrcPort:
		return ev.Fields.Get(event.SrcPort)
	case listDstIP:
		return ev.Fields.Get(event.DstIP)
	case listDstPort:
		return ev.Fields.Get(event.DstPort)
	case listUser:
		if v, ok := ev.Fields.Get(event.SrcUser); ok {
			return v, true
		}
		return ev.Fields.Get(event.DstUser)
	case listURL:
		return ev.Fields.Get(event.URL)
	case listID:
		return ev.Fields.Get(event.ID)
	case listHostname:
		return ev.Hostname, true
	case listProgram:
		return ev.ProgramName, ev.HasProgram
	case listStatus:
		return ev.Fields.Get(event.Status)
	case listAction:
		return ev.Fields.Get(event.Action)
	}
	return "", false
}

// holds asks the list. In exact mode the value look-up of addresses is inverted and a missing file is an empty one for some look-ups.
func (t *listTest) holds(ev *event.Event, exact bool) bool {
	v, ok := t.field.value(ev)
	if !ok || t.handle == nil {
		return false
	}
	db := t.handle.db.Load()
	if db == nil {
		return exact && (t.lookup == notMatchKey || t.lookup == addressMatchKey || t.lookup == addressMatchKeyValue)
	}
	var value string
	var found bool
	switch t.lookup {
	case matchKey, notMatchKey, matchKeyValue:
		value, found = db.Get(v)
	default:
		value, found = db.GetAddress(v)
	}
	switch t.lookup {
	case matchKey, addressMatchKey:
		return found
	case notMatchKey, notAddressMatchKey:
		return !found
	case matchKeyValue:
		return found && t.value.MatchString(value)
	case addressMatchKeyValue:
		return (found && t.value.MatchString(value)) != exact
	}
	return false
}
