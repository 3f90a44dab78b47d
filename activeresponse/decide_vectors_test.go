package activeresponse

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/olog"
)

// sent runs one event through a decider and gives the datagrams of both queues with time and number masked, and the warnings.
type sender struct {
	d   *Decider
	log []string
	seq uint64
}

func newSender(t *testing.T, global, blocks string) *sender {
	t.Helper()
	cfg, problems := config.Parse(t.TempDir(), "etc/ossec.conf",
		[]byte("<ossec_config><global><logall>no</logall>"+global+"</global>"+blocks+"</ossec_config>"))
	if err := problems.For(config.Analysisd).Err(); err != nil {
		t.Fatal(err)
	}
	s := &sender{}
	logger := olog.New("", nil)
	logger.Tap(func(line string) { s.log = append(s.log, line[len("2006/01/02 15:04:05 "):]) })
	s.d = NewDecider(cfg, DeciderOptions{Log: logger.Prog("ossec-analysisd")})
	return s
}

func (s *sender) send(ev *event.Event, r *event.Rule) (execq, ar []string) {
	s.seq++
	a := &event.Alert{Epoch: 1700000000, Seq: s.seq, Rule: r, Event: ev}
	for _, d := range s.d.Decide(a) {
		if d.Local {
			execq = append(execq, strings.ReplaceAll(d.ExecqText(), a.AlertID(), "<time>.<id>"))
		} else {
			ar = append(ar, strings.ReplaceAll(d.ARQueueText(), a.AlertID(), "<time>.<id>"))
		}
	}
	return execq, ar
}

func (s *sender) takeLog() []string {
	out := s.log
	s.log = nil
	return out
}

type managerCase struct {
	Name, Config, Global string
	Conform              string
	Events               []string
	Oracle               struct {
		Exit   *int
		ARConf string `json:"ar_conf"`
		Events []struct {
			Execq, AR, Log []string
		}
	}
}

// managerDeviations gives what is sent instead of the recorded messages, by number of the event, with the reason.
var managerDeviations = map[string]map[int]deviation{
	"all_srcip_only_remote": { // spec 6.4 Improve: independent queues
		0: {ar: []string{"(local_source) /var/log/x.log ANN (null) c60 - 10.1.2.3 <time>.<id> 100100 /var/log/x.log (null)"}},
		1: {ar: []string{"(agent1) 10.0.0.5->/var/log/secure ANN (null) c60 - 10.1.2.3 <time>.<id> 100100 (agent1) 10.0.0.5->/var/log/secure (null)"}},
	},
	"defined_agent_only_remote": { // the same
		0: {ar: []string{"(local_source) /var/log/x.log NNS 007 c60 - 10.1.2.3 <time>.<id> 100100 /var/log/x.log (null)"}},
		1: {ar: []string{"(agent1) 10.0.0.5->/var/log/secure NNS 007 c60 - 10.1.2.3 <time>.<id> 100100 (agent1) 10.0.0.5->/var/log/secure (null)"}},
	},
	"disabled_block_last": { // spec 3 Improve: only the disabled block is skipped
		0: {execq: []string{"c60 - 10.1.2.3 <time>.<id> 100100 /var/log/x.log -"}},
		1: {ar: []string{"(agent1) 10.0.0.5->/var/log/secure NRN (null) c60 - 10.1.2.3 <time>.<id> 100100 (agent1) 10.0.0.5->/var/log/secure (null)"}},
	},
	"ip_forms": { // spec 18.1: addresses, or texts that can be host names
		6: {log: []string{"ossec-analysisd(1271): WARN: Invalid IP Address '-1'. Possible logging attack."}},
		8: {log: []string{"ossec-analysisd(1271): WARN: Invalid IP Address '999.1.1.1'. Possible logging attack."}},
	},
	"user_forms": { // spec 18.2: a user name never begins with a dash
		5:  {log: []string{"ossec-analysisd(1272): WARN: Invalid username '-l'. Possible logging attack."}},
		8:  {log: []string{"ossec-analysisd(1272): WARN: Invalid username 'josé'. Possible logging attack."}}, // the record shows the bytes as Latin-1
		11: {log: []string{"ossec-analysisd(1272): WARN: Invalid username '--help'. Possible logging attack."}},
	},
	"allow_list": { // spec 5 Improve: names are compared whole, or up to a dot
		4: {execq: []string{"c60 - good.ex <time>.<id> 100100 /var/log/x.log -"}},
	},
}

type deviation struct{ execq, ar, log []string }

var appFields = regexp.MustCompile(`tapp: (?:user=(\S+) )?src=(\S+)`)

// decodeApp does what the decoder of the vectors does.
func decodeApp(text string) (*event.Event, *event.Rule) {
	ev, err := event.ParseQueue(text, time.Unix(1700000000, 0))
	if err != nil {
		panic(err)
	}
	if m := appFields.FindStringSubmatch(ev.Raw); m != nil {
		ev.Fields.Set(event.SrcIP, m[2])
		if m[1] != "" {
			ev.Fields.Set(event.DstUser, m[1])
		}
	}
	r := &event.Rule{ID: 100100, Level: 7, Groups: "tt,", Log: true}
	if strings.HasSuffix(ev.Raw, " low") {
		r = &event.Rule{ID: 100101, Level: 3, Groups: "tt,", Log: true}
	}
	if ev.Kind == event.KindSyscheck {
		_, path, _ := strings.Cut(ev.Raw, " ")
		ev.File = &event.FileChange{Path: path}
		r = &event.Rule{ID: 100200, Level: 7, Groups: "tt,", Log: true}
	}
	return ev, r
}

func TestManagerMessageVectors(t *testing.T) {
	n := 0
	for _, c := range vectors[managerCase](t, "active-response/manager-messages.jsonl") {
		if c.Oracle.Exit != nil || c.Name == "noalert_rule" { // configuration errors; a rule that is never the final one
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			s := newSender(t, c.Global, c.Config)
			for i, text := range c.Events {
				want := deviation{c.Oracle.Events[i].Execq, c.Oracle.Events[i].AR, c.Oracle.Events[i].Log}
				ev, rule := decodeApp(text)
				if ev.Kind == event.KindSyscheck && len(want.execq)+len(want.ar) == 0 {
					continue // the first report of a file is no alert
				}
				if dev, ok := managerDeviations[c.Name][i]; ok {
					want = dev
				}
				execq, ar := s.send(ev, rule)
				compare(t, text, "execq", execq, want.execq)
				compare(t, text, "ar", ar, want.ar)
				compare(t, text, "log", s.takeLog(), want.log)
			}
		})
	}
	if n != 29 {
		t.Errorf("only %d cases were compared", n)
	}
}

func compare(t *testing.T, text, what string, got, want []string) {
	t.Helper()
	if len(got)+len(want) > 0 && !slices.Equal(got, want) {
		t.Errorf("%.80q: %s\n got %q\nwant %q", text, what, got, want)
	}
}

type daemonCase struct {
	Name        string
	GlobalXML   string            `json:"global_xml"`
	ResponseXML string            `json:"response_xml"`
	RulesFiles  map[string]string `json:"rules_files"`
	Messages    []struct {
		Msg string
		AR  [][2]string
	}
	LogMessages []string `json:"log_messages"`
}

// daemonDeviations: what is sent instead, by number of the message.
var daemonDeviations = map[string]map[int]deviation{
	"ar-only-remote": { // spec 6.4 Improve: independent queues
		0: {ar: []string{"(web) 192.168.1.5->/var/log/x ANN (null) c-none0 - - <time>.<id> 100 (web) 192.168.1.5->/var/log/x (null)"}}},
	"ar-disabled-last": { // spec 3 Improve: only the disabled block is skipped
		0: {ar: []string{"(web) 192.168.1.5->/var/log/x NRN (null) c-none0 - - <time>.<id> 100 (web) 192.168.1.5->/var/log/x (null)"}}},
}

var (
	ruleXML  = regexp.MustCompile(`(?s)<rule id="(\d+)" level="(\d+)".*?</rule>`)
	matchXML = regexp.MustCompile(`<match>(.*?)</match>`)
	groupXML = regexp.MustCompile(`<group>(.*?)</group>`)
	kvField  = regexp.MustCompile(`(src|duser|suser)=(\S+)`)
)

// pickRule finds the rule of a case whose text occurs in the log; the last definition of an id wins.
func pickRule(xml, log string) *event.Rule {
	var found *event.Rule
	for _, m := range ruleXML.FindAllStringSubmatch(xml, -1) {
		match := matchXML.FindStringSubmatch(m[0])
		if match == nil || !strings.Contains(log, match[1]) {
			continue
		}
		found = &event.Rule{Groups: "base,", NoAR: strings.Contains(m[0], "no_ar"), Log: !strings.Contains(m[0], "no_log")}
		found.ID, _ = strconv.Atoi(m[1])
		found.Level, _ = strconv.Atoi(m[2])
		if g := groupXML.FindStringSubmatch(m[0]); g != nil {
			found.Groups += g[1]
		}
	}
	return found
}

func TestDaemonResponseVectors(t *testing.T) {
	n := 0
	for _, c := range vectors[daemonCase](t, "rules/daemon.jsonl") {
		if c.ResponseXML == "" || c.Name == "ar-ignored-window" { // events in an ignore window never get here
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			s := newSender(t, c.GlobalXML, c.ResponseXML)
			var log []string
			for i, m := range c.Messages {
				ev, err := event.ParseQueue(m.Msg, time.Unix(1700000000, 0))
				if err != nil {
					t.Fatal(err)
				}
				for _, kv := range kvField.FindAllStringSubmatch(ev.Raw, -1) {
					ev.Fields.Set(map[string]event.Field{"src": event.SrcIP, "duser": event.DstUser, "suser": event.SrcUser}[kv[1]], kv[2])
				}
				var want deviation
				for _, w := range m.AR {
					if w[0] == "execq" {
						want.execq = append(want.execq, w[1])
					} else {
						want.ar = append(want.ar, w[1])
					}
				}
				if dev, ok := daemonDeviations[c.Name][i]; ok {
					want = dev
				}
				execq, ar := s.send(ev, pickRule(c.RulesFiles["vt.xml"], ev.Raw))
				compare(t, m.Msg, "execq", execq, want.execq)
				compare(t, m.Msg, "ar", ar, want.ar)
				log = append(log, s.takeLog()...)
			}
			compare(t, c.Name, "log", log, c.LogMessages)
		})
	}
	if n != 16 {
		t.Errorf("only %d cases were compared", n)
	}
}

type arQueueCase struct {
	Name    string
	Message string   `json:"ar_queue_message"`
	Receive []string `json:"agent_receives"`
	Log     []string `json:"manager_log"`
}

// TestARQueueVectors reads the datagrams of queue/alerts/ar and checks what would be sent to the agents that exist in the vectors.
func TestARQueueVectors(t *testing.T) {
	for _, c := range vectors[arQueueCase](t, "active-response/ar_queue.jsonl") {
		t.Run(c.Name, func(t *testing.T) {
			o, err := ParseAR(c.Message)
			if strings.HasPrefix(c.Name, "ar-malformed") {
				if err == nil {
					t.Errorf("accepted as %+v", o)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Receive) > 0 && "#!-"+o.Payload() != c.Receive[0] {
				t.Errorf("payload %q, want %q", o.Payload(), c.Receive[0])
			}
			if target := map[string]bool{"ar-specific": o.Defined && o.AgentID == "003", "ar-remote-by-name": o.Origin && o.AgentName == "gamma",
				"ar-all": o.All && o.Control && o.AgentID == "", "ar-none": !o.All && !o.Origin && !o.Defined,
				"ar-unknown-id": o.Defined && o.AgentID == "999", "ar-unknown-name": o.Origin && o.AgentName == "nobody",
				"ar-never-seen-agent": o.Defined && o.AgentID == "004", "ar-name-twice": o.Origin && o.AgentName == "alpha"}; !target[c.Name] {
				t.Errorf("destination %+v", o)
			}
		})
	}
}
