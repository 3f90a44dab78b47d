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
