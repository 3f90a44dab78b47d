package event

// Command travels from the network half down to the host component. Exactly one of the pointers is set.
type Command struct {
	Respond *Response
	Rescan  bool // run syscheck and rootcheck now
	Restart bool // restart the agent
}

// Response asks the executor to run an active response (spec active-response.md, section 6).
type Response struct {
	Name     string // "firewall-drop600"
	User     string // "-" = none
	IP       string // "-" = none
	AlertID  string // "<epoch>.<seq>" or "(from_the_server)"
	RuleID   string // "5720" or "(no_rule_id)"
	Location string
	Filename string // "-" = none
}
