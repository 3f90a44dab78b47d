package agentauth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"testing"
)

func TestNamesOfACertificate(t *testing.T) {
	withSAN := &x509.Certificate{Subject: pkix.Name{CommonName: "cn.example.net"}, DNSNames: []string{"manager.example.net", "*.corp.example.net"}, IPAddresses: []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("2001:db8::1")}}
	onlyCN := &x509.Certificate{Subject: pkix.Name{CommonName: "manager.example.net"}}
	ipCN := &x509.Certificate{Subject: pkix.Name{CommonName: "10.0.0.1"}}
	for _, c := range []struct {
		cert *x509.Certificate
		host string
		want bool
	}{
		{withSAN, "manager.example.net", true},
		{withSAN, "MANAGER.example.net.", true},
		{withSAN, "a.corp.example.net", true},
		{withSAN, "a.b.corp.example.net", false},
		{withSAN, "corp.example.net", false},
		{withSAN, "9a.corp.example.net", false},
		{withSAN, "cn.example.net", true},
		{withSAN, "10.0.0.1", true},
		{withSAN, "2001:db8:0::1", true},
		{withSAN, "10.0.0.2", false},
		{withSAN, "", false},
		{onlyCN, "manager.example.net", true},
		{onlyCN, "other.example.net", false},
		{ipCN, "10.0.0.1", false},
	} {
		if got := nameMatches(c.cert, c.host); got != c.want {
			t.Errorf("%q against %q %q: %v", c.host, c.cert.Subject.CommonName, c.cert.DNSNames, got)
		}
	}
	for _, pattern := range []string{"*", "*.net", "man*.example.net", "manager.*.net"} {
		if labelsMatch(pattern, "manager.example.net") {
			t.Errorf("%q matches", pattern)
		}
	}
}
