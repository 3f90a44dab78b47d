// Package rootcheck looks for signs of rootkits on a host and checks the host against policies (spec rootcheck.md). A Scanner runs the
// checks one after the other, each in a file of its own:
//
//	files.go     files that known rootkits leave (rootkit_files)
//	trojans.go   programs that hold strings of known trojans (rootkit_trojans)
//	policy*.go   policies in the RCL language (system_audit)
//	dev.go       regular files in /dev
//	sys.go       anomalies of the file system: hidden entries, wrong sizes, writable files of root
//	pids*.go     processes that one interface of the kernel shows and another does not
//	ports*.go    ports in use that the kernel does not list
//	ifaces*.go   interfaces in promiscuous mode
//
// Every finding is one message of kind '9', sent at every scan while it lasts; the manager decides what is new (package findings).
//
// The invariant: a finding is sent only when a second look, some time after the first, says the same. Whatever can change on a living host
// between two system calls (a process that ends, a file that grows, a connection that closes) gives no finding.
package rootcheck
