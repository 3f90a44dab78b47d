//go:build !linux

package rootcheck

func newKernel(string) kernel { return nil }
