package logcollector

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vedette-hids/vedette/event"
)

// assemble gives lines to a format and collects its events; at the end everything is given up.
func assemble(t testing.TB, name string, lines int, path string, input ...string) []string {
	t.Helper()
	f, err := formatFor(name, lines, path, "host", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	emit := func(_ event.Kind, text string) { got = append(got, text) }
	for _, l := range input {
		f.asm.Line([]byte(l), emit)
	}
	f.asm.Flush(0, true, emit)
	return got
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestDockerLines(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.v2.json"), `{"Name":"/web 1","Config":{"Image":"nginx:1.29"}}`)
	got := assemble(t, "docker", 0, filepath.Join(dir, "id-json.log"),
		`{"log":"GET /\n","stream":"stdout","time":"t"}`,
		`{"log":"begun ","stream":"stdout"}`,
		`{"log":"error\r\n","stream":"stderr"}`,
		`{"log":"and ended\n","stream":"stdout"}`,
		`{"log":"\n"}`,
		`not json`, ``, `{"log":5}`,
		`{"log":"no end","stream":"stderr"}`)
	p := "container=web_1 image=nginx:1.29 "
	want := []string{p + "GET /", p + "error", p + "begun and ended", p, "not json", `{"log":5}`, p + "no end"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestLongContainerLinesBecomeMarkedPieces(t *testing.T) {
	var lines []string
	for range 10 { // parts of 16 KiB, more than is joined
		lines = append(lines, "2026-11-24T10:00:00Z stdout P "+strings.Repeat("y", 16<<10))
	}
	lines = append(lines, "2026-11-24T10:00:00Z stdout F end")
	got := assemble(t, "cri", 0, "/x/0.log", lines...)
	var all strings.Builder
	for _, g := range got {
		if len(g) > maxLine {
			t.Errorf("event of %d bytes", len(g))
		}
		all.WriteString(strings.TrimPrefix(g, continued))
	}
	if all.Len() != 10*(16<<10)+3 {
		t.Errorf("%d bytes came", all.Len())
	}
	if !strings.HasPrefix(got[1], continued) {
		t.Errorf("second piece is not marked: %.20q", got[1])
	}
}

func TestCRILines(t *testing.T) {
	got := assemble(t, "cri", 0, "/var/log/containers/web-7f_prod_nginx-0123ab.log",
		"2026-11-24T10:00:00.1Z stdout F hello world", "2026-11-24T10:00:00.1Z stdout P one ", "2026-11-24T10:00:00.1Z stdout F two",
		"2026-11-24T10:00:00.1Z stderr F", "2026-11-24T10:00:00.1Z stdin F x", "2026-11-24T10:00:00.1Z stdout X x")
	p := "container=nginx pod=prod/web-7f "
	want := []string{p + "hello world", p + "one two", p, "2026-11-24T10:00:00.1Z stdin F x", "2026-11-24T10:00:00.1Z stdout X x"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestContainerNames(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io/0123ab/config.json"),
		`{"annotations":{"io.kubernetes.cri.image-name":"registry/nginx:1"}}`)
	write(t, filepath.Join(root, "run/containers/storage/overlay-containers/cafe/userdata/config.json"),
		`{"annotations":{"io.kubernetes.cri-o.ImageName":"quay/app:2"}}`)
	write(t, filepath.Join(root, "var/log/containers/app-1_dev_main-cafe.log"), "")
	for path, want := range map[string]string{
		"/var/log/containers/web-7f_prod_nginx-0123ab.log":  "container=nginx image=registry/nginx:1 pod=prod/web-7f ",
		"/var/log/containers/web-7f_prod_nginx-ffff.log":    "container=nginx pod=prod/web-7f ",
		"/var/log/pods/dev_app-1_9c5d/main/0.log":           "container=main image=quay/app:2 pod=dev/app-1 ",
		"/var/log/pods/dev_app-1_9c5d/other/0.log":          "container=other pod=dev/app-1 ",
		"/var/log/containers/a_b_c-../../../etc/passwd.log": "",
		"/var/log/messages":                                 "",
	} {
		if got := containerName(root, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestJSONLines(t *testing.T) {
	got := assemble(t, "json", 0, "/x", `  {"a":1}  `, "", "{broken", "\t")
	if want := []string{`{"a":1}`, "{broken"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
