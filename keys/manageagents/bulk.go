package manageagents

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/keys"
)

// maxBulk bounds what is read: room for a million lines.
const maxBulk = 64 << 20

// bulk adds an agent for each line IP,NAME of a file. Lines that are wrong are told and left out.
func (t *tool) bulk(name string) int {
	t.print("Bulk load file: %s\n", name)
	data, err := t.bulkFile(name)
	if err != nil {
		t.bulkMissing(name, err)
		return 1
	}
	if len(data) > maxBulk {
		t.refuse(71, "File '%s' is larger than %d MiB", name, maxBulk>>20)
		t.fail(fmt.Sprintf("ERROR: %s is larger than %d MiB: nothing was added", name, maxBulk>>20))
	}
	var b bulkLoad
	// The file is written once, and nothing is told before.
	t.check(t.edit(func(f *keys.File) error {
		b = newBulkLoad(f)
		return b.add(string(data))
	}))
	t.print("%s", b.text.String())
	t.respond(struct {
		Added   []listed      `json:"added"`
		Refused []refusedLine `json:"refused"`
	}{b.added, b.refused})
	if n := len(b.refused); n > 0 && !t.json {
		t.log.Warn("%d of %d lines were left out, the first is line %d.", n, n+len(b.added), b.refused[0].Line)
	}
	return 0
}

func (t *tool) bulkFile(name string) ([]byte, error) {
	if name == "-" {
		t.print("Reading bulk agents from stdin\n")
		return io.ReadAll(io.LimitReader(t.in, maxBulk+1))
	}
	t.print("Opening: [%s]\n", name)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBulk+1))
}

func (t *tool) bulkMissing(name string, err error) {
	reason, number := osReason(err)
	t.refuse(71, "Could not open file '%s' due to [(%d)-(%s)]", name, number, reason)
	fmt.Fprintf(t.Stderr, "Failed.: %s\n", reason)
	t.log.Code(1103, "ERROR", "Could not open file '%s' due to [(%d)-(%s)].", name, number, reason)
}

// bulkLoad adds lines to a key file.
type bulkLoad struct {
	f       *keys.File
	names   map[string]bool
	ids     map[string]bool
	next    string
	text    strings.Builder // for people
	added   []listed
	refused []refusedLine
}

// refusedLine is a line that was left out.
type refusedLine struct {
	Line        int    `json:"line"`
	Error       int    `json:"error"`
	Description string `json:"description"`
}

func newBulkLoad(f *keys.File) bulkLoad {
	b := bulkLoad{f: f, names: map[string]bool{}, ids: idsOf(f), next: nextID(f), added: []listed{}, refused: []refusedLine{}}
	for _, e := range f.Entries() {
		b.names[e.Name] = true
	}
	return b
}

func (b *bulkLoad) add(data string) error {
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(data, "\ufeff")) { // the mark that editors on Windows put in front
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := b.line(n, line[:min(len(line), maxInput-1)]); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulkLoad) line(n int, line string) error {
	fields := strings.Split(line, ",")
	e := keys.Entry{ID: b.next, IP: strings.TrimSpace(fields[0])}
	if len(fields) > 1 {
		e.Name = strings.TrimSpace(fields[1])
	}
	_, noIP := keys.ParseNetwork(e.IP)
	switch {
	case !keys.ValidName(e.Name):
		b.refuse(n, 76, "Invalid name for agent", badName, e.Name)
	case b.names[e.Name]:
		b.refuse(n, 76, "Invalid name for agent", nameTaken, e.Name)
	case noIP != nil:
		b.refuse(n, 77, "Invalid IP for agent", badIP, e.IP)
	default:
		return b.store(e)
	}
	return nil
}

func (b *bulkLoad) refuse(n, code int, description, text, value string) {
	fmt.Fprintf(&b.text, text, value)
	b.refused = append(b.refused, refusedLine{n, code, description})
}

func (b *bulkLoad) store(e keys.Entry) error {
	var err error
	if e.Key, err = keys.NewSecret(); err != nil {
		return err
	}
	if err = b.f.Add(e); err != nil {
		return err
	}
	b.names[e.Name], b.ids[e.ID] = true, true
	b.added = append(b.added, listed{e.ID, e.Name, e.IP})
	fmt.Fprintf(&b.text, information+addedAs, e.ID, e.Name, e.IP, e.ID)
	b.next, err = after(b.ids, e.ID)
	return err
}

// nextID is the id that is proposed for a new agent: that of keys.File, and where that is taken, because ids above its range are in use, the next free one.
func nextID(f *keys.File) string {
	id := f.NextID()
	if f.HasID(id) {
		if free, err := after(idsOf(f), id); err == nil {
			return free
		}
	}
	return id
}

var errNoID = errors.New("no id is free")

func idsOf(f *keys.File) map[string]bool {
	ids := map[string]bool{}
	f.EachID(func(id string) { ids[id] = true })
	return ids
}

// after finds the first id above another that is not taken.
func after(taken map[string]bool, id string) (string, error) {
	n, err := strconv.Atoi(id)
	if err != nil {
		return "", err
	}
	for n++; ; n++ {
		free := keys.PadID(strconv.Itoa(n))
		if !keys.ValidID(free) {
			return "", errNoID
		}
		if !taken[free] {
			return free, nil
		}
	}
}
