// Package config reads the configuration files of an install root: ossec.conf, agent.conf, internal options and ar.conf. It reports all
// problems at once, each with file, line and what was expected, and gives typed values with OSSEC's defaults. Implements spec configuration.md.
//
//	cfg, problems := config.Load(root, "etc/ossec.conf")
//	if err := problems.For(config.AgentPrograms).Err(); err != nil { ... } // ManagerPrograms on a manager
//	opts, more := config.LoadOptions(root)
//	who, err := config.ReadAgentInfo(root, system)
//	for _, line := range config.LoadAgentConf(root, who, cfg, opts).LogAll() { ... }
//
// A problem knows which of OSSEC's programs read the part that it is in. That matters twice: an agent must not refuse to start because of a
// section that only managers read, and the tools that behave as an OSSEC program show that program's share (ForDaemon, LogTexts).
//
// The one invariant: what is refused is refused with OSSEC's message and number, and a Config whose problems have no Err holds only values in
// range. Nothing here looks at the network (CheckNames apart), starts goroutines or keeps state.
package config
