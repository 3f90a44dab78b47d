// Package pattern implements the three pattern languages of OSSEC configuration, rules and decoders (spec patterns.md): OS_Match
// ("sregex", type Match), OS_Regex (type Regex) and caseless byte-mode PCRE2 (type PCRE2), plus the word match (type Word) and the
// multi-literal Automaton that tells which patterns can match a text at all.
//
// A pattern is classified once, when it is compiled, and the cheapest engine that is exact does the work:
//
//	literals      one literal or an alternation of literals, each possibly anchored: direct comparison, substring search, automaton
//	program       our own byte matcher (file vm.go): tight loops over byte classes, an explicit backtrack list, no allocations, a
//	              bounded number of steps
//	linear        Go's regexp, when the program ran out of steps, and for OS_Regex on texts that are not ASCII
//	backtracking  dlclark/regexp2 with a time limit, for what RE2 cannot express: lookaround, back references, atomic groups,
//	              conditionals, repeated groups that can be empty
//
// The invariant is that the choice of engine cannot be seen from outside: the same pattern on the same text gives the same match, end
// offset and captures in every engine that is allowed to run it. The tests compare the engines with each other and with a naive model.
//
// All compiled patterns are immutable and safe for concurrent use. A pattern ends at its first zero byte; texts are not searched for zero
// bytes, whoever takes text from outside cuts it there.
package pattern
