package pipelinetest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Text is a member of a recorded case; Set is false when it is null or absent.
type Text struct {
	Set bool
	S   string
}

// UnmarshalJSON reads a string or null.
func (t *Text) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	t.Set = true
	return json.Unmarshal(b, &t.S)
}

// Or gives the text, or the bytes of its base64 form if there is one.
func (t Text) Or(encoded string) string {
	if encoded == "" {
		return t.S
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Case is one line of events.jsonl; its README.md says what the members are.
type Case struct {
	N              int
	Note           string
	Msg            Text
	MsgB64         string `json:"msg_b64"`
	Epoch          *int64
	Seq            *int64
	Alert          Text
	AlertB64       string `json:"alert_b64"`
	AlertJSON      Text   `json:"alert_json"`
	AlertJSONB64   string `json:"alert_json_b64"`
	Archive        Text
	ArchiveB64     string `json:"archive_b64"`
	ArchiveJSON    Text   `json:"archive_json"`
	ArchiveJSONB64 string `json:"archive_json_b64"`
	Firewall       Text
	DaemonLog      []string `json:"daemon_log"`
	Csyslog        map[string]Text
	Lost           bool `json:"csyslog_lost"`
	Contaminated   bool `json:"csyslog_contaminated"`
	Unstable       []string
}

// ReadCases reads dir/events.jsonl.
func ReadCases(tb testing.TB, dir string) []Case {
	tb.Helper()
	f, err := os.Open(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var cases []Case
	dec := json.NewDecoder(bufio.NewReader(f))
	for {
		var c Case
		if err := dec.Decode(&c); err == io.EOF {
			return cases
		} else if err != nil {
			tb.Fatal(err)
		}
		cases = append(cases, c)
	}
}

// Times gives the time of each case: its epoch, or for cases without alert the time in the archive, or that of the case before.
func Times(tb testing.TB, cases []Case) []time.Time {
	tb.Helper()
	times := make([]time.Time, len(cases))
	last := time.Unix(*cases[0].Epoch, 0)
	for i, c := range cases {
		switch {
		case c.Epoch != nil:
			last = time.Unix(*c.Epoch, 0)
		case c.Archive.Set:
			t, err := time.ParseInLocation("2006 Jan 02 15:04:05", c.Archive.S[:20], time.UTC)
			if err != nil {
				tb.Fatal(err)
			}
			last = t
		}
		times[i] = last
	}
	return times
}
