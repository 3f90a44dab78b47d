package ruleset

import (
	"os"
	"strings"

	"github.com/vedette-hids/vedette/config"
	"github.com/vedette-hids/vedette/rules"
)

// Set is a ruleset with what it was made of.
type Set struct {
	Config   *config.Config
	Internal *config.Options
	Sources  rules.Sources
	Rules    *rules.Ruleset // nil when a problem prevents its use
}

// Options of Load.
type Options struct {
	Root     string
	Config   string                            // path of ossec.conf; "" = etc/ossec.conf in the root
	Hostname string                            // of this manager; "" = the system's
	Adjust   func(rules.Options) rules.Options // nil = as the manager has them
}

// Load reads everything and reports every problem of the parts that the analysis reads. It goes on after a fault, so that all are seen.
func Load(o Options) (Set, config.Problems) {
	var s Set
	var all, ps config.Problems
	if o.Config == "" {
		o.Config = "etc/ossec.conf"
	}
	s.Internal, ps = config.LoadOptions(o.Root)
	all = append(all, ps.For(config.Analysisd)...)
	s.Config, ps = config.Load(o.Root, o.Config)
	all = append(all, ps.For(config.Analysisd)...)
	if ps.For(config.Analysisd).Err() != nil && len(s.Config.Rules.Rules) == 0 {
		return s, all // without a rules section there is nothing more to say
	}
	s.Sources, ps = rules.ReadSources(o.Root, s.Config.Rules)
	all = append(all, ps...)
	opts := EngineOptions(s.Config, s.Internal)
	if o.Hostname != "" {
		opts.LocalHost = Short(o.Hostname)
	}
	if o.Adjust != nil {
		opts = o.Adjust(opts)
	}
	s.Rules, ps = rules.Load(s.Sources, opts)
	return s, append(all, ps...)
}

// EngineOptions takes the settings of the rule engine from the configuration.
func EngineOptions(cfg *config.Config, in *config.Options) rules.Options {
	o := rules.DefaultOptions()
	o.LogLevel, o.EmailLevel = cfg.Alerts.LogLevel, cfg.Alerts.EmailLevel
	o.DefaultTimeframe = in.Int("analysisd.default_timeframe")
	o.MemorySize = cfg.Global.MemorySize
	o.SIDPrevMatchedMax = in.Int("analysisd.sid_prev_matched_max")
	o.FTSListSize, o.FTSMinSizeForStr = in.Int("analysisd.fts_list_size"), in.Int("analysisd.fts_min_size_for_str")
	o.DecoderOrderSize = in.Int("analysisd.decoder_order_size")
	o.LogFirewall = in.Bool("analysisd.log_fw")
	o.StatsLevel = cfg.Global.Stats
	o.StatsPercentDiff = in.Int("analysisd.stats_percent_diff")
	o.StatsMinDiff, o.StatsMaxDiff = in.Int("analysisd.stats_mindiff"), in.Int("analysisd.stats_maxdiff")
	o.OssecExact = cfg.Global.OssecExact
	o.SuppressByLocation = !cfg.Global.OssecExact
	o.LocalHost = Short(Hostname())
	return o
}

// Hostname is the name of this machine, "localhost" when it has none.
func Hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

// Short is the first label of a host name.
func Short(host string) string {
	short, _, _ := strings.Cut(host, ".")
	return short
}
