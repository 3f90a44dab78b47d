package responders

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// disableAccount locks or unlocks the password of an ordinary account. The exit code is 1 whatever happens, as the stock script's.
func disableAccount(ctx context.Context, e *Env, c *Call) Result {
	name := c.arg(1)
	if name == "root" {
		fmt.Fprintf(e.Stdout, "%s: Invalid username.\n", c.Script)
		return refuse(1, errors.New("root is never locked"))
	}
	if err := e.lockable(name); err != nil {
		return refuse(1, err)
	}
	flag, note := "-l", "account locked"
	if !c.adding() {
		flag, note = "-u", "account unlocked"
	}
	argv := []string{"/usr/bin/passwd", flag, name}
	exit, out, err := e.Run(ctx, argv)
	if err := programError(argv, exit, out, err); err != nil {
		return Result{Exit: 1, Err: err}
	}
	return Result{Exit: 1, Note: note}
}

// lockable refuses what is not the name of an existing ordinary account.
func (e *Env) lockable(name string) error {
	if err := CheckUser(name); err != nil {
		return err
	}
	uid, err := e.LookupUser(name)
	if err != nil {
		return err
	}
	if lowest := lowestUser("/etc/login.defs"); uid < lowest || uid == 65534 {
		return fmt.Errorf("%s is a system account (uid %d)", name, uid)
	}
	return nil
}

// CheckUser accepts the bytes that the manager accepts in user names, not beginning with a dash.
func CheckUser(name string) error {
	switch {
	case name == "" || len(name) > 255:
		return errors.New("a user name has 1 to 255 bytes")
	case name[0] == '-':
		return fmt.Errorf("user name %q begins with a dash", name)
	}
	for _, r := range name {
		if !strings.ContainsRune(hostBytes+".@?", r) {
			return fmt.Errorf("user name %q has a byte that is not allowed", name)
		}
	}
	return nil
}

// lowestUser gives UID_MIN of login.defs, 1000 without one.
func lowestUser(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 1000
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) == 2 && f[0] == "UID_MIN" {
			if n, err := strconv.Atoi(f[1]); err == nil && n > 0 {
				return n
			}
		}
	}
	return 1000
}
