// Package agents is what an operator does with the agents of a manager: looking at them, finding out which configuration each gets,
// renaming and removing. It works on the files of the install root, beside a running manager, which notices changed keys by itself.
package agents
