package responders

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// hostDeny keeps one line per address in hosts.deny (hosts.allow on FreeBSD).
func hostDeny(ctx context.Context, e *Env, c *Call) Result {
	entry, refused := denyEntry(e, c)
	if refused != nil {
		return *refused
	}
	unlock, err := lockFile(ctx, e, filepath.Join(e.Root, "active-response", "host-deny.lock"))
	if err != nil {
		e.log(fmt.Sprintf("%s Unable to execute. Locked: %s", e.date(), shorten(c.Script)))
		return Result{Exit: 1, Err: err}
	}
	defer unlock()
	old, err := os.ReadFile(e.HostsDeny)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{Exit: 1, Err: err}
	}
	if c.adding() {
		return denyAdd(e, c, string(old), entry)
	}
	text, n := withoutLine(string(old), entry)
	if n == 0 {
		return Result{Note: "no entry in " + e.HostsDeny}
	}
	if err := replaceKeeping(e.HostsDeny, []byte(text)); err != nil {
		return Result{Exit: 1, Err: err}
	}
	return Result{Note: "entry removed from " + e.HostsDeny}
}

// denyEntry makes the line for the address or host name.
func denyEntry(e *Env, c *Call) (line string, refused *Result) {
	arg := c.arg(2)
	host := ""
	if p, err := ParseTarget(arg, c.bits(e)); err == nil {
		if r := refuseProtected(e, c, p); r != nil {
			return "", r
		}
		host = p.Addr().String()
		if p.Addr().Is6() {
			host = "[" + host + "]"
			if !p.IsSingleIP() {
				host += fmt.Sprintf("/%d", p.Bits())
			}
		}
	} else if isHostName(arg) {
		host = arg
	} else {
		e.log(fmt.Sprintf("%s Invalid ip/hostname entry: %s", e.date(), shorten(arg)))
		r := refuse(1, fmt.Errorf("%q is neither an address nor a host name", shorten(arg)))
		return "", &r
	}
	if runtime.GOOS == "freebsd" {
		return "ALL : " + host + " : deny", nil
	}
	return "ALL:" + host, nil
}

func denyAdd(e *Env, c *Call, old, entry string) Result {
	if _, n := withoutLine(old, entry); n > 0 {
		e.log(fmt.Sprintf("IP %s already exists on host.deny...", shorten(c.arg(2))))
		return Result{Exit: 1, Note: "already in " + e.HostsDeny}
	}
	if old != "" && !strings.HasSuffix(old, "\n") {
		old += "\n"
	}
	if err := replaceKeeping(e.HostsDeny, []byte(old+entry+"\n")); err != nil {
		return Result{Exit: 1, Err: err}
	}
	return Result{Note: "entry added to " + e.HostsDeny}
}

// withoutLine removes the lines that are exactly entry.
func withoutLine(text, entry string) (rest string, removed int) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimRight(line, "\r\n") == entry {
			removed++
			continue
		}
		b.WriteString(line)
	}
	return b.String(), removed
}

// replaceKeeping replaces a file of the system atomically and keeps its mode, owner and security label. A symbolic link stays one. A
// file that cannot be replaced (mounted on its own, as in containers) is written in place.
func replaceKeeping(path string, data []byte) (err error) {
	if real, rerr := filepath.EvalSymlinks(path); rerr == nil {
		path = real
	}
	st, serr := os.Stat(path)
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	tmp := f.Name()
	defer func() {
		if err != nil {
			os.Remove(tmp)
			err = fmt.Errorf("replacing %s: %w", path, err)
		}
	}()
	if _, err = f.Write(data); err == nil {
		mode := fs.FileMode(0o644)
		if serr == nil {
			mode = st.Mode().Perm()
			copyOwner(f, st)
			copyLabel(f, path)
		}
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil && serr == nil {
		os.Remove(tmp)
		err = os.WriteFile(path, data, st.Mode().Perm())
	}
	return err
}

// lockWait is how long one request waits for another that holds the file.
const lockWait = 30 * time.Second

// lockFile takes an exclusive lock that dies with its holder.
func lockFile(ctx context.Context, e *Env, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o750); err == nil {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	const step = 10 * time.Millisecond
	for waited := time.Duration(0); ; waited += step {
		ok, err := tryLock(f)
		if ok {
			return func() { f.Close() }, nil
		}
		if err == nil && waited >= lockWait {
			err = fmt.Errorf("%s is held by another process", path)
		}
		if err == nil {
			err = e.Sleep(ctx, step)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
}
