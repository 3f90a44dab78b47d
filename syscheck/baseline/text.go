package baseline

import (
	"strconv"
	"strings"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/syscheck/sum"
)

const (
	maxPath = 756  // bytes of a path in a text
	maxText = 6144 // bytes of a text
	unknown = "Unknown"
)

// fill composes the alert text and the fields of an event (spec syscheck.md, sections 12 and 13).
func fill(ev *event.Event, msg *sum.Message, old *row, id string) {
	ev.Decoder, ev.DecodedAs, ev.Type = decoderName, id, event.TypeOSSEC
	ev.Fields.Set(event.Filename, msg.Path)
	f := &event.FileChange{Path: msg.Path}
	ev.File = f
	var text string
	switch {
	case id == idDeleted:
		text = "File '" + cut(msg.Path, maxPath) + "' was deleted. Unable to retrieve checksum."
		f.Before, f.HasBefore = state(sum.Split(old.sum)), true
	case id == idNew && old != nil:
		text = "File '" + cut(msg.Path, maxPath) + "' was re-added."
	case id == idNew:
		text = added(f, msg)
	default:
		text = changed(f, msg, old.sum)
	}
	ev.FullLog = cut(text, maxText)
	ev.Log = ev.FullLog
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// state gives the attributes of a checksum text.
func state(f sum.Fields) event.FileState {
	return event.FileState{
		Size: f.Size, UID: f.UID, GID: f.GID, Mode: number(f.Mode), MD5: f.MD5, SHA1: f.SHA1, SHA256: f.SHA256,
	}
}

// number reads a mode as the JSON form shows it, always decimal.
func number(mode string) uint32 {
	v, err := strconv.ParseUint(mode, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(v)
}

// added composes the text of a new file.
func added(f *event.FileChange, msg *sum.Message) string {
	v := sum.Split(msg.Sum)
	f.After = state(v)
	for _, h := range [...]*string{&f.After.MD5, &f.After.SHA1} {
		if *h == "" {
			*h = unknown
		}
	}
	t := "New file '" + cut(msg.Path, maxPath) + "' added to the file system.\n" +
		"New sha1sum is : '" + f.After.SHA1 + "'\nNew md5sum is : '" + f.After.MD5 + "'\n"
	if v.N >= 7 {
		t += "New sha256sum is : '" + f.After.SHA256 + "'\n"
	}
	return t
}

// changed composes the text of a change. Of the attributes in f only those that changed and are known on both sides are set.
func changed(f *event.FileChange, msg *sum.Message, before string) string {
	a, b := sum.Split(before), sum.Split(msg.Sum)
	f.HasBefore = true
	var t strings.Builder
	t.WriteString("Integrity checksum changed for: '" + cut(msg.Path, maxPath) + "'\n")
	if a.Size != b.Size {
		f.Before.Size, f.After.Size = a.Size, b.Size
		t.WriteString("Size changed from '" + a.Size + "' to '" + b.Size + "'\n")
	}
	if x, y := sum.Mode(a.Mode), sum.Mode(b.Mode); x != y && x != 0 && y != 0 {
		f.Before.Mode, f.After.Mode = number(a.Mode), number(b.Mode)
		t.WriteString("Permissions changed from '" + sum.Permissions(x) + "' to '" + sum.Permissions(y) + "'\n")
	}
	if a.UID != b.UID {
		f.Before.UID, f.After.UID = a.UID, b.UID
		t.WriteString("Ownership was '" + a.UID + "', now it is '" + b.UID + "'\n")
	}
	if a.GID != b.GID {
		f.Before.GID, f.After.GID = a.GID, b.GID
		t.WriteString("Group ownership was '" + a.GID + "', now it is '" + b.GID + "'\n")
	}
	hashes(f, &t, a, b)
	if msg.Diff != "" {
		f.Diff = msg.Diff
		t.WriteString("What changed:\n" + msg.Diff)
	}
	return t.String()
}

// hashes writes the lines of the hashes that changed.
func hashes(f *event.FileChange, t *strings.Builder, a, b sum.Fields) {
	sha1a, sha1b := a.SHA1, b.SHA1
	if sha1a != sha1b && a.N == 6 && b.N >= 7 { // OSSEC shows the sha256 behind the sha1 when only one side has one
		sha1b += ":" + b.SHA256
	} else if sha1a != sha1b && a.N >= 7 && b.N == 6 {
		sha1a += ":" + a.SHA256
	}
	line := func(name, x, y string, before, after *string) {
		if x == y || !sum.Known(x) || !sum.Known(y) {
			return
		}
		*before, *after = x, y
		t.WriteString("Old " + name + " was: '" + x + "'\nNew " + name + " is : '" + y + "'\n")
	}
	line("md5sum", a.MD5, b.MD5, &f.Before.MD5, &f.After.MD5)
	if sum.Known(a.SHA1) && sum.Known(b.SHA1) {
		line("sha1sum", sha1a, sha1b, &f.Before.SHA1, &f.After.SHA1)
	}
	line("sha256sum", a.SHA256, b.SHA256, &f.Before.SHA256, &f.After.SHA256)
}
