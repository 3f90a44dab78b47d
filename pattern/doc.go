// Package pattern implements the three pattern languages of OSSEC configuration, rules and decoders: OS_Match ("sregex"), OS_Regex and
// PCRE2 (spec patterns.md), plus the multi-literal automaton that decides which patterns can match a text at all.
package pattern
