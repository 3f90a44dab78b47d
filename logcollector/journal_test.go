//go:build unix

package logcollector

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/config"
)

// fakeJournal puts a journalctl into PATH that writes its arguments to a file and prints the records of a file that stand after the cursor.
func fakeJournal(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script := `#!/bin/sh
echo "$*" >>"` + dir + `/arguments"
after=0
follow=
for a in "$@"; do
	case "$a" in
	--after-cursor=c*) after=${a#--after-cursor=c} ;;
	--after-cursor=*) echo "Failed to seek to cursor: Invalid argument" >&2; exit 1 ;;
	-f) follow=1 ;;
	esac
done
if [ -z "$follow" ]; then
	tail -n 1 "` + dir + `/records"
	exit 0
fi
exec tail -n +$((after + 1)) -f "` + dir + `/records"
`
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte(script), 0o755); err != nil { //nolint:gosec // it has to be executable
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "records"), "")
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return dir
}

// journalRecord writes record n of the journal.
func journalRecord(t *testing.T, dir string, n int, message string) {
	t.Helper()
	put(t, filepath.Join(dir, "records"), fmt.Sprintf(
		`{"__CURSOR":"c%d","__REALTIME_TIMESTAMP":"1700000000123456","_HOSTNAME":"web1","SYSLOG_IDENTIFIER":"sshd","MESSAGE":%s}`+"\n", n, message))
}

func TestJournalGoesOnWhereItWas(t *testing.T) {
	dir := fakeJournal(t)
	journalRecord(t, dir, 1, `"before the first start"`)
	s := newStage(t, "syslog")
	s.cfg = append(s.cfg, config.Localfile{Location: "ssh:d", Format: "journald"})
	stamp := time.UnixMicro(1700000000123456).Format("2006-01-02T15:04:05-07:00")
	s.start()
	wait(t, filepath.Join(dir, "arguments"), "-f")
	journalRecord(t, dir, 2, `"one"`)
	journalRecord(t, dir, 3, `[116,119,111]`)
	got := s.sink.wait(t, 2)
	s.stop()
	journalRecord(t, dir, 4, `"while away"`)
	s.start()
	got = append(got[:2:2], s.sink.wait(t, 3)[2:]...)
	for i, m := range []string{"one", "two", "while away"} {
		if want := "1:journald:" + stamp + " web1 sshd: " + m; got[i] != want {
			t.Errorf("got %q, want %q", got[i], want)
		}
	}
	args, err := os.ReadFile(filepath.Join(dir, "arguments"))
	if err != nil || !strings.Contains(string(args), "--identifier=ssh:d") || !strings.Contains(string(args), "--after-cursor=c3") {
		t.Errorf("%s %v", args, err)
	}
}

// wait waits until a file holds a text.
func wait(t *testing.T, path, text string) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(2 * time.Millisecond) {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), text) {
			return
		}
	}
	t.Fatalf("%s does not come to hold %q", path, text)
}

func TestJournalRecords(t *testing.T) {
	zone := time.FixedZone("", 5*3600+1800)
	for raw, want := range map[string]string{
		`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"p","MESSAGE":"m"}`:           "2023-11-15T03:43:20+05:30 h p: m",
		`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":["p","q"],"MESSAGE":"m"}`:     "2023-11-15T03:43:20+05:30 h p: m",
		`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"p","MESSAGE":[[104,0],[1]]}`: "2023-11-15T03:43:20+05:30 h p: h ",
		`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"p","MESSAGE":null}`:          "",
		`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","MESSAGE":"m"}`:                                   "",
		`{"__REALTIME_TIMESTAMP":"x","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"p","MESSAGE":"m"}`:                          "",
		`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":"p","MESSAGE":{}}`:            "",
	} {
		if got := journalText(raw, zone); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func journalText(raw string, zone *time.Location) string {
	var e journalEntry
	if json.Unmarshal([]byte(raw), &e) != nil {
		return ""
	}
	return e.text(zone)
}

func FuzzJournalRecord(f *testing.F) {
	f.Add(`{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"h","SYSLOG_IDENTIFIER":["p","q"],"MESSAGE":[104,0]}`)
	f.Add(`{"__REALTIME_TIMESTAMP":"-9223372036854775808","_HOSTNAME":"h","SYSLOG_IDENTIFIER":[["p"]],"MESSAGE":[[[1]]]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		if got := journalText(raw, time.UTC); len(got) > maxEvent || strings.Contains(got, "\x00") {
			t.Errorf("%q", got)
		}
	})
}
