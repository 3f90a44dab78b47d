package responders

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"time"
)

// Environ is the environment of every program that a response starts: nothing of the caller's but the time zone.
func Environ() []string {
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "LANG=C"}
	if tz, ok := os.LookupEnv("TZ"); ok {
		env = append(env, "TZ="+tz)
	}
	return env
}

// maxOutput is how much of a program's output is kept, in bytes.
const maxOutput = 4096

// runProgram starts argv without a shell, waits for it and gives its exit code and output. The program and its children are killed when
// ctx ends. err is set when it did not start or did not end by itself.
func runProgram(ctx context.Context, argv []string) (exit int, out string, err error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = Environ(), "/"
	var buf capture
	cmd.Stdout, cmd.Stderr = &buf, &buf
	cmd.WaitDelay = 2 * time.Second
	ownGroup(cmd)
	err = cmd.Run()
	var ee *exec.ExitError
	if ctx.Err() == nil && errors.As(err, &ee) && ee.ExitCode() >= 0 {
		return ee.ExitCode(), buf.String(), nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return 0, buf.String(), err
}

// capture keeps the first maxOutput bytes.
type capture struct{ bytes.Buffer }

func (c *capture) Write(p []byte) (int, error) {
	if room := maxOutput - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
