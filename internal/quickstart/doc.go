// Package quickstart is what `vedette run` and `vedette demo` do: lay out a throw-away install root that needs no privileges, run the
// manager in it, show alerts as they come, and replay a small attack for the first look.
package quickstart
