package responders

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// slack posts the alert to a chat channel. It says nothing on delete.
func slack(ctx context.Context, e *Env, c *Call) Result {
	conf := e.slackSettings()
	if conf["SITE"] == "" {
		return Result{Exit: 1, Err: fmt.Errorf("no SITE in %s", e.slackFile())}
	}
	text := alertText(filepath.Join(e.Root, "logs", "alerts", "alerts.log"), c.arg(3))
	if text == nil {
		text = []string{"Alert " + c.arg(3), "Rule: " + c.arg(4) + " " + strings.Join(c.Args[min(5, len(c.Args)):], " ")}
	}
	payload, err := json.Marshal(slackMessage(conf, text))
	if err != nil {
		return Result{Exit: 1, Err: err}
	}
	if err := e.Post(ctx, conf["SITE"], url.Values{"payload": {string(payload)}}); err != nil {
		return Result{Exit: 1, Err: err}
	}
	return Result{Note: "message posted"}
}

type slackAttachment struct {
	Fallback string `json:"fallback"`
	Title    string `json:"title"`
	Text     string `json:"text"`
	Color    string `json:"color"`
}

type slackPost struct {
	Channel     string            `json:"channel"`
	Username    string            `json:"username"`
	Attachments []slackAttachment `json:"attachments"`
}

// slackMessage makes the message of an alert: its first line is the title.
func slackMessage(conf map[string]string, lines []string) slackPost {
	all := strings.Join(lines, "\n")
	return slackPost{Channel: conf["CHANNEL"], Username: conf["SLACKUSER"], Attachments: []slackAttachment{{
		Fallback: all, Title: lines[0], Text: strings.Join(lines[1:], "\n"), Color: levelColor(all),
	}}}
}

// levelColor gives the colour of the level in "Rule: 5712 (level 10)".
func levelColor(text string) string {
	_, rest, _ := strings.Cut(text, "(level ")
	digits, _, _ := strings.Cut(rest, ")")
	level, _ := strconv.Atoi(digits)
	switch {
	case level >= 12:
		return "#CC3300"
	case level >= 7:
		return "#FF9966"
	case level >= 4:
		return "#FFCC00"
	}
	return "#D3D3D3"
}

// Bounds of what is looked up in the alert file.
const (
	alertTail  = 1 << 20 // bytes at the end of the file
	alertLines = 10
	alertWidth = 139
)

// alertText finds an alert by its id near the end of alerts.log and gives the lines behind its header.
func alertText(path, id string) []string {
	f, err := os.Open(path)
	if err != nil || id == "" {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > alertTail {
		f.Seek(-alertTail, io.SeekEnd) //nolint:errcheck // then the beginning is searched
	}
	data, err := io.ReadAll(io.LimitReader(f, 2*alertTail))
	if err != nil {
		return nil
	}
	at := bytes.LastIndex(data, []byte("** Alert "+id+":"))
	if at < 0 {
		return nil
	}
	sc := bufio.NewScanner(bytes.NewReader(data[at:]))
	sc.Buffer(nil, alertTail)
	sc.Scan()
	var out []string
	for len(out) < alertLines && sc.Scan() && sc.Text() != "" {
		line := strings.ToValidUTF8(strings.ReplaceAll(sc.Text(), `"`, ""), "?")
		if r := []rune(line); len(r) > alertWidth {
			line = string(r[:alertWidth])
		}
		out = append(out, line)
	}
	return out
}

func (e *Env) slackFile() string { return filepath.Join(e.Root, "etc", "slack.conf") }

// slackSettings reads NAME=VALUE lines: SITE (the web hook), CHANNEL, SLACKUSER.
func (e *Env) slackSettings() map[string]string {
	conf := map[string]string{}
	data, err := os.ReadFile(e.slackFile())
	if err != nil {
		return conf
	}
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
			conf[strings.TrimSpace(k)] = strings.Trim(strings.TrimSpace(v), `"'`)
		}
	}
	return conf
}

// postForm posts a form and wants a 2xx answer.
func postForm(ctx context.Context, site string, form url.Values) error {
	u, err := url.Parse(site)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("SITE is not a web address") // the text may hold a secret: it is not repeated
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, site, strings.NewReader(form.Encode()))
	if err != nil {
		return errors.New("SITE is not a web address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return fmt.Errorf("posting to %s: %w", u.Host, err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) //nolint:errcheck // only so that the connection can be used again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", u.Host, res.Status)
	}
	return nil
}
