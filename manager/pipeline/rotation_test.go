package pipeline_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vedette-hids/vedette/manager/alert"
	"github.com/vedette-hids/vedette/manager/pipeline/pipelinetest"
	"github.com/vedette-hids/vedette/rules"
)

// vector finds a line of rotation.jsonl by name.
func vector(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open(filepath.Join(vectorDir, "rotation.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := json.NewDecoder(f)
	for {
		var line json.RawMessage
		if err := dec.Decode(&line); err != nil {
			t.Fatalf("no %s: %v", name, err)
		}
		var head struct{ Name string }
		if err := json.Unmarshal(line, &head); err != nil {
			t.Fatal(err)
		}
		if head.Name == name {
			if err := json.Unmarshal(line, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

func statistics(t *testing.T, w *pipelinetest.World) {
	t.Helper()
	st, err := rules.NewStatistics(rules.DirStats{Dir: filepath.Join(w.Root, "stats")})
	if err != nil {
		t.Fatal(err)
	}
	w.Stores.Stats = st
}

func login(n int) string {
	return fmt.Sprintf("1:/var/log/auth.log:Oct  5 09:10:21 hostA tsshd[9]: Failed password for root from 192.0.2.%d port 5 S%d", n+1, n)
}

func TestTotalsOfTheRecordedDay(t *testing.T) {
	var totals struct{ Path, Content string }
	vector(t, "totals", &totals)
	var averages struct{ Files map[string]string }
	vector(t, "averages_first_day", &averages)
	start := time.Date(2026, 10, 5, 23, 59, 8, 0, time.UTC)
	w := pipelinetest.New(t, vectorDir, start, nil)
	statistics(t, w)
	var messages []string
	for i := range 8 {
		messages = append(messages, login(i))
	}
	messages = append(messages,
		"8:syscheck:0:33188:0:0:d41d8cd98f00b204e9800998ecf8427e:da39a3ee5e6b4b0d3255bfef95601890afd80709 /etc/mt",
		"8:syscheck:5:33188:0:0:0cc175b9c0f1b6a831c399e269772661:86f7e437faa5a7fce15d1ddcb9eaeaea377667b8 /etc/mt",
		"1:/var/log/fw.log:Oct  5 23:59:45 fw1 tfw: action=drop proto=TCP src=192.0.2.145:1 dst=203.0.113.1:22 T",
		"1:ossec-monitord:ossec: Ossec started.",
		login(9)) // the next day
	var times []time.Time
	for range messages {
		times = append(times, start)
	}
	times[len(times)-1] = start.Add(time.Minute)
	w.Run(t, messages, times)
	got, err := os.ReadFile(filepath.Join(w.Root, totals.Path))
	if err != nil {
		t.Fatal(err)
	}
	differ(t, totals.Path, string(got), totals.Content)
	for path, want := range averages.Files {
		// The reference never counts the days of the weekday averages; here they are (outputs.md, section 14).
		if path == "stats/weekly-average/1/24" {
			want = "1"
		}
		got, err := os.ReadFile(filepath.Join(w.Root, path))
		if err != nil {
			t.Fatal(err)
		}
		differ(t, path, string(got), want)
	}
	// The day's files are those of the next day now, and the old ones are complete.
	if a, err := os.ReadFile(alert.DailyPath(w.Root, alert.Alerts, start)); err != nil || strings.Count(string(a), "** Alert") != 11 {
		t.Errorf("%d alerts in the ended day, %v", strings.Count(string(a), "** Alert"), err)
	}
	if a, err := os.ReadFile(alert.CurrentPath(w.Root, alert.Alerts)); err != nil || strings.Count(string(a), "** Alert") != 1 {
		t.Errorf("%d alerts in the new day, %v", strings.Count(string(a), "** Alert"), err)
	}
}

func TestStatisticalAlert(t *testing.T) {
	var want struct{ Alert string }
	vector(t, "statistical_alert", &want)
	at := time.Unix(1791191410, 0)
	w := pipelinetest.New(t, vectorDir, at, func(o *rules.Options) { o.StatsMinDiff, o.StatsMaxDiff, o.StatsPercentDiff = 10, 10, 5 })
	for name, n := range map[string]string{"9": "5", "24": "3"} {
		path := filepath.Join(w.Root, "stats/hourly-average", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(n), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	statistics(t, w)
	var messages []string
	var times []time.Time
	for i := range 16 {
		messages, times = append(messages, login(i)), append(times, at)
	}
	events := w.Run(t, messages, times)
	got := w.Got[events[15]].Files[alert.Alerts]
	if own := "** Alert 1791191410.17: - test,authentication_failed,\n"; !strings.HasPrefix(got, want.Alert+own) {
		t.Errorf("got %q\nwant %q and the event's own alert", got, want.Alert)
	}
}

func TestCustomAlertOutput(t *testing.T) {
	var v struct {
		Format string
		Cases  []struct{ Msg, Out string }
	}
	vector(t, "custom_alert_output", &v)
	at := time.Unix(1791191429, 0)
	w := pipelinetest.New(t, vectorDir, at, nil)
	w.Logs.Custom = v.Format
	var messages []string
	var times []time.Time
	for _, c := range v.Cases {
		messages, times = append(messages, c.Msg), append(times, at)
	}
	for i, ev := range w.Run(t, messages, times) {
		differ(t, v.Cases[i].Msg, w.Got[ev].Files[alert.Alerts], v.Cases[i].Out)
	}
}
