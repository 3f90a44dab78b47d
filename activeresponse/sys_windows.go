package activeresponse

import (
	"io/fs"
	"os/exec"
)

// exposed trusts the access control list that the installer set on the folder.
func exposed(fs.FileInfo) string { return "" }

func isolate(*exec.Cmd, bool) {}
