//go:build !linux

package rootcheck

func promiscuousInterfaces() ([]promiscuous, error) { return nil, nil }
