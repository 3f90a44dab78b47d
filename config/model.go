package config

import (
	"net/netip"
	"time"

	"github.com/vedette-hids/vedette/pattern"
)

// Config is a whole ossec.conf, with defaults filled in (spec configuration.md, section 3). Blocks that the file does not have are
// nil or empty.
type Config struct {
	File            string // path it was read from
	Global          Global
	Alerts          Alerts
	EmailAlerts     []EmailAlert
	Rules           Rules
	Syscheck        *Syscheck  // nil: no section
	Rootcheck       *Rootcheck // nil: no section
	Localfiles      []Localfile
	Commands        []Command
	ActiveResponses []ActiveResponse
	AR              ResponseExecutor
	Remotes         []Remote
	Auth            *Auth // nil: no section
	Client          *Client
	SyslogOutputs   []SyslogOutput
	Database        *Database
	Reports         []Report
	Agentless       []Agentless
}

// Position is where an element stands.
type Position struct {
	File string
	Line int
}

// Global is the <global> section, both parts.
type Global struct {
	LogAll, LogAllJSON, JSONOut bool
	CustomAlertOutput           string // "" = unset
	Stats                       int    // level of statistical alerts, 0 = off
	MemorySize                  int    // events kept for correlation, at least 2048
	AllowIPs                    []AddressSpec
	AllowHosts                  []string // entries that are not addresses
	EmailNotification           bool
	EmailTo                     []string
	EmailFrom, EmailReplyTo     string
	EmailIDSName                string
	SMTPServer, HeloServer      string
	EmailMaxPerHour             int
	AuthSMTP, SecureSMTP        bool
	SMTPTLSVerify               bool
	SMTPPort                    int // 0 = by mode
	SMTPUser, SMTPPassword      string
	OssecExact                  bool // Vedette: restore OSSEC's silent mis-evaluations
}

// AddressSpec is an address or network, possibly negated (spec protocol.md, section 1.1). Any matches every address.
type AddressSpec struct {
	Text   string
	Prefix netip.Prefix
	Any    bool
	Negate bool
}

// Alerts is the <alerts> section.
type Alerts struct{ LogLevel, EmailLevel int }

// EmailAlert is one <email_alerts> section.
type EmailAlert struct {
	To            string
	Level         int
	RuleIDs       []int
	Group         *pattern.Match // nil = any
	EventLocation *pattern.Match
	DoNotDelay    bool
	DoNotGroup    bool
	Pos           Position
}

// Rules is the <rules> section: files in load order, as paths relative to the install root.
type Rules struct {
	Rules           []string // "rules/sshd_rules.xml"
	Decoders        []string // "etc/decoder.xml"; when the file names none: the default, and DefaultDecoders is true
	Lists           []string // "rules/lists/x" without .cdb
	DefaultDecoders bool
}

// Syscheck is the <syscheck> section.
type Syscheck struct {
	Disabled      bool
	Frequency     int     // seconds between scans
	ScanTime      string  // "" or "HH:MM"
	ScanDays      [7]bool // Sunday first; all false = every day
	ScanOnStart   bool
	SkipNFS       bool
	AutoIgnore    bool
	AlertNewFiles bool
	PrefilterCmd  string
	Directories   []Directory
	Ignore        []string
	IgnoreMatch   []*pattern.Match
	NoDiff        []string
	NoDiffMatch   []*pattern.Match
	IOBudget      float64 // Vedette: MB/s read by scans, 0 = none (<io_budget>)
}

// Directory is one piece of a <directories> list.
type Directory struct {
	Path                               string
	Size, Perm, Owner, Group           bool
	MD5, SHA1, SHA256                  bool
	Realtime, ReportChanges, NoRecurse bool
	Restrict                           *pattern.Match // nil = no restriction
	Pos                                Position
}

// Rootcheck is the <rootcheck> section.
type Rootcheck struct {
	Disabled, ScanAll, ReadAll, SkipNFS                                                          bool
	Frequency                                                                                    int // seconds
	CheckDev, CheckFiles, CheckIf, CheckPids, CheckPorts, CheckSys, CheckTrojans, CheckUnixAudit bool
	RootkitFiles, RootkitTrojans                                                                 string
	SystemAudit                                                                                  []string
	BaseDirectory                                                                                string
	Ignore                                                                                       []string
}

// Localfile is one <localfile> section.
type Localfile struct {
	Location         string // path, glob or strftime pattern
	Format           string // log_format as written, "multi-line: 3" normalised to "multi-line"
	Lines            int    // N of multi-line:N
	Command          string
	Frequency        int // seconds
	Alias            string
	OnlyFutureEvents bool // Vedette: on every format, start at the end (OSSEC's behaviour)
	Query            string
	FromAgentConf    bool
	Pos              Position
}

// Command is a <command> section.
type Command struct {
	Name, Executable                        string
	ExpectUser, ExpectSrcIP, ExpectFilename bool
	TimeoutAllowed                          bool
	Pos                                     Position
}

// ActiveResponse is an enabled <active-response> section that names a command.
type ActiveResponse struct {
	Command                          *Command
	Server, Local, DefinedAgent, All bool
	AgentID                          string
	Level                            int // 0 = not used
	RuleIDs                          []int
	RulesGroup                       *pattern.Regex // nil = not used
	Timeout                          int            // seconds
	Pos                              Position
}

// Name is the response's name in ar.conf: command name and timeout.
func (a *ActiveResponse) Name() string { return a.Command.Name + itoa(a.Timeout) }

// ResponseExecutor holds what the executor reads of the <active-response> sections (spec active-response.md, sections 8 and 11).
type ResponseExecutor struct {
	Disabled          bool
	RepeatedOffenders []int         // minutes (of OffenderUnit) for the 2nd, 3rd, ... offence
	DryRun            bool          // Vedette: decide and log, run nothing (<dry_run>)
	OffenderUnit      time.Duration // Vedette: unit of repeated_offenders, default one minute (<repeated_offenders_unit>, "100ms"; tests scale it)
	MaxBlocks         int           // Vedette: cap on simultaneous blocks, default 1024 (<max_blocks>)
	IPv6Prefix        int           // Vedette: prefix length blocked for IPv6 offenders, default 128 (<ipv6_prefix>)
	HostsDeny         string        // Vedette: path of hosts.deny, default /etc/hosts.deny (<hosts_deny>)
}

// Remote is one <remote> section.
type Remote struct {
	Secure         bool // false: syslog
	Port           int
	TCP            bool
	LocalIP        netip.Addr // invalid = all
	Allowed        []AddressSpec
	Denied         []AddressSpec
	AcceptAES      bool
	AcceptBlowfish bool
	Pos            Position
}

// Client is the <client> section.
type Client struct {
	Servers       []Server
	LocalIP       netip.Addr
	NotifyTime    int // seconds
	TimeReconnect int // seconds
	Profile       string
	DisableAR     bool
	AES           bool  // false: Blowfish
	SpoolSize     int64 // Vedette: bytes of the on-disk spool, default 64 MiB (<spool_size> in MiB)
}

// Server is one manager address.
type Server struct {
	Host string // numeric address or name
	Port int
	TCP  bool // Vedette: <protocol>tcp
}

// SyslogOutput is one <syslog_output> section.
type SyslogOutput struct {
	Server    string
	Port      int
	Format    string // default, cef, json, splunk
	Level     int
	RuleIDs   []int
	Group     *pattern.Match
	Location  *pattern.Match
	UseFQDN   bool
	TCP       bool
	TLS       bool
	TLSVerify bool
	TLSCA     string
	Pos       Position
}

// Database is the <database_output> section.
type Database struct {
	Host, User, Password, Name, Type, Socket string
	Port                                     int
}

// Report is one <reports> section.
type Report struct {
	Title    string
	ShowLogs bool
	Filters  []ReportFilter
	EmailTo  []string
	Pos      Position
}

// ReportFilter is one filter or relation of a report.
type ReportFilter struct {
	Field    string // group, rule, level, location, srcip, user
	Value    string
	Relation bool
}

// Agentless is one <agentless> section.
type Agentless struct {
	Type       string
	Hosts      []string
	State      string // periodic, periodic_diff, stay_connected
	Frequency  int
	Port       int
	RunCommand string
	Arguments  string
	Pos        Position
}
