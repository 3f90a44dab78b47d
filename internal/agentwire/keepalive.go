package agentwire

import (
	"bytes"
	"strings"
)

// FileSum is one line of a keepalive: a shared file the agent holds.
type FileSum struct{ MD5, Name string }

// Keepalive is a parsed keepalive (spec protocol.md, section 12).
type Keepalive struct {
	System  string    // first line: uname, and " / <md5 of agent.conf>" when the agent has one
	Files   []FileSum // in order, up to and including merged.mg
	Merged  bool      // a line named merged.mg; its sum is the last of Files
	Problem string    // "" or what ended the list early: "strchr ' '", `strchr \n`
	Vedette bool      // the agent understands acknowledgements
	Running string    // MD5 of the agent.conf that a Vedette agent runs with; "" = none, or not said
	Profile string    // its <config-profile>
}

const featureLine = "vedette/1 "

// ParseKeepalive reads the text of a control message after its header. It reports false for a text without line feed, which is no
// keepalive. At most MaxControlBody bytes of the text are looked at.
func ParseKeepalive(text []byte) (Keepalive, bool) {
	if len(text) > MaxControlBody {
		text = text[:MaxControlBody]
	}
	first, rest, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return Keepalive{}, false
	}
	k := Keepalive{System: string(first)}
	for len(rest) > 0 {
		var line []byte
		line, rest, ok = bytes.Cut(rest, []byte{'\n'})
		if !ok {
			k.Problem = `strchr \n`
			break
		}
		sum, name, ok := strings.Cut(string(line), " ")
		if !ok {
			k.Problem = "strchr ' '"
			break
		}
		k.Files = append(k.Files, FileSum{MD5: sum, Name: name})
		if name == MergedName {
			k.Merged = true
			if features, ok := bytes.CutPrefix(rest, []byte("\n"+featureLine)); ok {
				k.Vedette = true
				k.features(features)
			}
			break
		}
	}
	return k, true
}

const (
	runningField = "agent_conf="
	profileField = "profile="
	maxProfile   = 128
)

// features reads what follows featureLine: fields with a blank behind each; the profile, which may hold blanks, is the last.
func (k *Keepalive) features(text []byte) {
	line, _, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return
	}
	s := string(line)
	if rest, ok := strings.CutPrefix(s, runningField); ok {
		if k.Running, s, ok = strings.Cut(rest, " "); !ok || len(k.Running) != 32 {
			k.Running = ""
			return
		}
	}
	if profile, ok := strings.CutPrefix(s, profileField); ok && len(profile) <= maxProfile {
		k.Profile = profile
	}
}

// KeepaliveParts is what an agent tells of itself.
type KeepaliveParts struct {
	System       string // uname text, cut to MaxSystem bytes
	AgentConfMD5 string // "" = the agent has no agent.conf
	MergedMD5    string // "" = the agent has no merged.mg
	Vedette      bool
	Running      string // of Vedette: MD5 of the agent.conf in use, "" = none
	Profile      string // of Vedette: <config-profile>, cut to 128 bytes
	Random       string // anything; makes keepalives differ in size and content
}

// BuildKeepalive makes the payload, header included, cut to MaxKeepalive bytes.
func BuildKeepalive(p KeepaliveParts) string {
	var b strings.Builder
	b.Grow(MaxKeepalive)
	b.WriteString(Header)
	b.WriteString(oneLine(p.System, MaxSystem))
	if p.AgentConfMD5 != "" {
		b.WriteString(" / " + p.AgentConfMD5)
	}
	b.WriteByte('\n')
	if p.MergedMD5 == "" {
		b.WriteByte('x')
	} else {
		b.WriteString(p.MergedMD5)
	}
	b.WriteString(" " + MergedName + "\n\n")
	if p.Vedette {
		b.WriteString(featureLine)
		if p.Running != "" {
			b.WriteString(runningField + p.Running + " ")
		}
		if p.Profile != "" {
			b.WriteString(profileField + oneLine(p.Profile, maxProfile))
		}
		b.WriteByte('\n')
	}
	b.WriteString(p.Random)
	s := b.String()
	if len(s) > MaxKeepalive {
		s = s[:MaxKeepalive]
	}
	return s
}

// oneLine cuts s to n bytes and keeps it from breaking the line structure.
func oneLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return ' '
		}
		return r
	}, s)
	if len(s) > n {
		s = s[:n]
	}
	return s
}
