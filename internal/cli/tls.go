package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// identity is what the flags say of this side's TLS: what it shows, and what it takes
// for proof of the other. It is read from files, and may be read again.
type identity struct {
	f       *flags
	made    *tls.Certificate // by --self-signed
	current atomic.Pointer[tls.Config]
}

// identity returns nil where the flags say nothing of TLS.
func (f *flags) identity() (*identity, error) {
	if f.cert == "" && f.caCert == "" && len(f.pins) == 0 && !f.selfSigned {
		return nil, nil
	}
	id := &identity{f: f}
	if f.selfSigned {
		c, err := selfSigned(time.Now())
		if err != nil {
			return nil, fault.New(fault.Usage, "--self-signed: %w", err)
		}
		id.made = c
	}
	return id, id.load()
}

// load reads the files. What was read before stays where one of them cannot be.
func (id *identity) load() error {
	c := new(tls.Config)
	f := id.f
	switch {
	case id.made != nil:
		c.Certificates = []tls.Certificate{*id.made}
	case f.cert != "":
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fault.New(fault.Usage, "--cert %s, --key %s: %w", f.cert, f.key, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if f.caCert != "" {
		pool, err := authorities(f.caCert)
		if err != nil {
			return fault.New(fault.Usage, "--ca-cert %s: %w", f.caCert, err)
		}
		c.RootCAs, c.ClientCAs = pool, pool
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	if len(f.pins) > 0 {
		pins, err := parsePins(f.pins)
		if err != nil {
			return err
		}
		// The key is compared instead of names and authorities, unless there are some.
		c.InsecureSkipVerify = f.caCert == ""
		c.ClientAuth = max(c.ClientAuth, tls.RequireAnyClientCert)
		c.VerifyConnection = func(s tls.ConnectionState) error { return pinned(s, pins) }
	}
	id.current.Store(c)
	return nil
}

// dialer returns the configuration for a dialer.
func (id *identity) dialer() *tls.Config { return id.current.Load() }

// listener returns the configuration for a listener, in which every connection gets
// what was loaded last.
func (id *identity) listener() *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return id.current.Load(), nil }}
}

// authorities reads certificates in PEM.
func authorities(path string) (*x509.CertPool, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return pool, nil
}

// pin is the SHA-256 of a public key as a certificate has it (SubjectPublicKeyInfo):
// that of RFC 7469, 2.4.
type pin [sha256.Size]byte

const pinPrefix = "sha256/"

func (p pin) String() string { return pinPrefix + base64.StdEncoding.EncodeToString(p[:]) }

func pinOf(c *x509.Certificate) pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

func parsePins(texts []string) ([]pin, error) {
	pins := make([]pin, len(texts))
	for i, text := range texts {
		b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, pinPrefix))
		if err != nil || len(b) != len(pin{}) || !strings.HasPrefix(text, pinPrefix) {
			return nil, usage("--pin %q is none: %s and 44 characters of base64 are expected", text, pinPrefix)
		}
		pins[i] = pin(b)
	}
	return pins, nil
}

// pinned reports whether the other side has shown a certificate whose key is pinned.
func pinned(s tls.ConnectionState, pins []pin) error {
	if len(s.PeerCertificates) == 0 {
		return fault.New(fault.Access, "the other side shows no certificate")
	}
	got := pinOf(s.PeerCertificates[0])
	for _, p := range pins {
		if bytes.Equal(got[:], p[:]) {
			return nil
		}
	}
	return fault.New(fault.Access, "the other side has another key than the pinned one: %s", got)
}

// selfSigned makes a key and a certificate that is good for nothing but to be pinned.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "sync-directory"},
		DNSNames:     []string{"localhost"},
		NotBefore:    now.Add(-24 * time.Hour), // clocks differ
		NotAfter:     now.AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// checkTLS reports which flags of TLS do not go together.
func (f *flags) checkTLS() error {
	switch {
	case (f.cert == "") != (f.key == ""):
		return usage("--cert and --key go together")
	case f.selfSigned && (f.cert != "" || !f.portSet):
		return usage("--self-signed makes the key of a listener: give it with --port, and without --cert")
	case f.portSet && (f.caCert != "" || len(f.pins) > 0) && f.cert == "" && !f.selfSigned:
		return usage("--ca-cert and --pin ask the dialer for a certificate, which takes TLS here too: give --cert and --key, or --self-signed")
	case f.to != "" && (f.cert != "" || f.caCert != "" || len(f.pins) > 0) && !isSecure(f.to):
		return usage("--cert, --ca-cert and --pin belong to TLS: the URL is to be wss://")
	case (f.cert != "" || f.caCert != "" || len(f.pins) > 0) && f.to == "" && !f.portSet:
		return usage("--cert, --ca-cert and --pin belong to a connection")
	}
	_, err := parsePins(f.pins)
	return err
}

// isSecure reports whether a URL is one of wss.
func isSecure(url string) bool { return len(url) >= 4 && strings.EqualFold(url[:4], "wss:") }

// other returns the command for the other side of a listener with --self-signed, which
// url reaches.
func (id *identity) other(url string) string {
	role := "--from DIR"
	if id.f.from != "" {
		role = "--output-dir DIR"
	}
	return fmt.Sprintf("sync-directory %s --to %s --pin %s", role, url, pinOf(id.made.Leaf))
}
