// Package unittest runs tests of rules and decoders: log lines with the rule, level and decoder they must end in.
//
// Two file forms are read. The INI form is the one that OSSEC's own rule tests use; every line is judged by itself, with a fresh state:
//
//	[Failed logins]
//	log 1 pass = Jan  1 10:00:00 web1 sshd[1]: Failed password for bob from 192.0.2.1 port 22 ssh2
//	log 2 fail = Jan  1 10:00:00 web1 sshd[1]: something else
//	rule = 5716
//	alert = 5
//	decoder = sshd
//
// The YAML form can also follow several lines through correlation, check fields, and let time pass between lines:
//
//	# failures.yaml
//	- name: three failures
//	  steps:
//	    - log: "Jan  1 10:00:00 web1 sshd[1]: Failed password for bob from 192.0.2.1 port 22 ssh2"
//	      rule: 5716
//	      level: 5
//	      decoder: sshd
//	      fields: {srcip: 192.0.2.1}
//	    - log: "Jan  1 10:00:09 web1 sshd[1]: Failed password for bob from 192.0.2.1 port 22 ssh2"
//	      after: 9s
//	      alert: true
//
// What a step does not state is not checked; "rule: none" and "decoder: none" demand that nothing matches. Run also counts which rules were
// exercised, so that a suite can say what it does not cover.
package unittest
