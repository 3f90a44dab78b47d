// Package activeresponse decides on the manager which alerts call for a response (Decider), and carries responses out on a host
// (Executor), with timeouts, repeated offenders and a way back for every block.
//
// The way of a response:
//
//	alert ─► Decider.Decide ─► Decision ─► this host: ExecqText / event.Response ─┐
//	                              │                                               ├─► Executor.Submit ─► add … wait … delete
//	                              └──────► agents: ARQueueText / "execd " text ───┘
//
// The Decider is pure: it reads no clock and no file, keeps a bounded Journal of what it decided and why, and knows rules only as
// event.Rule. The Executor owns everything that happens on the host: which program a name stands for (etc/shared/ar.conf), whether the
// same block is already in place, how long a repeated offender stays blocked, and when the block ends. Its programs are the compiled-in
// responders (package responders) or files in active-response/bin, started with an argument vector, never through a shell.
//
// The one invariant: a block with a timeout is written to the state file before it is made, and leaves that file only after it was
// taken back. So nothing stays blocked by accident, whatever dies in between; and nothing is taken back before its time.
//
// Spec: active-response.md, rules.md section 13, protocol.md section 15.
package activeresponse
