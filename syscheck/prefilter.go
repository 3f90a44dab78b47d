package syscheck

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/syscheck/sum"
)

// prefilterTime bounds one run of the prefilter command.
const prefilterTime = 60 * time.Second

// prefilter computes the md5 and sha1 of what the configured command prints for a file (spec section 1). The command line is split
// at blanks, the path is its last argument; no shell sees either.
func (m *Monitor) prefilter(ctx context.Context, path string, set sum.Set) (d sum.Digests, err error) {
	ctx, cancel := context.WithTimeout(ctx, prefilterTime)
	defer cancel()
	args := append(strings.Fields(m.cfg.PrefilterCmd), path)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return d, fmt.Errorf("prefilter command: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return d, fmt.Errorf("prefilter command: %w", err)
	}
	d, _, err = sum.NewHasher().Read(ctx, out, set&(sum.MD5|sum.SHA1), sum.Limits{Bytes: m.opts.MaxFileSize})
	if werr := cmd.Wait(); err == nil && werr != nil && ctx.Err() != nil {
		err = werr
	}
	return d, err
}
