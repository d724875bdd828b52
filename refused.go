package syncdirectory

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/transport"
)

// place returns url without its query, which may be a secret of a gateway's.
func place(url string) string {
	at, _, _ := strings.Cut(url, "?")
	return at
}

// refused returns the error for a refusal at the place of a URL that waiting does not
// mend, or nil.
func refused(at string, err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code != fault.Lost {
		return f
	}
	if p := (*transport.ProxyError)(nil); errors.As(err, &p) {
		return refusedByProxy(at, p)
	}
	if s := (*transport.StatusError)(nil); errors.As(err, &s) {
		return refusedBy(at, s)
	}
	if d := (*net.DNSError)(nil); errors.As(err, &d) && d.IsNotFound {
		return fault.New(fault.Connect, "no connection to %s: %w", at, err)
	}
	if errors.Is(err, transport.ErrOldHTTP) {
		return fault.New(fault.Access, "%s answers, but not as HTTP/1.1: should it be wss:// instead of ws://?", at)
	}
	if errors.Is(err, transport.ErrProxy) {
		return fault.With(fault.Usage, err)
	}
	return refusedTLS(at, err)
}

// refusedTLS returns the error for TLS that does not come about, or nil.
func refusedTLS(at string, err error) error {
	if t := (*tls.CertificateVerificationError)(nil); errors.As(err, &t) {
		if unknown := (x509.UnknownAuthorityError{}); errors.As(t.Err, &unknown) {
			return fault.New(fault.Access, "%s: its certificate is not trusted, since no authority that is known here has signed it: --ca-cert FILE trusts another one, --pin a key, as a listener with --self-signed prints it", at)
		}
		return fault.New(fault.Access, "%s: its certificate is not trusted: %w", at, t.Err)
	}
	// crypto/tls has no type for what either side may say of it.
	if s := err.Error(); strings.Contains(s, "tls: protocol version") || strings.Contains(s, "tls: server selected unsupported protocol version") {
		return fault.New(fault.Access, "%s does not speak TLS 1.3, which it must (nginx: ssl_protocols TLSv1.3)", at)
	}
	if o := (*net.OpError)(nil); errors.As(err, &o) && o.Op == "remote error" { // an alert
		return fault.New(fault.Access, "%s refused this side's part of TLS (%w): does it ask for a certificate (--cert, --key)?", at, o.Err)
	}
	if h := (tls.RecordHeaderError{}); errors.As(err, &h) {
		return fault.New(fault.Access, "%s does not speak TLS: should it be ws:// instead of wss://?", at)
	}
	return nil
}

// refusedBy returns the error for an answer to the upgrade, or nil.
func refusedBy(at string, s *transport.StatusError) error {
	said := words(s.Body)
	switch s.Code {
	case http.StatusForbidden:
		switch { // our own listener's words
		case strings.HasPrefix(s.Body, "this listener has no token"):
			return fault.New(fault.Access, "%s%s: give --token-file there too, or leave it out here", at, said)
		case strings.HasPrefix(s.Body, "this listener asks"):
			return fault.New(fault.Access, "%s%s: give --e2e and its token here too", at, said)
		}
		return fault.New(fault.Access, "%s refused this host name or origin (403): connect to localhost, or give the listener --allow-host with the name in the URL%s", at, said)
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return fault.New(fault.Access, "a proxy before %s asks for credentials (%d), which --header @FILE sends%s", at, s.Code, said)
	case http.StatusNotFound:
		return fault.New(fault.Connect, "nothing is at the path of %s (404): take the URL that the listener prints, or behind a proxy the path that it forwards to the listener's --base-path%s", at, said)
	case http.StatusBadRequest:
		if strings.Contains(s.Body, "subprotocol") { // our own listener's words
			return fault.New(fault.Version, "%s speaks another version of the protocol (400)%s", at, said)
		}
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nil // a proxy before a listener that is not up yet
	}
	return fault.New(fault.Connect, "%s is no sync-directory: it answered %d to the upgrade%s", at, s.Code, said)
}

// words returns what a server said, to be put at the end of an error: nothing where it
// is a page for a browser, as a proxy has them.
func words(body string) string {
	body = strings.Join(strings.Fields(body), " ")
	if body == "" || body[0] == '<' {
		return ""
	}
	return ": " + report.Clip(body, 200)
}

// refusedByProxy returns the error for what a proxy on the way did, where
// waiting does not mend it, or nil. The proxy may be one that starts, and what it says
// with 500 and more is mostly that nobody is there yet.
func refusedByProxy(at string, p *transport.ProxyError) error {
	// Tinyproxy says 401 where it means that what it got is wrong.
	asks := p.Code == http.StatusProxyAuthRequired || p.Code == http.StatusUnauthorized
	switch {
	case asks && !p.Takes():
		return fault.New(fault.Access, "no connection to %s: the proxy %s asks for credentials (%d) by %s, and only Basic is known here", at, p.Proxy, p.Code, report.Clip(strings.Join(p.Schemes, ", "), 100))
	case asks && p.Sent:
		return fault.New(fault.Access, "no connection to %s: the proxy %s refused the user and password in HTTPS_PROXY or HTTP_PROXY (%d), in which signs such as @ are written as %%40", at, p.Proxy, p.Code)
	case asks:
		return fault.New(fault.Access, "no connection to %s: the proxy %s asks for credentials (%d): put them into HTTPS_PROXY or HTTP_PROXY, as in http://user:password@%s", at, p.Proxy, p.Code, hostOf(p.Proxy))
	case p.Code == http.StatusForbidden:
		return fault.New(fault.Access, "no connection to %s: the proxy %s does not let anybody connect to %s (%d): many allow port 443 only; NO_PROXY names what is reached without a proxy", at, p.Proxy, p.Target, p.Code)
	case p.Code >= 500:
		return nil
	case p.Code != 0:
		return fault.New(fault.Connect, "no connection to %s: the proxy %s answered %d to CONNECT %s: is it one?", at, p.Proxy, p.Code, p.Target)
	}
	if d := (*net.DNSError)(nil); errors.As(p.Err, &d) && d.IsNotFound {
		return fault.New(fault.Connect, "no connection to %s: %w", at, p)
	}
	if t := (*tls.CertificateVerificationError)(nil); errors.As(p.Err, &t) {
		return fault.New(fault.Access, "the certificate of the proxy %s is not trusted: %w", p.Proxy, t.Err)
	}
	if h := (tls.RecordHeaderError{}); errors.As(p.Err, &h) {
		return fault.New(fault.Access, "the proxy %s does not speak TLS: should it be http:// instead of https://?", p.Proxy)
	}
	return nil
}

// hostOf returns the host and port of a proxy as it is named in errors.
func hostOf(proxy string) string {
	_, host, _ := strings.Cut(proxy, "://")
	return host
}
