// Package patterntest serves tests that compare the engines with something simpler. It holds the pattern languages written down once
// more, as plainly as can be, on top of Go's regexp (Plain), texts that a pattern matches (Sampler), and log lines mixed from logs, texts
// and damage (Mixer). It shares no code with package pattern. Only tests import it.
package patterntest
