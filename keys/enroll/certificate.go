package enroll

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vedette-hids/vedette/internal/atomicfile"
)

// ErrNoCertificate is returned by ServerTLS when a file is missing.
var ErrNoCertificate = errors.New("unable to read certificate file (not found)")

// ServerTLS makes the configuration of an enrolment server: TLS 1.2 and 1.3, certificate and key from PEM files. With ca not empty, clients must
// show a certificate of that authority.
func ServerTLS(cert, key, ca string) (*tls.Config, error) {
	for _, path := range []string{cert, key} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %s", ErrNoCertificate, path)
		}
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("reading certificate %s and key %s: %w", cert, key, err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if ca != "" {
		if cfg.ClientCAs, err = Authorities(ca); err != nil {
			return nil, err
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}

// Authorities reads the certificates of a PEM file.
func Authorities(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("reading CA certificate: no certificate in %s", path)
	}
	return pool, nil
}

const certificateYears = 10

// MakeCertificate writes a self-signed certificate and its key when neither file exists, and reports whether it did. Names are the host's name
// and addresses, so that agents can verify it with a copy of the certificate as authority.
func MakeCertificate(cert, key string, now time.Time) (bool, error) {
	for _, path := range []string{cert, key} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
	}
	certPEM, keyPEM, err := selfSigned(now)
	if err != nil {
		return false, fmt.Errorf("making a certificate: %w", err)
	}
	if err := atomicfile.Write(key, keyPEM, 0o640); err != nil {
		return false, err
	}
	if err := atomicfile.Write(cert, certPEM, 0o644); err != nil {
		return false, err
	}
	return true, nil
}

func selfSigned(now time.Time) (certPEM, keyPEM []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	host, ips := localNames()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IPAddresses: ips,
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(certificateYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

func localNames() (host string, ips []net.IP) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	addrs, _ := net.InterfaceAddrs() // without them the certificate is only good by name
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return host, ips
}

// ErrWeakPassword is returned by ReadPassword for a first line of fewer than two characters.
var ErrWeakPassword = errors.New("password of fewer than 2 characters")

// ReadPassword reads the first line of a password file, without its line end. A missing or empty file gives "" and no error.
func ReadPassword(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading password: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	if !sc.Scan() {
		if err := sc.Err(); err != nil {
			return "", fmt.Errorf("reading password %s: %w", path, err)
		}
		return "", nil
	}
	p := strings.TrimRight(sc.Text(), "\r\n")
	if len(p) < 2 {
		return "", fmt.Errorf("%s: %w", path, ErrWeakPassword)
	}
	return p, nil
}

// RandomPassword makes 32 hexadecimal digits.
func RandomPassword() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("making a password: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// RandomFile holds a password that was made for this run, for root to look up.
const RandomFile = "var/run/authd.password"

// ServerPassword gives what agents must send to the server below root, and the line that says where it comes from: etc/authd.pass, or a random one,
// which is shown in that line or written to RandomFile.
func ServerPassword(root string, show bool) (password, line string, err error) {
	path := filepath.Join(root, "etc", "authd.pass")
	if password, err = ReadPassword(path); err != nil {
		return "", "", err
	}
	if password != "" {
		return password, "Accepting connections. Using password specified on file: " + path, nil
	}
	if password, err = RandomPassword(); err != nil {
		return "", "", err
	}
	const made = "Accepting connections. Random password chosen for agent authentication"
	if show {
		return password, made + ": " + password, nil
	}
	file := filepath.Join(root, RandomFile)
	if err := atomicfile.Write(file, []byte(password+"\n"), 0o600); err != nil {
		return "", "", err
	}
	return password, made + ", see file: " + file, nil
}
