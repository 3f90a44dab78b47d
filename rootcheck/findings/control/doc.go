// Package control is the tool rootcheck_control: it lists and clears what rootcheck has found, host by host (spec rootcheck.md, section 14;
// operations.md, 11.3). Text and CSV are OSSEC's, byte for byte, with the doubled "System Audit: " that scripts cut off; the JSON form, which
// OSSEC prints as "(null)", is made to work and has the plain text.
package control
