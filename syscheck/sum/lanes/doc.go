// Package lanes computes the MD5, SHA-1 and SHA-256 of several streams side by side, one stream to each lane of the processor's vector
// registers. Nearly all the time that one MD5 takes is waiting for the step before; sixteen of them take hardly longer than one.
//
// A State holds the running digests of all lanes. Blocks moves all of them on by the same number of 64 byte blocks; Start, Load and
// Save move one stream into its lane and out of it, into a hash of the standard library, which pads and finishes it. The invariant:
// a lane always holds the state of a whole number of blocks.
package lanes
