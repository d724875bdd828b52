package access

import (
	"crypto/ed25519"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// Dial is the configuration of a dialer for TLS inside the WebSocket: both ends show
// a key that is derived from the token, each its own, so that who does not know the
// token can be neither.
func (t *Token) Dial() *tls.Config {
	return t.config(dialer, listener, func() error { return ErrImpostor })
}

// Listen is that of a listener. Refuse is called before a dialer that does not know
// the token is told, and may take its time.
func (t *Token) Listen(refuse func()) *tls.Config {
	return t.config(listener, dialer, func() error {
		refuse()
		return ErrRefused
	})
}

func (t *Token) config(mine, peer end, refused func() error) *tls.Config {
	theirs := t.identity(peer).Public().(ed25519.PublicKey)
	return &tls.Config{
		Certificates: []tls.Certificate{t.certificate(mine)},
		ClientAuth:   tls.RequestClientCert, // that there is one is checked below, like all else
		MinVersion:   tls.VersionTLS13,
		// There are no names and no authorities: the key is all there is to check,
		// and is checked below, also when a session is resumed.
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 1 {
				key, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
				if ok && subtle.ConstantTimeCompare(key, theirs) == 1 {
					return nil
				}
			}
			return refused()
		},
		DynamicRecordSizingDisabled: true, // nobody looks at the first bytes of a page here
	}
}

// identity is the private key of an end. Both sides know both, and each uses its own.
func (t *Token) identity(e end) ed25519.PrivateKey {
	purpose := "tls dialer"
	if e == listener {
		purpose = "tls listener"
	}
	return ed25519.NewKeyFromSeed(t.key(purpose))
}

// certificate wraps the key of an end as TLS wants it. Nothing in it but the key
// says anything.
func (t *Token) certificate(e end) tls.Certificate {
	key := t.identity(e)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "sync-directory"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5: no end
	}
	der, err := x509.CreateCertificate(nil, c, c, key.Public(), key) // Ed25519 takes no randomness
	if err != nil {
		panic("access: " + err.Error()) // nothing in it is from outside
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
