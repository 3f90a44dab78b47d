package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/manager/alert"
)

// repeatAlerts raises the integrity alerts that a killed manager had decided on and not written.
func (a *App) repeatAlerts(ctx context.Context) {
	events := a.fim.Unwritten()
	if len(events) == 0 {
		return
	}
	written, err := fileEnd(alert.CurrentPath(a.o.Root, alert.Alerts))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Error("alerts of the last run: %v", err)
	}
	var done []*event.Event
	n := 0
	for _, ev := range events {
		if onFile(written, ev) {
			done = append(done, ev)
			continue
		}
		if ev.Agent != nil {
			if k := a.keys.ByName(ev.Agent.Name); k != nil && k.IP == ev.Agent.IP {
				ev.Agent.ID = k.ID
			}
		}
		n++
		a.deliver(ctx, ev)
	}
	if err := a.fim.Repeated(done); err != nil {
		a.log.Error("alerts of the last run: %v", err)
	}
	a.log.Info("File integrity: %d alerts of the last run were not written and are raised now.", n)
}

// onFile reports whether an entry of that second has the text of an event.
func onFile(written map[int64][]string, ev *event.Event) bool {
	text := "\n" + ev.FullLog[:min(len(ev.FullLog), 1000)] // a long entry is cut
	for _, e := range written[ev.Received.Unix()] {
		if strings.Contains(e, text) {
			return true
		}
	}
	return false
}

// lastAlerts is how many bytes of the alert file are searched: far more than is written at a time.
const lastAlerts = 8 << 20

// fileEnd reads the last entries of an alert file, by time.
func fileEnd(path string) (map[int64][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-lastAlerts), lastAlerts))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	entries := map[int64][]string{}
	for e := range strings.SplitSeq(string(data), "** Alert ") {
		seconds, _, _ := strings.Cut(e, ".")
		if n, err := strconv.ParseInt(seconds, 10, 64); err == nil && strings.HasSuffix(e, "\n") {
			entries[n] = append(entries[n], e)
		}
	}
	return entries, nil
}
