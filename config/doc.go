// Package config reads the configuration files of an install root: ossec.conf, agent.conf and the internal options. It keeps the file and
// line of every element (package xmlconf has the tolerant reader), reports all problems at once, and gives typed values with OSSEC's defaults.
// Implements spec configuration.md.
package config
