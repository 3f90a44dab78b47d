// Package loggen makes log lines for tests and benchmarks: what a mail, web and shell server of a small shop writes on a busy day, with an
// adjustable share of attacks. The lines are invented; users, hosts and addresses come from the ranges reserved for documentation.
//
//	g := loggen.New(loggen.Options{Seed: 1, Attacks: 0.1})
//	for range 1000 {
//		line := g.Next()
//		send(line.Location, line.Text)
//	}
//
// The same options always give the same lines, on every machine and with every release of Go that keeps math/rand/v2's PCG. Time stamps
// begin at Options.Start and go forward by a random part of Options.Step for each line.
package loggen
