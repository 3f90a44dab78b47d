// Package syslog forwards alerts to syslog collectors, as <syslog_output> asks: formats default, cef, json and splunk over UDP, TCP and TLS
// (spec outputs.md, section 9).
//
// The packets are byte for byte what collectors' filters expect of OSSEC, with these improvements: fields are taken from the alert itself,
// not by parsing alerts.log again, so no collected line can forge or lose one; only the value "(none)" is left out of optional fields.
package syslog
