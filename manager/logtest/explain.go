package logtest

import (
	"bufio"
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/manager/ruleset"
)

// Explain reads log lines from env.Stdin and writes to env.Stdout how each is decoded and why the rules do or do not match: all that are
// tried, or with id above 0 only that one and those above it. asJSON gives an object per event instead. set must hold rules that were
// loaded for the test tool.
func Explain(env Env, set ruleset.Set, id int, asJSON bool) error {
	t := &tool{Env: env, set: set, explain: true, explainRule: id, json: asJSON}
	if t.Now == nil {
		t.Now = time.Now
	}
	t.out = bufio.NewWriter(t.Stdout)
	t.err = t.out // one stream keeps the order
	t.log = olog.New("", env.Stderr)
	t.reset()
	return t.lines()
}
