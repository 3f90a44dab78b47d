//go:build unix

package activeresponse

import (
	"io/fs"
	"os"
	"os/exec"
	"syscall"
)

// exposed says why a file must not be run, "" if it may: only root (or the user that we run as) may own it or write it.
func exposed(st fs.FileInfo) string {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	if sys.Uid != 0 && int(sys.Uid) != os.Geteuid() {
		return "is not owned by root"
	}
	if st.Mode().Perm()&0o002 != 0 || st.Mode().Perm()&0o020 != 0 && sys.Gid != 0 && int(sys.Gid) != os.Getegid() {
		return "can be changed by others"
	}
	return ""
}

// isolate gives a program its own process group, or session if it is to outlive us.
func isolate(cmd *exec.Cmd, detached bool) {
	if detached {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		cmd.Cancel = func() error { return os.ErrProcessDone }
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
