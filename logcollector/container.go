package logcollector

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/vedette-hids/vedette/event"
)

// jsonLines passes lines that are JSON objects without the white space around them; other lines are passed too, so that nothing is lost.
// Empty lines are left out.
type jsonLines struct{ nothingOpen }

func (jsonLines) Line(line []byte, emit emitFunc) held {
	if line = bytes.TrimSpace(line); len(line) > 0 {
		emit(event.KindLog, text(line))
	}
	return nothing
}

// maxJoined is how long a line that a runtime wrote in parts may become.
const maxJoined = 64 << 10

// part is what one line of a container log holds.
type part struct {
	text    []byte
	stderr  bool // else it was written to stdout; the parts of a line are of one stream
	partial bool // the line goes on in the next part
}

// container reads the log files of container runtimes: the wrapper of each line is taken off, parts of one line are joined, and the
// container's name and image are put in front.
type container struct {
	decode func(line []byte) (part, bool)
	path   string
	prefix string
	named  bool
	buf    [2][]byte // begun lines of stdout and stderr
}

func (c *container) Line(line []byte, emit emitFunc) held {
	if len(line) == 0 {
		return c.keeps()
	}
	p, ok := c.decode(line)
	if !ok {
		pieces("", text(line), emit)
		return c.keeps()
	}
	buf := &c.buf[0]
	if p.stderr {
		buf = &c.buf[1]
	}
	if p.partial || len(*buf) > 0 {
		if *buf = append(*buf, p.text...); p.partial && len(*buf) < maxJoined {
			return c.keeps()
		}
		p.text = *buf
	}
	c.send(p.text, emit)
	*buf = nil
	return c.keeps()
}

func (c *container) keeps() held {
	if c.Open() {
		return moreThan
	}
	return nothing
}

func (c *container) send(b []byte, emit emitFunc) {
	if !c.named {
		c.prefix, c.named = containerName("/", c.path), true
	}
	pieces(c.prefix, text(b), emit)
}

// pieces emits a text as one event, or as several with the same prefix when it is too long.
func pieces(prefix, s string, emit emitFunc) {
	for len(s) > maxLine-len(prefix) && len(prefix) < maxLine/2 {
		n := maxLine - len(prefix)
		emit(event.KindLog, prefix+s[:n])
		if s = s[n:]; len(s) > 0 && !bytes.HasSuffix([]byte(prefix), []byte(continued)) {
			prefix += continued
		}
	}
	emit(event.KindLog, prefix+s)
}

func (c *container) Flush(_ time.Duration, final bool, emit emitFunc) {
	if !final {
		return
	}
	for i := range c.buf {
		if len(c.buf[i]) > 0 {
			c.send(c.buf[i], emit)
			c.buf[i] = nil
		}
	}
}

func (c *container) Open() bool { return len(c.buf[0])+len(c.buf[1]) > 0 }

// dockerLine reads {"log":"...","stream":"...","time":"..."}; a text without line end is continued by the next line.
func dockerLine(line []byte) (part, bool) {
	var entry struct {
		Log    *string `json:"log"`
		Stream string  `json:"stream"`
	}
	if json.Unmarshal(line, &entry) != nil || entry.Log == nil {
		return part{}, false
	}
	s := []byte(*entry.Log)
	whole := bytes.HasSuffix(s, []byte("\n"))
	return part{text: bytes.TrimRight(s, "\r\n"), stderr: entry.Stream == "stderr", partial: !whole}, true
}

// criLine reads "<time> stdout|stderr F|P <text>".
func criLine(line []byte) (part, bool) {
	word := bytes.SplitN(line, []byte(" "), 4)
	if len(word) < 3 || (string(word[1]) != "stdout" && string(word[1]) != "stderr") {
		return part{}, false
	}
	p := part{stderr: string(word[1]) == "stderr"}
	if len(word) == 4 { // an empty text may come without the blank before it
		p.text = word[3]
	}
	tag, _, _ := bytes.Cut(word[2], []byte(":"))
	switch string(tag) {
	case "F":
	case "P":
		p.partial = true
	default:
		return part{}, false
	}
	return p, true
}
