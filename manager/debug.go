package manager

import (
	"errors"

	"github.com/vedette-hids/vedette/internal/olog"
	"github.com/vedette-hids/vedette/keys"
)

// tellingCounters are counters that say, with remoted.debug, which numbers a refused message and the last accepted one had.
type tellingCounters struct {
	*keys.Counters
	log *olog.Log
}

// Accept is that of keys.Counters.
func (c tellingCounters) Accept(k *keys.Key, o keys.Opened) error {
	err := c.Counters.Accept(k, o)
	var e *keys.Error
	if err != nil && c.log.Debugging(1) && errors.As(err, &e) && e.Code == keys.CodeDuplicate {
		saved := c.Saved(k)
		c.log.Debug("Duplicate error:  global: %d, local: %d, saved global: %d, saved local:%d", o.Counter.Global, o.Counter.Local, saved.Global, saved.Local)
	}
	return err
}
