package syncdirectory

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/transport"
)

// refusedByProxy returns the error for what a proxy on the way to url did, where
// waiting does not mend it, or nil. The proxy may be one that starts, and what it says
// with 500 and more is mostly that nobody is there yet.
func refusedByProxy(url string, p *transport.ProxyError) error {
	// Tinyproxy says 401 where it means that what it got is wrong.
	asks := p.Code == http.StatusProxyAuthRequired || p.Code == http.StatusUnauthorized
	switch {
	case asks && !p.Takes():
		return fault.New(fault.Access, "no connection to %s: the proxy %s asks for credentials (%d) by %s, and only Basic is known here", url, p.Proxy, p.Code, report.Clip(strings.Join(p.Schemes, ", "), 100))
	case asks && p.Sent:
		return fault.New(fault.Access, "no connection to %s: the proxy %s refused the user and password in HTTPS_PROXY or HTTP_PROXY (%d), in which signs such as @ are written as %%40", url, p.Proxy, p.Code)
	case asks:
		return fault.New(fault.Access, "no connection to %s: the proxy %s asks for credentials (%d): put them into HTTPS_PROXY or HTTP_PROXY, as in http://user:password@%s", url, p.Proxy, p.Code, hostOf(p.Proxy))
	case p.Code == http.StatusForbidden:
		return fault.New(fault.Access, "no connection to %s: the proxy %s does not let anybody connect to %s (%d): many allow port 443 only; NO_PROXY names what is reached without a proxy", url, p.Proxy, p.Target, p.Code)
	case p.Code >= 500:
		return nil
	case p.Code != 0:
		return fault.New(fault.Connect, "no connection to %s: the proxy %s answered %d to CONNECT %s: is it one?", url, p.Proxy, p.Code, p.Target)
	}
	if d := (*net.DNSError)(nil); errors.As(p.Err, &d) && d.IsNotFound {
		return fault.New(fault.Connect, "no connection to %s: %w", url, p)
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
