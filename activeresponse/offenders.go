package activeresponse

import (
	"time"

	"github.com/vedette-hids/vedette/internal/olog"
)

// offender counts the blocks of one key.
type offender struct {
	Key   string    `json:"key"`
	Count int       `json:"count"` // escalations so far: 0 = blocked once
	Last  time.Time `json:"last"`
}

// maxOffenders bounds the table; the one that was quiet longest goes first.
const maxOffenders = 4096

// maxLevels is how many values of <repeated_offenders> count (spec active-response.md, section 11).
const maxLevels = 5

// offenders lengthens the blocks of those who come back.
type offenders struct {
	levels []time.Duration // periods of the 2nd, 3rd, … offence; empty = feature off
	byKey  map[string]*offender
}

// newOffenders takes the configured values; the list ends at the first one below 1.
func newOffenders(minutes []int, unit time.Duration, log *olog.Log) *offenders {
	o := &offenders{byKey: map[string]*offender{}}
	if unit <= 0 {
		unit = time.Minute
	}
	for i, m := range minutes[:min(len(minutes), maxLevels)] {
		log.Info("Adding offenders timeout: %d (for #%d)", m, i+1)
	}
	for i, m := range minutes[:min(len(minutes), maxLevels)] {
		if m < 1 {
			log.Error("Offenders timeout #%d is %d, expected 1 or more; it and those behind it are not used.", i+1, m)
			break
		}
		o.levels = append(o.levels, time.Duration(min(m, maxSeconds/60))*unit)
	}
	return o
}

// first gives the period of a new block whose configured period is base, and which offence of this key it is. The configured period is
// never shortened.
func (o *offenders) first(key string, base time.Duration, now time.Time) (period time.Duration, nth int) {
	if len(o.levels) == 0 {
		return base, 1
	}
	if k, known := o.byKey[key]; known {
		return o.escalate(k, base, now)
	}
	o.makeRoom()
	o.byKey[key] = &offender{Key: key, Last: now}
	return base, 1
}

// again counts an offence during a block. It gives the new period; ok is false if the key is not counted.
func (o *offenders) again(key string, base time.Duration, now time.Time) (period time.Duration, nth int, ok bool) {
	k, known := o.byKey[key]
	if len(o.levels) == 0 || !known {
		return 0, 0, false
	}
	period, nth = o.escalate(k, base, now)
	return period, nth, true
}

func (o *offenders) escalate(k *offender, base time.Duration, now time.Time) (time.Duration, int) {
	level := o.levels[min(k.Count, len(o.levels)-1)]
	k.Count++
	k.Last = now
	return max(level, base), k.Count + 1
}

// pardon forgets a key.
func (o *offenders) pardon(key string) { delete(o.byKey, key) }

func (o *offenders) makeRoom() {
	if len(o.byKey) < maxOffenders {
		return
	}
	var oldest *offender
	for _, k := range o.byKey {
		if oldest == nil || k.Last.Before(oldest.Last) {
			oldest = k
		}
	}
	delete(o.byKey, oldest.Key)
}
