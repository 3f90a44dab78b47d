package logcollector

import (
	"context"
	"os/exec"
	"syscall"
)

// shell prepares a command for cmd.exe, which has rules of quoting of its own.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd.exe")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: "cmd.exe /c " + command}
	return cmd
}
