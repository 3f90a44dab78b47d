package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
)

// Files of the internal options, below the install root. The local one is searched first.
const (
	LocalOptionsFile = "etc/local_internal_options.conf"
	OptionsFile      = "etc/internal_options.conf"
)

// OptionSpec describes one internal option.
type OptionSpec struct {
	Key               string // "syscheck.sleep"
	Default, Min, Max int
	Meaning           string
}

const (
	queueDefault = 16384
	queueMin     = 128
	queueMax     = 2000000
)

// optionTable holds all keys (spec configuration.md, section 5.2).
var optionTable = []OptionSpec{
	{"analysisd.default_timeframe", 360, 60, 604800, "seconds looked back by rules with a frequency but no timeframe"},
	{"analysisd.stats_maxdiff", 999000, 10, 999999, "upper bound of the difference in hourly counts"},
	{"analysisd.stats_mindiff", 1250, 10, 999999, "lower bound of the difference in hourly counts"},
	{"analysisd.stats_percent_diff", 150, 5, 9999, "percent above the average that alerts"},
	{"analysisd.fts_list_size", 32, 12, 512, "first-time-seen texts kept for the similarity check"},
	{"analysisd.fts_min_size_for_str", 14, 6, 128, "shortest text for the similarity check"},
	{"analysisd.log_fw", 1, 0, 1, "write logs/firewall/firewall.log"},
	{"analysisd.decoder_order_size", 256, 8, 1024, "fields of a decoder"},
	{"analysisd.sid_prev_matched_max", 128, 16, 65536, "events kept per if_matched_sid list"},
	{"analysisd.event_threads", 0, 0, 32, "decoding workers, 0 = one per core"},
	{"analysisd.rule_matching_threads", 0, 0, 32, "matching workers, 0 = one per core"},
	{"analysisd.syscheck_threads", 0, 0, 32, "integrity workers, 0 = one per core"},
	{"analysisd.rootcheck_threads", 0, 0, 32, "rootcheck workers, 0 = one per core"},
	{"analysisd.hostinfo_threads", 0, 0, 32, "host information workers, 0 = one per core"},
	{"analysisd.input_demux_threads", 2, 1, 8, "readers of the input queue"},
	{"analysisd.decode_event_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.raw_input_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.decode_syscheck_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.decode_rootcheck_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.decode_hostinfo_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.decode_output_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.alerts_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.statistical_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.archives_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.firewall_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.fts_queue_size", queueDefault, queueMin, queueMax, "queue length"},
	{"analysisd.raw_input_push_wait_ms", 25, 0, 5000, "milliseconds waited on a full queue"},
	{"analysisd.demux_push_wait_ms", 50, 0, 5000, "milliseconds waited on a full queue"},
	{"analysisd.shard_push_wait_ms", 75, 0, 5000, "milliseconds waited on a full queue"},
	{"analysisd.alerts_push_wait_ms", 100, 0, 5000, "milliseconds waited on a full queue"},
	{"analysisd.state_interval", 5, 0, 86400, "seconds between writes of var/run/ossec-analysisd.state, 0 = off"},
	{"analysisd.geoip_jsonout", 0, 0, 1, "no effect"},
	{"analysisd.debug", 0, 0, 2, "no effect"},
	{"remoted.debug", 0, 0, 2, "debug level of what receives from agents, 2 = each message"},
	{"syscheck.debug", 0, 0, 2, "debug level of syscheck and rootcheck"},
	{"logcollector.debug", 0, 0, 2, "debug level of the log collector"},
	{"agent.debug", 0, 0, 2, "debug level of an agent's connection to its manager, 2 = each message"},
	{"authd.debug", 0, 0, 2, "debug level of enrolment, 2 = each message"},
	{"windows.debug", 0, 0, 2, "no effect"},
	{"logcollector.loop_timeout", 2, 1, 120, "seconds between two looks at the files"},
	{"logcollector.open_attempts", 8, 2, 998, "tries before a file is given up"},
	{"logcollector.remote_commands", 0, 0, 1, "run commands that agent.conf names"},
	{"ossec.thread_stack_size", 2048, 2048, 65536, "no effect"},
	{"remoted.recv_counter_flush", 128, 10, 999999, "no effect: counters are written every two seconds"},
	{"remoted.comp_average_printout", 19999, 10, 999999, "no effect"},
	{"remoted.verify_msg_id", 1, 0, 1, "check message counters"},
	{"remoted.pass_empty_keyfile", 0, 0, 1, "no effect: an empty client.keys is never an obstacle"},
	{"remoted.syslog_tcp_worker_pool", 16, 1, 64, "no effect: up to 1024 clients are served"},
	{"remoted.syslog_tcp_max_tasks", 64, 1, 1024, "no effect: up to 1024 clients are served"},
	{"remoted.syslog_tcp_read_timeout", 30, 1, 3600, "no effect: a client may be silent for an hour"},
	{"maild.strict_checking", 1, 0, 1, "check SMTP replies strictly"},
	{"maild.groupping", 1, 0, 1, "several alerts in one mail"},
	{"maild.full_subject", 0, 0, 1, "long subject"},
	{"maild.geoip", 1, 0, 1, "no effect"},
	{"maild.max_workers", 6, 1, 32, "mails sent at a time"},
	{"authd.worker_pool", 8, 1, 128, "enrolments handled at a time"},
	{"authd.max_connections", 64, 1, 512, "open enrolment connections"},
	{"monitord.day_wait", 10, 5, 240, "seconds after midnight before files are rotated"},
	{"monitord.compress", 1, 0, 1, "compress rotated files"},
	{"monitord.sign", 1, 0, 1, "write checksums of rotated files"},
	{"monitord.monitor_agents", 1, 0, 1, "watch for agents that disconnect"},
	{"monitord.notify_time", 600, 60, 3600, "expected seconds between keepalives"},
	{"monitord.max_report_workers", 4, 1, 16, "reports made at a time"},
	{"syscheck.sleep", 2, 0, 64, "seconds of pause"},
	{"syscheck.sleep_after", 15, 1, 9999, "files between pauses"},
	{"rootcheck.sleep", 2, 0, 64, "seconds of pause"},
	{"dbd.reconnect_attempts", 10, 1, 9999, "tries"},
}

var optionIndex = func() map[string]*OptionSpec {
	m := make(map[string]*OptionSpec, len(optionTable))
	for i := range optionTable {
		m[optionTable[i].Key] = &optionTable[i]
	}
	return m
}()

// optionDaemons are the programs that read the keys of a group.
var optionDaemons = map[string]Daemon{"analysisd": Analysisd, "remoted": Remoted, "syscheck": Syscheckd, "rootcheck": Syscheckd,
	"logcollector": Logcollector, "agent": Agentd, "authd": Authd, "maild": Maild, "monitord": Monitord, "dbd": Dbd}

// debugPrograms are the programs, as named in ossec.log, that each option of debug levels is for.
var debugPrograms = map[string][]string{
	"remoted.debug":      {"ossec-remoted"},
	"syscheck.debug":     {"ossec-syscheckd", "rootcheck"},
	"logcollector.debug": {"ossec-logcollector"},
	"agent.debug":        {"ossec-agentd"},
	"authd.debug":        {"ossec-authd"},
}

// DebugLevels gives the debug levels of the programs that have one, by their names in ossec.log. They count where the command line has no -d.
func (o *Options) DebugLevels() map[string]int {
	levels := map[string]int{}
	for key, programs := range debugPrograms {
		for _, p := range programs {
			levels[p] = o.Int(key)
		}
	}
	return levels
}

// OptionSpecs lists every internal option, by key.
func OptionSpecs() []OptionSpec {
	out := append([]OptionSpec(nil), optionTable...)
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

// Options are the internal options. The zero value and nil hold the defaults.
type Options struct{ set map[string]int }

// Int returns the value of a key. It panics on a key that does not exist: that is a fault of the program, not of its configuration.
func (o *Options) Int(key string) int {
	spec := optionIndex[key]
	if spec == nil {
		panic("config: no internal option " + key)
	}
	if o != nil {
		if v, ok := o.set[key]; ok {
			return v
		}
	}
	return spec.Default
}

// Bool reports whether a key of range 0–1 is set.
func (o *Options) Bool(key string) bool { return o.Int(key) != 0 }

// Set gives a key a value; it refuses unknown keys and values out of range.
func (o *Options) Set(key string, value int) error {
	spec := optionIndex[key]
	if spec == nil {
		return fmt.Errorf("no internal option %s", key)
	}
	if value < spec.Min || value > spec.Max {
		return fmt.Errorf("internal option %s is %d, from %d to %d expected", key, value, spec.Min, spec.Max)
	}
	if o.set == nil {
		o.set = map[string]int{}
	}
	o.set[key] = value
	return nil
}

// LoadOptions reads etc/local_internal_options.conf and etc/internal_options.conf (spec configuration.md, section 5). The Options are never
// nil. Missing files and keys give the defaults; OSSEC refuses to start then.
func LoadOptions(root string) (*Options, Problems) {
	o := &Options{}
	var ps Problems
	for _, name := range []string{LocalOptionsFile, OptionsFile} {
		path := filepath.Join(root, name)
		data, err := readFile(path, 1<<20)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			ps = append(ps, Problem{Pos: Position{File: name}, Text: "ERROR: " + err.Error()})
		default:
			ps = append(ps, o.read(name, path, data)...)
		}
	}
	return o, ps
}

// ParseOptions reads one file of internal options; name is what messages call it.
func ParseOptions(name string, data []byte) (*Options, Problems) {
	o := &Options{}
	return o, o.read(name, name, data)
}

// maxOptionLine is the longest line, in bytes.
const maxOptionLine = 1023

// read adds the keys of one file. The first line of a key wins, over both files; a value that is refused counts as the first, too.
func (o *Options) read(shown, path string, data []byte) Problems {
	if o.set == nil {
		o.set = map[string]int{}
	}
	var ps Problems
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(make([]byte, 0, 4096), len(data)+1)
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		if line == "" || line[0] == '#' || line[0] == ' ' {
			continue
		}
		pos := Position{File: shown, Line: n}
		group, _, dot := strings.Cut(line, ".")
		key, value, equals := strings.Cut(line, "=")
		if !dot || !equals || len(line) > maxOptionLine {
			ps = append(ps, Problem{Pos: pos, Code: 1119, Text: "ERROR: Invalid line on file '" + path + "': " + line + ".",
				Hint: "Expected group.key=value.", Warning: true, Daemons: optionDaemons[group]})
			continue
		}
		spec := optionIndex[key]
		if spec == nil {
			if optionIndex[strings.ToLower(strings.TrimSpace(key))] != nil {
				ps = append(ps, Problem{Pos: pos, Warning: true, Daemons: optionDaemons[strings.ToLower(strings.TrimSpace(group))],
					Text: "WARN: Unknown internal option '" + key + "' is ignored.", Hint: "Keys are lower case, without blanks."})
			}
			continue
		}
		if _, dup := o.set[key]; dup {
			continue
		}
		v, ok := optionValue(spec, value)
		if !ok {
			ps = append(ps, Problem{Pos: pos, Code: 2302, Text: "ERROR: Invalid definition for " + key + ": '" + value + "'.",
				Hint: fmt.Sprintf("Expected a number from %d to %d.", spec.Min, spec.Max), Daemons: optionDaemons[group]})
			v = spec.Default
		}
		o.set[key] = v
	}
	return ps
}

// optionValue reads a value: digits only, within the limits; empty counts as 0.
func optionValue(spec *OptionSpec, s string) (int, bool) {
	if !digits(s) || len(s) > 12 {
		return 0, false
	}
	v := 0
	for i := range len(s) {
		v = v*10 + int(s[i]-'0')
	}
	return v, v >= spec.Min && v <= spec.Max
}
