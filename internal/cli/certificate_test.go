//go:build unix

package cli_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sync-directory/sync-directory/internal/transport/transporttest"
)

// cmdCertificate: certificate CERT KEY [AUTHORITY] makes a certificate for localhost,
// signed by AUTHORITY.pem and its .key, or one of an authority.
func cmdCertificate(ts *testscript.TestScript, _ bool, args []string) {
	var authority *tls.Certificate
	if len(args) > 2 {
		c, err := tls.LoadX509KeyPair(ts.MkAbs(args[2]+".pem"), ts.MkAbs(args[2]+".key"))
		ts.Check(err)
		authority = &c
	}
	c, err := transporttest.NewCertificate(authority)
	ts.Check(err)
	ts.Check(transporttest.WriteCertificate(c, ts.MkAbs(args[0]), ts.MkAbs(args[1])))
}

// cmdPin: pin NAME sets $PIN to what a process has told the other side to pin; pin CERT
// KEY to the pin of a certificate.
func cmdPin(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 2 {
		c, err := tls.LoadX509KeyPair(ts.MkAbs(args[0]), ts.MkAbs(args[1]))
		ts.Check(err)
		sum := sha256.Sum256(c.Leaf.RawSubjectPublicKeyInfo)
		ts.Setenv("PIN", "sha256/"+base64.StdEncoding.EncodeToString(sum[:]))
		return
	}
	said := named(ts, args[0]).stderr.String()
	pin := regexp.MustCompile("--pin (sha256/[0-9A-Za-z+/]{43}=)").FindStringSubmatch(said)
	if pin == nil {
		ts.Fatalf("no pin in %q", strings.TrimSpace(said))
	}
	ts.Setenv("PIN", pin[1])
}
