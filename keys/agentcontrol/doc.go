// Package agentcontrol is the tools agent_control and list_agents: what the manager knows about its agents, and requests to them
// (spec protocol.md, sections 22 and 23; operations.md, 11.1). What they print is OSSEC's, byte for byte, because scripts read it.
//
// List is the agent list that syscheck_control and rootcheck_control show too; Maintenance is the marker of an agent whose file changes are
// accepted silently.
//
// The invariant: the tools only read the manager's files. Requests are datagrams to queue/alerts/ar, and "done" means handed over, not
// delivered.
package agentcontrol
