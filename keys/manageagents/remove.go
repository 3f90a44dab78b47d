package manageagents

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vedette-hids/vedette/keys"
)

// remove is the dialogue.
func (t *tool) remove() {
	if !t.table() {
		t.print(none)
		return
	}
	for {
		id, left := t.removeID()
		if left {
			return
		}
		if t.file().HasID(id) {
			t.removeConfirmed(id)
			return
		}
		t.refuse(78, "Invalid ID '%s' given. ID is not present", id)
		t.print(noID, id)
		if t.env("OSSEC_ACTION") != "" {
			return
		}
	}
}

// removeID asks for the id; that of the environment is shown.
func (t *tool) removeID() (id string, left bool) {
	t.print("Provide the ID of the agent to be removed (or '\\q' to quit): ")
	id = t.env("OSSEC_AGENT_ID")
	if id != "" {
		t.print("%s\n", id)
	} else {
		id = t.ask()
	}
	return keys.PadID(id), quit(id)
}

func (t *tool) removeConfirmed(id string) {
	yes, left := t.confirmed("Confirm deleting it?", true)
	if !yes {
		if !left {
			t.print("Not removing.\n")
		}
		return
	}
	if err := t.drop(id); errors.Is(err, keys.ErrNoID) {
		t.refuse(78, "Invalid ID '%s' given. ID is not present", id)
		t.print(noID, id)
		return
	} else if err != nil {
		t.check(err)
	}
	t.print("Agent '%s' removed.\n", id)
	t.respond("Agent removed")
}

// drop backs up what is known about an agent, removes its line, then its files.
func (t *tool) drop(id string) error {
	var files []agentFile
	err := t.edit(func(f *keys.File) error {
		e, err := f.Remove(id)
		if err != nil {
			return err
		}
		if files, err = agentFiles(e); err != nil {
			t.log.Warn("Files of agent '%s' are left in place: %v", id, err)
			return nil
		}
		return t.backup(files)
	})
	if err != nil {
		return err
	}
	for i, f := range files {
		if err := os.Remove(t.path(f.path)); err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			reason, _ := osReason(err)
			t.log.Error("Cannot unlink /%s: %s", f.path, reason)
		}
	}
	return nil
}

// displace removes the owner of an address when -F says that it may go: its agent-info file is older than that, or absent.
func (t *tool) displace(owner keys.Entry) bool {
	text := t.env("OSSEC_REMOVE_DUPLICATED")
	seconds, err := strconv.ParseUint(text, 10, 31)
	if text == "" || err != nil {
		return false
	}
	files, err := agentFiles(owner)
	if err != nil {
		return false
	}
	if st, err := os.Stat(t.path(files[0].path)); err == nil && t.Now().Sub(st.ModTime()) < time.Duration(seconds)*time.Second {
		return false
	}
	if first, _ := t.file().ByID(owner.ID); first != owner {
		t.log.Error("Agent '%s' keeps its address: another line has the id %s", owner.Name, owner.ID)
		return false
	}
	t.check(t.drop(owner.ID))
	return true
}

// RemoveAll removes agents as -r does, all or none: the key file is written once. Files of theirs that could not be deleted are in the error; the agents are
// gone then all the same.
func RemoveAll(root string, ids []string, now time.Time) error {
	t := &tool{Env: Env{Root: root, Server: true, Now: func() time.Time { return now }}}
	var files []agentFile
	err := t.edit(func(f *keys.File) error {
		var gone []keys.Entry
		for _, id := range ids {
			e, err := f.Remove(id)
			if err != nil {
				return err
			}
			gone = append(gone, e)
		}
		for _, e := range gone {
			own, err := agentFiles(e)
			if err != nil {
				continue // a name that cannot be one of a file has none
			}
			if err := t.backup(own); err != nil {
				return err
			}
			files = append(files, own...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, f := range files {
		if err := os.Remove(t.path(f.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// RemoveSilent removes an agent as -r does if it was not heard for a time, or never, and reports whether it did.
func RemoveSilent(root string, e keys.Entry, silent time.Duration, now time.Time) (bool, error) {
	files, err := agentFiles(e)
	if err != nil {
		return false, err
	}
	if st, err := os.Stat(filepath.Join(root, files[0].path)); err == nil && now.Sub(st.ModTime()) < silent {
		return false, nil
	}
	f, err := keys.ReadFile(filepath.Join(root, "etc", "client.keys"))
	if err != nil {
		return false, err
	}
	if first, _ := f.ByID(e.ID); first != e { // the id would hit another agent
		return false, fmt.Errorf("removing agent %s: another line of client.keys has the id %s", e.Name, e.ID)
	}
	var errs strings.Builder
	code := Run(Env{Root: root, Server: true, Args: []string{"-r", e.ID}, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &errs,
		Now: func() time.Time { return now }})
	if f, err = keys.ReadFile(filepath.Join(root, "etc", "client.keys")); err != nil {
		return false, err
	}
	if _, left := f.ByID(e.ID); left || code != 0 {
		return false, fmt.Errorf("removing agent %s: %s", e.ID, strings.TrimSpace(errs.String()))
	}
	return true, nil
}

// agentFile is a file of the manager that belongs to one agent.
type agentFile struct {
	path   string // below the install root
	backup string // name in the backup directory, "" = not kept
}

// agentFiles lists the files of an agent; the first is agent-info. It refuses entries whose fields would lead out of the directories.
func agentFiles(e keys.Entry) ([]agentFile, error) {
	ip, _, _ := strings.Cut(e.IP, "/")
	if strings.ContainsAny(e.Name+e.ID, "/\x00") || e.ID == "" || e.ID == "." || e.ID == ".." {
		return nil, fmt.Errorf("id %q or name %q cannot be part of a file name", e.ID, e.Name)
	}
	label := "(" + e.Name + ") " + ip
	return []agentFile{
		{"queue/agent-info/" + e.Name + "-" + ip, "agent-info"},
		{"queue/syscheck/" + label + "->syscheck", "syscheck"},
		{"queue/syscheck/." + label + "->syscheck.cpt", "syscheck.cpt"},
		{"queue/syscheck/" + label + "->syscheck-registry", "syscheck-registry"},
		{"queue/syscheck/." + label + "->syscheck-registry.cpt", "syscheck-registry.cpt"},
		{"queue/syscheck/." + label + ".maint", ""},
		{"queue/rootcheck/" + label + "->rootcheck", "rootcheck"},
		{"queue/rids/" + e.ID, ""},
	}, nil
}

// backup keeps the files of an agent in a directory of their own under backup/agents.
func (t *tool) backup(files []agentFile) error {
	dir := t.path("backup", "agents", filepath.Base(files[0].path)+t.Now().Format("-2006-01-02-150405"))
	for _, f := range files {
		if f.backup == "" {
			continue
		}
		if err := keep(t.path(f.path), dir, f.backup); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("backing up /%s: %w", f.path, err)
		}
	}
	return nil
}

// keep links path into dir, or copies it when dir is on another file system.
func keep(path, dir, name string) error {
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	to := filepath.Join(dir, name)
	err := os.Link(path, to)
	if err == nil || errors.Is(err, fs.ErrExist) && same(path, to) { // of a removal that failed later
		return nil
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// dropCounters removes files of queue/rids; the sender then starts at the present time and the receiver at zero.
func (t *tool) dropCounters(names ...string) {
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			continue
		}
		if err := os.Remove(t.path("queue", "rids", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.log.Error("Cannot unlink /queue/rids/%s: %v", name, err)
		}
	}
}

// report sends an event to the local queue, when there is one and it has room.
func (t *tool) report(text string) {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: t.path("queue", "ossec", "queue"), Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	if conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = conn.Write([]byte("1:manage_agents:" + text))
	}
}

// osReason gives the system's words for an error and its number.
func osReason(err error) (string, int) {
	var no syscall.Errno
	if errors.As(err, &no) {
		text := no.Error()
		return strings.ToUpper(text[:1]) + text[1:], int(no)
	}
	return err.Error(), 0
}
