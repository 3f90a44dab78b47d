package responders

import (
	"io/fs"
	"os"
	"os/exec"
)

// tryLock always succeeds: the executor of this host is the only writer.
func tryLock(*os.File) (bool, error) { return true, nil }

func copyOwner(*os.File, fs.FileInfo) {}

func ownGroup(*exec.Cmd) {}

func ownSession(*exec.Cmd) {}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o660)
}
