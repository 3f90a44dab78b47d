package responders

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// customBlock keeps one empty file per address in a directory that other programs watch. The exit code is 1 whatever happens, as the
// stock script's.
func customBlock(_ context.Context, e *Env, c *Call) Result {
	p, err := ParseTarget(c.arg(2), 128)
	if err != nil {
		return refuse(1, err)
	}
	if r := refuseProtected(e, c, p); r != nil {
		return *r
	}
	file := filepath.Join(e.BlockDir, p.Addr().String())
	if !c.adding() {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Result{Exit: 1, Err: err}
		}
		return Result{Exit: 1, Note: "no file " + file}
	}
	if err := os.MkdirAll(e.BlockDir, 0o755); err != nil {
		return Result{Exit: 1, Err: err}
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return Result{Exit: 1, Err: err}
	}
	return Result{Exit: 1, Note: "file " + file, Err: f.Close()}
}
