package forward

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"os"
	"path/filepath"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/internal/agentwire"
	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// writeAgentInfo writes queue/ossec/.agent_info: name, "-", id, profile or "-", a line each.
func (f *Forwarder) writeAgentInfo() error {
	profile := f.o.Client.Profile
	if profile == "" {
		profile = "-"
	}
	text := fmt.Sprintf("%s\n-\n%s\n%s\n", f.o.Key.Name, f.o.Key.ID, profile)
	if err := atomicfile.Write(filepath.Join(f.o.Root, "queue", "ossec", ".agent_info"), []byte(text), 0o640); err != nil {
		return fmt.Errorf("starting the forwarder: %w", err)
	}
	return nil
}

// keepaliveText makes the payload of a keepalive.
func (f *Forwarder) keepaliveText() string {
	shared := filepath.Join(f.o.Root, "etc", "shared")
	return agentwire.BuildKeepalive(agentwire.KeepaliveParts{
		System:       f.o.System,
		AgentConfMD5: fileMD5(filepath.Join(shared, "agent.conf")),
		MergedMD5:    fileMD5(filepath.Join(shared, agentwire.MergedName)),
		Vedette:      true,
		Running:      f.running,
		Profile:      f.o.Client.Profile,
		Random:       randomText(),
	})
}

// fileMD5 gives the sum of a file, "" when it cannot be read.
func fileMD5(path string) string {
	m, _ := fileSums(path)
	return m
}

func fileSums(path string) (md5hex, sha1hex string) {
	r, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer r.Close()
	m, s := md5.New(), sha1.New()
	if _, err := io.Copy(io.MultiWriter(m, s), r); err != nil {
		return "", ""
	}
	return hex.EncodeToString(m.Sum(nil)), hex.EncodeToString(s.Sum(nil))
}

const randomAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!@#$%^&*()_+-=;'[],./?"

// randomText makes keepalives differ in size and content, so that their packets tell an observer little.
func randomText() string {
	var seed [32]byte
	rand.Read(seed[:]) //nolint:errcheck // never fails
	r := mrand.New(mrand.NewChaCha8(seed))
	b := make([]byte, r.IntN(699))
	for i := range b {
		b[i] = randomAlphabet[r.IntN(len(randomAlphabet))]
	}
	return string(b)
}

// integrityMessages describes the agent's own configuration files (spec protocol.md, section 9.1).
func (f *Forwarder) integrityMessages() []string {
	var out []string
	for _, name := range []string{"/etc/ossec.conf", "/etc/internal_options.conf"} {
		text := "-1"
		if st, err := os.Stat(filepath.Join(f.o.Root, filepath.FromSlash(name))); err == nil {
			m, s := fileSums(filepath.Join(f.o.Root, filepath.FromSlash(name)))
			if m == "" {
				m, s = "xxx", "xxx"
			}
			mode, uid, gid := attributes(st)
			text = fmt.Sprintf("%d:%d:%d:%d:%s:%s", st.Size(), mode, uid, gid, m, s)
		}
		out = append(out, event.Message{Kind: event.KindSyscheck, Location: "syscheck", Text: text + " " + f.o.RootText + name}.String())
	}
	return out
}
