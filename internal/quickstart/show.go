package quickstart

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// shownAlert is what is read of a line of alerts.json.
type shownAlert struct {
	Rule struct {
		Level   int    `json:"level"`
		Comment string `json:"comment"`
		ID      int    `json:"sidid"`
	} `json:"rule"`
	SrcIP     string `json:"srcip"`
	DstUser   string `json:"dstuser"`
	Location  string `json:"location"`
	FullLog   string `json:"full_log"`
	Timestamp string `json:"timestamp"`
	// The number of almost the same name must not be taken for it: Go compares names without regard to case.
	Millis json.Number `json:"TimeStamp"`
}

// Printer writes alerts for people: a line of facts and the first lines of the log. Colour only when asked for.
type Printer struct {
	W      io.Writer
	Colour bool
}

// maxShown bounds the log lines shown of one alert.
const maxShown = 16

func (p Printer) paint(code, s string) string {
	if !p.Colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func levelColour(level int) string {
	switch {
	case level >= 12:
		return "1;97;41"
	case level >= 10:
		return "1;31"
	case level >= 7:
		return "1;33"
	case level >= 4:
		return "36"
	}
	return "2"
}

// Alert prints one line of alerts.json; a line that is not one is ignored.
func (p Printer) Alert(line []byte) {
	var a shownAlert
	if json.Unmarshal(line, &a) != nil || a.Rule.ID == 0 {
		return
	}
	clock := a.Timestamp
	if i := strings.LastIndexByte(clock, ' '); i >= 0 {
		clock = clock[i+1:]
	}
	facts := ""
	if a.SrcIP != "" {
		facts += "  from " + a.SrcIP
	}
	if a.DstUser != "" {
		facts += "  user " + a.DstUser
	}
	fmt.Fprintf(p.W, "%s %s %s%s\n", clock, p.paint(levelColour(a.Rule.Level), fmt.Sprintf("[%2d]", a.Rule.Level)),
		p.paint("1", a.Rule.Comment), facts)
	fmt.Fprintf(p.W, "         %s\n", p.paint("2", fmt.Sprintf("rule %d, %s", a.Rule.ID, a.Location)))
	lines := strings.Split(strings.TrimRight(printable(a.FullLog), "\n"), "\n")
	for i, l := range lines {
		if i == maxShown {
			fmt.Fprintf(p.W, "         %s\n", p.paint("2", fmt.Sprintf("... %d more lines", len(lines)-i)))
			break
		}
		fmt.Fprintf(p.W, "         %s\n", l)
	}
}

// Response prints a line of ossec.log that tells of a response; other lines are ignored.
func (p Printer) Response(line []byte) {
	stamp, text, ok := strings.Cut(strings.TrimSpace(printable(string(line))), " ossec-execd: INFO: Response ")
	if !ok {
		return
	}
	if i := strings.LastIndexByte(stamp, ' '); i >= 0 {
		stamp = stamp[i+1:]
	}
	fmt.Fprintf(p.W, "%s %s %s\n", stamp, p.paint("1;35", "[AR]"), text)
}

// printable keeps a log line from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || (r >= ' ' && r != 0x7f) {
			return r
		}
		return '.'
	}, s)
}

// Watch prints the alerts and responses of the instance at root as they come, until ctx ends.
func (p Printer) Watch(ctx context.Context, root string) error {
	var mu sync.Mutex // one line at a time
	follow := func(path string, show func([]byte)) error {
		return Follow(ctx, filepath.Join(root, path), func(line []byte) {
			mu.Lock()
			defer mu.Unlock()
			show(line)
		})
	}
	responses := make(chan error, 1)
	go func() { responses <- follow("logs/ossec.log", p.Response) }()
	return errors.Join(follow("logs/alerts/alerts.json", p.Alert), <-responses)
}

const pollEvery = 150 * time.Millisecond

// Follow calls each for every complete line appended to path from now on, until ctx ends. The file may not exist yet and may be replaced.
func Follow(ctx context.Context, path string, each func(line []byte)) error {
	var f *os.File
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	var rest []byte
	var r *bufio.Reader
	first := true
	for {
		if f == nil {
			file, err := os.Open(path)
			if err == nil {
				if first {
					_, err = file.Seek(0, io.SeekEnd)
				}
				if err != nil {
					file.Close()
					return fmt.Errorf("following %s: %w", path, err)
				}
				f, r = file, bufio.NewReader(file)
			} else if !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("following %s: %w", path, err)
			}
			first = false
		}
		if f != nil {
			for {
				part, err := r.ReadBytes('\n')
				rest = append(rest, part...)
				if err != nil {
					break
				}
				each(rest)
				rest = rest[:0]
			}
			if replaced(f, path) {
				f.Close()
				f = nil
				continue
			}
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

func replaced(f *os.File, path string) bool {
	old, err := f.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(path)
	return err == nil && !os.SameFile(old, now)
}
