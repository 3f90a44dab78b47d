package agentcontrol

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/keys"
)

// activeFor is how long after its last keepalive an agent counts as connected: three intervals and a bit.
const activeFor = (3*600 + 30) * time.Second

const (
	statusActive       = "Active"
	statusDisconnected = "Disconnected"
	statusNever        = "Never connected"
	unknown            = "Unknown"
)

// timeForm is the C library's ctime.
const timeForm = "Mon Jan _2 15:04:05 2006"

// fleet looks at the files of an install root.
type fleet struct {
	root string
	now  time.Time
	loc  *time.Location
}

func (f fleet) path(elem ...string) string {
	return filepath.Join(append([]string{f.root}, elem...)...)
}

// keys gives the live agents; without a key file there are none.
func (f fleet) keys() (*keys.Set, error) {
	s, err := keys.Open(f.path("etc", "client.keys"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return s.Set(), nil
}

// fileName guards against names that would lead out of the queue directories.
func fileName(s string) (string, bool) {
	return s, s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00")
}

// status tells by the age of the agent-info file whether an agent is connected, and when it was heard last.
func (f fleet) status(k *keys.Key) (string, time.Time) {
	name, ok := fileName(k.Name + "-" + k.IP)
	if !ok {
		return statusNever, time.Time{}
	}
	st, err := os.Stat(f.path("queue", "agent-info", name))
	switch {
	case err != nil:
		return statusNever, time.Time{}
	case f.now.Sub(st.ModTime()) < activeFor:
		return statusActive, st.ModTime()
	}
	return statusDisconnected, st.ModTime()
}

// info is what an agent says about itself, and when its scans ran.
type info struct {
	os, version, encryption, lastAlive             string
	syscheckStart, syscheckEnd, rootStart, rootEnd string

	vedette          bool // says the following
	running, profile string
}

// about collects what is known about an agent.
func (f fleet) about(k *keys.Key, heard time.Time) info {
	i := info{os: unknown, version: unknown, encryption: "unknown", lastAlive: unknown}
	if !heard.IsZero() {
		i.lastAlive = heard.In(f.loc).Format(timeForm)
	}
	if name, ok := fileName(k.Name + "-" + k.IP); ok {
		i.readAgentInfo(f.path("queue", "agent-info", name))
	}
	label, ok := fileName(k.Label())
	if !ok {
		label = ""
	}
	f.readScans(&i, label+"->rootcheck")
	return i
}

// readAgentInfo takes the system and version from the first line, the cipher from the second, and what only Vedette's agents tell from the next two.
func (i *info) readAgentInfo(path string) {
	lines := firstLines(path, 4)
	if len(lines) == 0 {
		return
	}
	if system, version, ok := strings.Cut(lines[0], " - "); ok {
		i.os, i.version = printable(system), printable(version)
	}
	if len(lines) > 1 {
		if method, ok := strings.CutPrefix(lines[1], "crypto_method:"); ok && method != "" {
			i.encryption = printable(method)
		}
	}
	if len(lines) == 4 {
		running, ok1 := strings.CutPrefix(lines[2], "agent_conf:")
		profile, ok2 := strings.CutPrefix(lines[3], "profile:")
		if i.vedette = ok1 && ok2; i.vedette {
			i.running, i.profile = printable(running), printable(profile)
		}
	}
}

// firstLines reads up to n lines of at most 64 KiB each.
func firstLines(path string, n int) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var out []string
	sc := bufio.NewScanner(file)
	for len(out) < n && sc.Scan() {
		out = append(out, sc.Text())
	}
	return out
}

// printable keeps what an agent sent from controlling the operator's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

// readScans finds the times of the last scans in a findings file: lines "!<time>!<first time> Starting syscheck scan."
func (f fleet) readScans(i *info, file string) {
	i.syscheckStart, i.syscheckEnd, i.rootStart, i.rootEnd = unknown, unknown, unknown, unknown
	in, err := os.Open(f.path("queue", "rootcheck", file))
	if err != nil {
		return
	}
	defer in.Close()
	sc := bufio.NewScanner(in)
	for sc.Scan() {
		rest, ok := strings.CutPrefix(sc.Text(), "!")
		if !ok {
			continue
		}
		last, rest, ok := strings.Cut(rest, "!")
		seconds, err := strconv.ParseInt(last, 10, 64)
		if !ok || err != nil {
			continue
		}
		at := time.Unix(seconds, 0).In(f.loc).Format(timeForm)
		_, text, _ := strings.Cut(rest, " ")
		for prefix, to := range map[string]*string{
			"Starting syscheck scan": &i.syscheckStart, "Ending syscheck scan": &i.syscheckEnd,
			"Starting rootcheck scan": &i.rootStart, "Ending rootcheck scan": &i.rootEnd,
		} {
			if strings.HasPrefix(text, prefix) {
				*to = at
			}
		}
	}
}

// agentless is a device that is watched from outside.
type agentless struct{ name, ip string }

func (f fleet) agentless() []agentless {
	entries, err := os.ReadDir(f.path("queue", "agentless"))
	if err != nil {
		return nil
	}
	var out []agentless
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		_, ip, ok := strings.Cut(e.Name(), "@")
		if !ok {
			ip = "<na>"
		}
		out = append(out, agentless{printable(e.Name()), printable(ip)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}
