// Package responders holds the compiled-in programs of active-response/bin: host-deny.sh, firewall-drop.sh, nftables-drop.sh,
// firewalld-drop.sh, route-null.sh, disable-account.sh, ip-customblock.sh,
// restart-ossec.sh and ossec-slack.sh.
//
// Each responder exists twice, from the same code. Main behaves as the stock script of that name on the command line: the same
// arguments, the same line in logs/active-responses.log, the same texts and exit codes. Respond is what the executor calls in its own
// process and reports success as "the block is there" or "the block is gone", however often it is asked.
//
// Arguments come from log lines that strangers wrote. So nothing here runs a shell, every address is parsed and written again in
// canonical form, and an address that the machine needs (package protect) is never blocked. Taking a block back is never refused for
// that reason.
//
// Spec: active-response.md, sections 13 to 15.
package responders
