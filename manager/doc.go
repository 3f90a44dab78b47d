// Package manager is the life of vedette-manager: it reads the configuration, starts listeners, fleet, pipeline and outputs, and stops
// them in reverse order. The host component is not part of it; it meets the manager through Local (events in) and Options.Local
// (commands out).
package manager
