package rules

import (
	"time"

	"github.com/vedette-hids/vedette/event"
	"github.com/vedette-hids/vedette/rules/decode"
	"github.com/vedette-hids/vedette/rules/list"
)

// File is the text of one rules file. Name is the path that messages show.
type File struct {
	Name string
	Data []byte
	Err  error // not nil: the file is configured but could not be read
}

// ListFile is one declared list. Name is what list.Name gives; a nil DB means that there is no file.
type ListFile struct {
	Name string
	DB   *list.DB
}

// Sources is everything that a ruleset is made of, in load order.
type Sources struct {
	Rules    []File
	Decoders []decode.Source
	Lists    []ListFile
}

// Options are the settings that a ruleset is compiled with and that a State follows. The zero value is not usable: begin with
// DefaultOptions.
type Options struct {
	LogLevel   int // rules of this level and above are logged
	EmailLevel int // rules of this level and above are marked for mail

	DefaultTimeframe   int // seconds, analysisd.default_timeframe
	MemorySize         int // events in the recent-events memory; below 2048 becomes 2048
	SIDPrevMatchedMax  int // events kept per if_matched_sid list
	FTSListSize        int // analysisd.fts_list_size
	FTSMinSizeForStr   int // analysisd.fts_min_size_for_str
	DecoderOrderSize   int // analysisd.decoder_order_size
	LogFirewall        bool
	SuppressRepeats    bool // drop texts equal to one of the last three different ones
	SuppressByLocation bool // compare the location too when suppressing; one OSSEC matching thread does not
	Shards             int  // rule_matching_threads: how many recent-events memories there are; below 1 becomes 1

	StatsLevel       int // level of statistical alerts, 0 = none
	StatsPercentDiff int
	StatsMinDiff     int
	StatsMaxDiff     int

	OssecExact bool // restore OSSEC's silent mis-evaluations

	LocalHost string         // short name of the manager's host, for events without one
	Location  *time.Location // zone of <time>, <weekday> and the statistics; nil = time.Local

	// Warn takes the text of a run-time warning ("WARN: ..."), from any goroutine; nil discards.
	Warn func(text string)

	// Responds tells whether a rule has active responses; nil = every rule may have. A rule that is neither logged nor answered gets no
	// alert number.
	Responds func(r *event.Rule) bool
}

// DefaultOptions are OSSEC's defaults.
func DefaultOptions() Options {
	return Options{
		LogLevel: 1, EmailLevel: 7, DefaultTimeframe: 360, MemorySize: 8192, SIDPrevMatchedMax: 128,
		FTSListSize: 32, FTSMinSizeForStr: 14, DecoderOrderSize: 256, LogFirewall: true,
		SuppressRepeats: true, SuppressByLocation: true, Shards: 1,
		StatsLevel: 4, StatsPercentDiff: 150, StatsMinDiff: 1250, StatsMaxDiff: 999000,
	}
}

// ForTestTool gives the options as ossec-logtest has them: it neither suppresses repeated texts nor touches firewall events, and keeps no
// statistics (spec rules.md, section 16).
func (o Options) ForTestTool() Options {
	o.SuppressRepeats, o.LogFirewall, o.StatsLevel = false, false, 0
	return o
}

// normalised repairs values that would make no sense.
func (o Options) normalised() Options {
	o.MemorySize = max(o.MemorySize, 2048)
	o.Shards = max(o.Shards, 1)
	if o.SIDPrevMatchedMax < 1 {
		o.SIDPrevMatchedMax = 128
	}
	if o.DefaultTimeframe < 1 {
		o.DefaultTimeframe = 360
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	return o
}
