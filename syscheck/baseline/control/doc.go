// Package control is the tools syscheck_control and syscheck_update: they list, silence and clear the manager's file integrity state with the
// flags, texts and exit codes of OSSEC (spec syscheck.md, section 16; operations.md, section 11.2).
//
// They work beside a running manager. What they change in the database they change in OSSEC's text database too where one is
// left, so that both stay the same.
package control
