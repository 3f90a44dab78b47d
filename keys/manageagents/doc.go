// Package manageagents is the tool manage_agents: adding, removing, listing agents and carrying their keys, by menu, by flags, in bulk, or
// driven by environment variables (spec protocol.md, section 21). What it prints on standard output is OSSEC's, byte for byte, because
// scripts read it.
//
// The invariant: client.keys is read, changed and replaced under one lock, so two runs and the enrolment server never lose each other's
// changes; nothing is kept in memory between two questions.
package manageagents
