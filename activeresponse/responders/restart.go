package responders

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// restartOSSEC restarts everything on add and does nothing on delete.
func restartOSSEC(_ context.Context, e *Env, c *Call) Result {
	if !c.adding() {
		return Result{Note: "nothing to do"}
	}
	restart := e.Restart
	if restart == nil {
		restart = func() error { return startDetached(filepath.Join(e.Root, "bin", "ossec-control"), "restart") }
	}
	if err := restart(); err != nil {
		return Result{Err: fmt.Errorf("restarting: %w", err)}
	}
	return Result{Note: "restart begun"}
}

// startDetached starts a program that outlives this process, and does not wait for it.
func startDetached(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = Environ(), "/"
	ownSession(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	go cmd.Wait() //nolint:errcheck // only to reap it; it ends when it ends, or outlives us
	return nil
}
