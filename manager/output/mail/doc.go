// Package mail sends alerts and daily reports by mail, as <global> email_* and <email_alerts> ask (spec outputs.md, section 10).
//
//	alert ─► pending ── quiet for 10 s, or full, or do_not_delay ─► outbox ── transport: SMTP or a local program
//	                    (do_not_group: a mail of its own)              └── failure: again later, with back-off
//
// Texts, grouping and the plain SMTP dialogue are those of ossec-maild. Better here: a mail that cannot be delivered waits and is tried again;
// the recipient of do_not_group gets every mail; a steady stream of alerts is mailed every two minutes at the latest; texts that are not
// ASCII, or have lines longer than mail allows, are encoded; authentication and TLS are always there; lines that begin with a dot arrive.
package mail
