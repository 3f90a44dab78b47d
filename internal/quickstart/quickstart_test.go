package quickstart

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func sample() []byte {
	return []byte(`{"rule":{"level":5,"comment":"Failed login.","sidid":5716,"group":"sshd,","groups":["sshd"]},"id":"1791187755.1",` +
		`"TimeStamp":1791187755000,"srcip":"192.0.2.1","dstuser":"root","location":"/var/log/auth.log",` +
		`"full_log":"Failed password for root\nsecond \u001b[31mline","hostname":"box","decoder_desc":{},"timestamp":"2026 Oct 05 08:09:15"}` + "\n")
}

func TestPrinterShowsFactsAndNeverSteersTheTerminal(t *testing.T) {
	var plain, colour bytes.Buffer
	Printer{W: &plain}.Alert(sample())
	Printer{W: &colour, Colour: true}.Alert(sample())
	for _, want := range []string{"[ 5] Failed login.  from 192.0.2.1  user root", "rule 5716, /var/log/auth.log", "Failed password for root\n"} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("lacks %q:\n%s", want, plain.String())
		}
	}
	if strings.Contains(plain.String(), "\x1b") || strings.Contains(colour.String(), "\x1b[31mline") {
		t.Errorf("control bytes of a log reach the terminal: %q %q", plain.String(), colour.String())
	}
	if !strings.Contains(colour.String(), "\x1b[") {
		t.Error("no colour where it was asked for")
	}
}

func TestFollowSeesLinesAcrossReplacement(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.json")
	put := func(text string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	lines := make(chan string)
	ended := make(chan error, 1)
	go func() { ended <- Follow(ctx, path, func(l []byte) { lines <- string(l) }) }()
	next := func(want string) {
		t.Helper()
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%q was not seen", want)
		}
	}
	time.AfterFunc(2*pollEvery, func() { put("one\ntw") })
	next("one\n")
	put("o\n")
	next("two\n")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	put("three\n")
	next("three\n")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestGateShowsProblemsOfAStartOnly(t *testing.T) {
	var out bytes.Buffer
	g := NewGate(&out, "Started (pid:")
	for _, l := range []string{"2026/11/24 10:00:00 x: INFO: quiet\n", "2026/11/24 10:00:00 x(1): ERROR: loud\n", "x: reason\n", "2026/11/24 10:00:00 x: INFO: Started (pid: 1).\n", "2026/11/24 10:00:00 x: ERROR: later\n"} {
		if _, err := g.Write([]byte(l)); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "2026/11/24 10:00:00 x(1): ERROR: loud\nx: reason\n" {
		t.Errorf("shown: %q", out.String())
	}
	select {
	case <-g.Seen():
	default:
		t.Error("the gate did not open")
	}
}

func TestDemoNeedsARunningInstance(t *testing.T) {
	if err := Demo(t.Context(), t.TempDir(), &bytes.Buffer{}, time.Now); err == nil || !strings.Contains(err.Error(), "make run") {
		t.Errorf("error: %v", err)
	}
}

func TestANewConfigurationAvoidsAPortThatIsTaken(t *testing.T) {
	const conf = "<remote>\n    <connection>secure</connection>\n  </remote>\n<remote>\n<connection>syslog</connection>\n</remote>"
	c, err := net.ListenPacket("udp", fmt.Sprintf(":%d", agentsPort))
	if err == nil {
		defer c.Close()
	} // else somebody has it already, which serves as well
	got := choosePort(conf)
	port := regexp.MustCompile(`<connection>secure</connection>\n    <port>(\d+)</port> `).FindStringSubmatch(got)
	if port == nil || port[1] == fmt.Sprint(agentsPort) || strings.Count(got, "<port>") != 1 {
		t.Errorf("configuration: %s", got)
	}
}

func TestRootsThatAreTooDeepForSocketsAreRefusedAtOnce(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	if _, err := Prepare(deep, t.TempDir(), time.Now()); err == nil || !strings.Contains(err.Error(), "too long a path") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(deep); err == nil {
		t.Error("something was made")
	}
}
