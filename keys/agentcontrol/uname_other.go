//go:build !unix

package agentcontrol

import "runtime"

func systemName() string { return runtime.GOOS + " " + hostname() + " " + runtime.GOARCH }
