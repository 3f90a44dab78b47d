//go:build !linux

package responders

// Packet filter sets and routes are only implemented for Linux.

func systemSets() SetBackend { return nil }

func systemRoutes() RouteBackend { return nil }
