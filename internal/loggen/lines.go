package loggen

import (
	"fmt"
	"time"
)

func (g *Generator) sshd(attack bool) string {
	if attack {
		from := g.attacker()
		switch g.rng.IntN(4) {
		case 0:
			return g.syslog("web1", "sshd", "Invalid user %s from %s port %d", g.stranger(), from, g.port())
		case 1:
			return g.syslog("web1", "sshd", "Failed password for invalid user %s from %s port %d ssh2", g.stranger(), from, g.port())
		case 2:
			return g.syslog("web1", "sshd", "Did not receive identification string from %s port %d", from, g.port())
		}
		return g.syslog("web1", "sshd", "Failed password for root from %s port %d ssh2", from, g.port())
	}
	from := g.client()
	switch g.rng.IntN(4) {
	case 0:
		return g.syslog("web1", "sshd", "Accepted publickey for %s from %s port %d ssh2: ED25519 SHA256:%016x", g.user(), from, g.port(), g.rng.Uint64())
	case 1:
		return g.syslog("web1", "sshd", "Received disconnect from %s port %d:11: disconnected by user", from, g.port())
	case 2:
		return g.syslog("web1", "sshd", "Connection closed by %s port %d [preauth]", from, g.port())
	}
	return g.syslog("web1", "sshd", "Disconnected from user %s %s port %d", g.user(), from, g.port())
}

func (g *Generator) pam(attack bool) string {
	if attack {
		return g.syslog("web1", "sshd", "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s  user=%s", g.attacker(),
			g.user())
	}
	what := "opened"
	if g.rng.IntN(2) == 0 {
		what = "closed"
	}
	return g.syslog("web1", "sshd", "pam_unix(sshd:session): session %s for user %s", what, g.user())
}

func (g *Generator) sudo(attack bool) string {
	user := g.user()
	if attack {
		return g.syslog("web1", "sudo", " %s : %d incorrect password attempts ; TTY=pts/%d ; PWD=/home/%s ; USER=root ; COMMAND=/bin/sh", user,
			1+g.rng.IntN(3), g.rng.IntN(9), user)
	}
	return g.syslog("web1", "sudo", " %s : TTY=pts/%d ; PWD=/home/%s ; USER=root ; COMMAND=/usr/bin/%s", user, g.rng.IntN(9), user,
		g.pick("apt update", "systemctl restart shop", "less /var/log/syslog", "id"))
}

func (g *Generator) cron(attack bool) string {
	if attack {
		return g.syslog("web1", "crontab", "(root) REPLACE (root)")
	}
	return g.syslog("web1", "CRON", "(%s) CMD (/usr/local/bin/%s)", g.pick("root", "shop", "backup"), g.pick("tidy", "backup --nightly", "report"))
}

func (g *Generator) systemd(attack bool) string {
	unit := g.pick("shop.service", "backup.service", "logrotate.service", "report.timer")
	if attack {
		return g.syslog("web1", "systemd", "%s: Failed with result 'exit-code'.", unit)
	}
	return g.syslog("web1", "systemd", "%s %s.", g.pick("Starting", "Started", "Stopped", "Finished"), unit)
}

func (g *Generator) kernel(attack bool) string {
	uptime := g.now.Sub(g.now.Truncate(24 * time.Hour)).Seconds()
	if attack {
		return g.syslog("gw1", "kernel", "[%.6f] [UFW BLOCK] IN=eth0 OUT= MAC=00:11:22:33:44:55 SRC=%s DST=198.51.100.7 LEN=%d TOS=0x00 PREC=0x00 TTL=%d ID=%d PROTO=TCP SPT=%d DPT=%d WINDOW=1024 RES=0x00 SYN URGP=0",
			uptime, g.attacker(), 40+g.rng.IntN(20), 40+g.rng.IntN(24), g.rng.IntN(65536), g.port(), 1+g.rng.IntN(1024))
	}
	switch g.rng.IntN(3) {
	case 0:
		return g.syslog("gw1", "kernel", "[%.6f] eth0: Link is Up - 1Gbps/Full", uptime)
	case 1:
		return g.syslog("gw1", "kernel", "[%.6f] usb 1-%d: new high-speed USB device number %d", uptime, 1+g.rng.IntN(8), g.rng.IntN(99))
	}
	return g.syslog("gw1", "kernel", "[%.6f] EXT4-fs (sda%d): mounted filesystem with ordered data mode", uptime, 1+g.rng.IntN(4))
}

// clf is the date of access logs.
const clf = "02/Jan/2006:15:04:05 -0700"

func (g *Generator) apacheAccess(attack bool) string {
	from, path, status, agent := g.client(), "", 200, "Mozilla/5.0 (X11; Linux x86_64)"
	if attack {
		from, status = g.attacker(), 404
		path = g.pick("/wp-login.php", "/.env", "/.git/config", "/item?id=1%20union%20select%201,2", "/x?f=../../../../etc/passwd",
			"/x?q=%3Cscript%3Ealert(1)%3C/script%3E", "/phpmyadmin/scripts/setup.php", "/cgi-bin/x")
		agent = g.pick(agent, "sqlmap/1.8", "Nikto", "-")
	} else {
		path = g.pick("/", "/index.html", "/order", "/search?q=lamp", "/style.css", "/logo.png", "/api/basket", "/terms")
		if g.rng.IntN(10) == 0 {
			status = 304
		}
	}
	return fmt.Sprintf(`%s - - [%s] "GET %s HTTP/1.1" %d %d "-" "%s"`, from, g.now.Format(clf), path, status, g.rng.IntN(30000), agent)
}

func (g *Generator) apacheError(attack bool) string {
	date := g.now.Format("Mon Jan 02 15:04:05.000000 2006")
	if attack {
		return fmt.Sprintf("[%s] [authz_core:error] [pid %d] [client %s:%d] AH01630: client denied by server configuration: /srv/www/%s", date,
			g.serial%30000, g.attacker(), g.port(), g.pick("private", "server-status", ".htaccess"))
	}
	return fmt.Sprintf("[%s] [mpm_event:notice] [pid %d] AH00489: Apache/2.4 configured -- resuming normal operations", date, g.serial%30000)
}

func (g *Generator) nginxError(attack bool) string {
	from, what := g.client(), `open() "/srv/www/favicon.ico" failed (2: No such file or directory)`
	if attack {
		from, what = g.attacker(), fmt.Sprintf("user %q: password mismatch", g.stranger())
	}
	return fmt.Sprintf(`%s [error] 7#7: *%d %s, client: %s, server: web1, request: "GET / HTTP/1.1", host: "shop.example.com"`,
		g.now.Format("2006/01/02 15:04:05"), g.serial, what, from)
}

func (g *Generator) postfix(attack bool) string {
	if attack {
		from := g.attacker()
		if g.rng.IntN(2) == 0 {
			return g.syslog("mx1", "postfix/smtpd", "warning: unknown[%s]: SASL LOGIN authentication failed: UGFzc3dvcmQ6", from)
		}
		return g.syslog("mx1", "postfix/smtpd", "NOQUEUE: reject: RCPT from unknown[%s]: 554 5.7.1 <x@example.net>: Relay access denied; from=<a@example.org> to=<x@example.net> proto=ESMTP helo=<x>",
			from)
	}
	id := g.rng.Uint32()
	switch g.rng.IntN(3) {
	case 0:
		return g.syslog("mx1", "postfix/smtpd", "connect from host.example.net[%s]", g.client())
	case 1:
		return g.syslog("mx1", "postfix/qmgr", "%08X: from=<%s@example.com>, size=%d, nrcpt=1 (queue active)", id, g.user(), 500+g.rng.IntN(90000))
	}
	return g.syslog("mx1", "postfix/smtp", "%08X: to=<%s@example.org>, relay=mail.example.org[198.51.100.25]:25, delay=%d, dsn=2.0.0, status=sent (250 2.0.0 Ok)", id,
		g.user(), 1+g.rng.IntN(9))
}

func (g *Generator) dovecot(attack bool) string {
	if attack {
		return g.syslog("mx1", "dovecot", "imap-login: Disconnected (auth failed, %d attempts in %d secs): user=<%s>, method=PLAIN, rip=%s, lip=198.51.100.25, TLS",
			1+g.rng.IntN(5), 2+g.rng.IntN(30), g.stranger(), g.attacker())
	}
	return g.syslog("mx1", "dovecot", "imap-login: Login: user=<%s>, method=PLAIN, rip=%s, lip=198.51.100.25, mpid=%d, TLS", g.user(), g.client(), g.serial%30000)
}

func (g *Generator) named(attack bool) string {
	if attack {
		return g.syslog("ns1", "named", "client @0x7f%010x %s#%d (www.example.org): query (cache) 'www.example.org/ANY/IN' denied", g.rng.Uint32(), g.attacker(), g.port())
	}
	return g.syslog("ns1", "named", "zone example.com/IN: sending notifies (serial %d)", 2026011200+g.serial%100)
}

func (g *Generator) windows(attack bool) string {
	date := g.now.Format("2006 Jan 02 15:04:05")
	if attack {
		return fmt.Sprintf("%s WinEvtLog: Security: AUDIT_FAILURE(4625): Microsoft-Windows-Security-Auditing: %s: SHOP: WS%d: An account failed to log on.", date,
			g.stranger(), 1+g.rng.IntN(20))
	}
	return fmt.Sprintf("%s WinEvtLog: Security: AUDIT_SUCCESS(%s): Microsoft-Windows-Security-Auditing: %s: SHOP: WS%d: An account was changed.", date,
		g.pick("4624", "4634", "4672"), g.user(), 1+g.rng.IntN(20))
}

func (g *Generator) shop(attack bool) string {
	if attack {
		return g.syslog("web1", "shopd", "order %d: fatal error in module basket", g.serial)
	}
	return g.syslog("web1", "shopd", "order %d of %s: %d items, %d.%02d paid", g.serial, g.user(), 1+g.rng.IntN(9), g.rng.IntN(400), g.rng.IntN(100))
}
