package quickstart

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// attempt is one line of the recorded attack; the address is from a range reserved for documentation.
const attempt = "%s shop sshd[%d]: Failed password for root from 203.0.113.45 port %d ssh2\n"

const attempts = 9

// Demo replays an ssh brute force and a file change into the instance at root, and says what to look for.
func Demo(ctx context.Context, root string, out io.Writer, now func() time.Time) error {
	logPath, filePath := filepath.Join(root, DemoLog), filepath.Join(root, DemoFile)
	if _, err := os.Stat(logPath); err != nil {
		return fmt.Errorf("no instance to demonstrate on at %s; start one with `make run` first: %w", root, err)
	}
	if _, err := os.Stat(filepath.Join(root, "queue", "ossec", "queue")); err != nil {
		return fmt.Errorf("the instance at %s is not running; start it with `make run` in another terminal: %w", root, err)
	}
	fmt.Fprintf(out, "1. An attacker guesses root's password %d times (appending to %s)\n", attempts, logPath)
	log, err := os.OpenFile(logPath, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer log.Close()
	for i := range attempts {
		if _, err := fmt.Fprintf(log, attempt, now().Format("Jan _2 15:04:05"), 4100+i, 40022+i); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		select {
		case <-time.After(150 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	fmt.Fprintf(out, "2. Somebody edits a watched file (%s)\n", filePath)
	text := fmt.Sprintf("# settings of an imaginary service\nport 31337\nworkers 4\n# changed %s\n", now().Format(time.RFC3339))
	if err := os.WriteFile(filePath, []byte(text), 0o640); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintln(out, "Watch the terminal of `make run`: failed logins (rule 5716), the brute force (5720) with the blocks it would cause,")
	fmt.Fprintln(out, "and the changed file with its difference (550).")
	return nil
}
