//go:build linux

package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"
)

// TestEnrolment lets a new agent fetch its key from a running manager that has a password, and connect, without a restart of the manager. With
// another password there is no key.
func TestEnrolment(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("enrm"), n.host("enra")
	n.link(m, "10.78.5.1", a, "10.78.5.2")
	manager := linkManager(m)
	manager.write("etc/client.keys", "")
	manager.write("etc/authd.pass", "swordfish and more\n")
	agent := linkAgent(a, 1, client("10.78.5.1"))
	agent.write("etc/client.keys", "")
	manager.control("start")
	pids := pidsOf(manager)
	manager.eventually("the manager takes enrolments", 2*time.Minute, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "ossec-authd: INFO: Accepting connections. Using password specified on file: ")
	})

	agent.write("etc/authd.pass", "swordfish\n")
	out, err := agent.try("", agent.bin("agent-auth"), "-m", "10.78.5.1", "-A", "intruder")
	if strings.Contains(agent.read("etc/client.keys")+manager.read("etc/client.keys"), "intruder") {
		t.Errorf("a key for a wrong password: %v\n%s", err, out)
	}
	manager.eventually("the wrong password is logged", 2*time.Minute, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "Invalid password provided by 10.78.5.2. Closing connection.")
	})

	agent.write("etc/password", "swordfish and more\n")
	out = agent.run("", agent.bin("agent-auth"), "-m", "10.78.5.1", "-A", "new-host", "-P", agent.path("etc/password"))
	if !strings.Contains(out, "Valid key created. Finished.") {
		t.Errorf("agent-auth says\n%s", out)
	}
	key := agent.read("etc/client.keys")
	if !strings.HasPrefix(key, "1024 new-host any ") || manager.read("etc/client.keys") != key {
		t.Errorf("agent has %q, manager has %q", key, manager.read("etc/client.keys"))
	}
	agent.agentIsUp()
	agent.say("enrolled", 0, 10)
	manager.awaitMarks("enrolled", 10, 2*time.Minute)
	if now := pidsOf(manager); len(pids) == 0 || !maps.Equal(now, pids) {
		t.Errorf("the manager was restarted: %v, then %v", pids, now)
	}
	agent.control("stop")
	manager.control("stop")
	manager.expectOnce("enrolled", 10, true)
	manager.expectNoRefusals()
}

// enroller installs a manager without agents, whose <auth> lets a host take its own place at once.
func enroller(h host, auth string) install {
	in := installOn(h, "manager", strings.Replace(linkManagerConf, "<alerts>",
		"<auth>"+auth+"<force_insert>yes</force_insert><force_time>0</force_time></auth><alerts>", 1))
	h.t.Cleanup(func() { stopInstall(in) })
	in.write("etc/client.keys", "")
	return in
}

// TestEnrolmentAsConfigured sets everything that <auth> has, and lets the same host enrol twice: the second time it takes its own place.
func TestEnrolmentAsConfigured(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("autm"), n.host("auta")
	n.link(m, "10.78.6.1", a, "10.78.6.2")
	manager := enroller(m, "<port>1615</port><local_ip>10.78.6.1</local_ip><use_password>no</use_password><use_source_ip>yes</use_source_ip>")
	agent := linkAgent(a, 1, client("10.78.6.1"))
	manager.control("start")
	manager.eventually("the manager takes enrolments", 2*time.Minute, func() bool {
		return strings.Contains(manager.read("logs/ossec.log"), "ossec-authd: INFO: Accepting connections. No password required (not recommended)")
	})
	for _, want := range []string{"1024 new-host 10.78.6.2 ", "1025 new-host 10.78.6.2 "} {
		out := agent.run("", agent.bin("agent-auth"), "-m", "10.78.6.1", "-p", "1615", "-A", "new-host")
		if key := agent.read("etc/client.keys"); !strings.HasPrefix(key, want) || !strings.HasSuffix(manager.read("etc/client.keys"), key) {
			t.Fatalf("agent has %q, manager has %q\n%s", key, manager.read("etc/client.keys"), out)
		}
	}
	if all := manager.read("etc/client.keys"); !strings.HasPrefix(all, "1024 #*#") {
		t.Errorf("the old key is left: %q", all)
	}
	agent.agentIsUp()
	agent.control("stop")
	manager.control("stop")
}

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

// issue makes a certificate and its key, both PEM; by nil makes an authority.
func issue(t *testing.T, name string, by *authority) (authority, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: by == nil, KeyUsage: x509.KeyUsageDigitalSignature}
	parent, signer := template, key
	if by == nil {
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))},
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// TestEnrolmentWithCertificates asks agents for a certificate of the fleet's authority and for the password. With both there is a key, a second time too
// as the host takes its own place; with anything less there is none, and both sides say why. The manager takes enrolments as soon as its start is done.
func TestEnrolmentWithCertificates(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	m, a := n.host("crtm"), n.host("crta")
	n.link(m, "10.78.8.1", a, "10.78.8.2")
	manager := enroller(m, "<ssl_agent_ca>etc/agents.pem</ssl_agent_ca>")
	agent := linkAgent(a, 1, client("10.78.8.1"))
	fleet, _ := issue(t, "Fleet CA", nil)
	other, _ := issue(t, "Fleet CA", nil) // the same name, another key
	manager.write("etc/authd.pass", "swordfish\n")
	manager.write("etc/local_internal_options.conf", "authd.debug=1\n")

	if out, err := manager.try("", manager.bin("ossec-control"), "start"); err == nil || !strings.Contains(out, "ssl_agent_ca") {
		t.Errorf("a start without the authority's certificate: %v\n%s", err, out)
	}
	if log := manager.read("logs/ossec.log"); !strings.Contains(log, "ossec-authd: ERROR: ssl_agent_ca: ") || !strings.Contains(log, "ossec-analysisd(1202): ERROR: Configuration error at ") {
		t.Errorf("the log does not say why nothing started:\n%s", log)
	}
	manager.write("etc/agents.pem", fleet.pem)
	manager.control("start")

	mine, mineKey := issue(t, "new-host", &fleet)
	wrong, wrongKey := issue(t, "new-host", &other)
	for name, text := range map[string]string{"mine.pem": mine.pem, "mine.key": mineKey, "wrong.pem": wrong.pem, "wrong.key": wrongKey, "pass": "swordfish\n",
		"manager.pem": manager.read("etc/sslmanager.cert")} {
		agent.write("etc/"+name, text)
	}
	auth := func(cert string, more ...string) (string, error) {
		args := append([]string{"-m", "10.78.8.1", "-A", "new-host", "-v", agent.path("etc/manager.pem")}, more...)
		if cert != "" {
			args = append(args, "-x", agent.path("etc/"+cert+".pem"), "-k", agent.path("etc/"+cert+".key"))
		}
		return agent.try("", agent.bin("agent-auth"), args...)
	}
	pass := []string{"-P", agent.path("etc/pass")}
	for _, c := range []struct {
		what, cert string
		more       []string
		says       string
	}{
		{"no certificate", "", pass, "The manager wants a certificate (-x, -k)"},
		{"a certificate of another authority", "wrong", pass, "The manager does not take the certificate"},
		{"no password", "mine", nil, "SSL read (unable to receive message)"},
	} {
		out, err := auth(c.cert, c.more...)
		if err == nil || !strings.Contains(out, c.says) || strings.Contains(manager.read("etc/client.keys"), "new-host") {
			t.Errorf("%s: %v\n%s", c.what, err, out)
		}
	}
	for _, want := range []string{"1024 new-host any ", "1025 new-host any "} {
		out, err := auth("mine", pass...)
		if key := agent.read("etc/client.keys"); err != nil || !strings.HasPrefix(key, want) || !strings.HasSuffix(manager.read("etc/client.keys"), key) {
			t.Fatalf("%v: agent has %q, manager has %q\n%s", err, key, manager.read("etc/client.keys"), out)
		}
	}
	log := manager.read("logs/ossec.log")
	for want, n := range map[string]int{"SSL Error (-1): agent at 10.78.8.2 has no certificate of the authority in ssl_agent_ca (-v): ": 2,
		"Invalid password provided by 10.78.8.2. Closing connection.": 1, "certificate of 'CN=new-host' by 'CN=Fleet CA'": 3} {
		if strings.Count(log, want) != n {
			t.Errorf("%q does not stand %d times in\n%s", want, n, log)
		}
	}
	agent.write("etc/local_internal_options.conf", "agent.debug=1\nnonsense\n")
	agent.agentIsUp()
	log = agent.read("logs/ossec.log")
	for _, want := range []string{"ossec-agentd(1119): ERROR: Invalid line on file '", "ossec-agentd: DEBUG: Startup message sent to '10.78.8.1', aes."} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the agent's log:\n%s", want, log)
		}
	}
	agent.control("stop")
	manager.control("stop")
}
