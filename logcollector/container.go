package logcollector

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// jsonLines passes lines that are JSON objects; others are passed as they are too, so that nothing is lost.
type jsonLines struct{ nothingOpen }

func (jsonLines) Line(line []byte, emit emitFunc) {
	line = bytes.TrimSpace(line)
	if len(line) > 0 {
		emit(event.KindLog, text(line))
	}
}

// container reads the log files of container runtimes: the wrapper of each line is taken off, parts of one line are joined, and the
// container's name and image are put in front.
type container struct {
	decode func(line []byte) (text []byte, partial, ok bool)
	path   string
	prefix string
	named  bool
	buf    []byte
}

func (c *container) Line(line []byte, emit emitFunc) {
	part, partial, ok := c.decode(line)
	if !ok {
		emit(event.KindLog, text(line))
		return
	}
	c.buf = append(c.buf, part...)
	if partial && len(c.buf) < maxLine {
		return
	}
	if !c.named {
		c.prefix, c.named = containerName(c.path), true
	}
	emit(event.KindLog, c.prefix+text(c.buf))
	c.buf = c.buf[:0]
}

func (c *container) Flush(_ time.Duration, final bool, emit emitFunc) {
	if final && len(c.buf) > 0 {
		emit(event.KindLog, c.prefix+text(c.buf))
		c.buf = c.buf[:0]
	}
}

func (c *container) Open() bool { return len(c.buf) > 0 }

// dockerLine reads {"log":"...","stream":"...","time":"..."}; a text without line end is continued by the next line.
func dockerLine(line []byte) (text []byte, partial, ok bool) {
	var entry struct {
		Log *string `json:"log"`
	}
	if json.Unmarshal(line, &entry) != nil || entry.Log == nil {
		return nil, false, false
	}
	s := []byte(*entry.Log)
	whole := bytes.HasSuffix(s, []byte("\n"))
	return bytes.TrimRight(s, "\r\n"), !whole, true
}

// criLine reads "<time> stdout|stderr F|P <text>".
func criLine(line []byte) (text []byte, partial, ok bool) {
	part := bytes.SplitN(line, []byte(" "), 4)
	if len(part) != 4 || (string(part[1]) != "stdout" && string(part[1]) != "stderr") {
		return nil, false, false
	}
	tag, _, _ := bytes.Cut(part[2], []byte(":"))
	switch string(tag) {
	case "F":
		return part[3], false, true
	case "P":
		return part[3], true, true
	}
	return nil, false, false
}

// containerName gives "container=NAME image=IMAGE " for a log file of a container, from docker's config.v2.json beside it or from the path
// that Kubernetes makes; "" when neither tells.
func containerName(path string) string {
	if data, err := os.ReadFile(filepath.Join(filepath.Dir(path), "config.v2.json")); err == nil {
		var meta struct {
			Name   string
			Config struct{ Image string }
		}
		if json.Unmarshal(data, &meta) == nil && meta.Name != "" {
			return "container=" + word(strings.TrimPrefix(meta.Name, "/")) + " image=" + word(meta.Config.Image) + " "
		}
	}
	// /var/log/pods/<namespace>_<pod>_<uid>/<container>/<n>.log or /var/log/containers/<pod>_<namespace>_<container>-<id>.log
	base := strings.TrimSuffix(filepath.Base(path), ".log")
	if part := strings.Split(base, "_"); len(part) == 3 {
		name := part[2]
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		return "container=" + word(name) + " pod=" + word(part[1]+"/"+part[0]) + " "
	}
	dir := filepath.Dir(path)
	if part := strings.Split(filepath.Base(filepath.Dir(dir)), "_"); len(part) == 3 {
		return "container=" + word(filepath.Base(dir)) + " pod=" + word(part[0]+"/"+part[1]) + " "
	}
	return ""
}

// word keeps a name to one word.
func word(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, s)
}
