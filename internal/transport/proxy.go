package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ErrProxy says that what is given as a proxy is none that Dial can go through.
var ErrProxy = errors.New("the proxy cannot be used")

// ProxyError is what went wrong on the way through a proxy to the host that it
// was asked to connect to.
type ProxyError struct {
	// Proxy is the proxy's scheme, host and port, without credentials.
	Proxy string
	// Target is the host and port that it was asked for.
	Target string
	// Code is the status of its answer, 0 where there was none.
	Code int
	// Schemes are the ways to authenticate that it names: escape them before
	// showing them.
	Schemes []string
	// Sent says that it got credentials.
	Sent bool
	// Err is what happened where there was no answer.
	Err error
}

func (e *ProxyError) Error() string {
	if e.Code != 0 {
		return fmt.Sprintf("the proxy %s answered %d %s", e.Proxy, e.Code, http.StatusText(e.Code))
	}
	return fmt.Sprintf("the proxy %s: %v", e.Proxy, e.Err)
}

// Unwrap returns what happened, nil where the proxy answered.
func (e *ProxyError) Unwrap() error { return e.Err }

// Takes reports whether the proxy lets itself be asked with a user and a password,
// which is the one way that Dial knows.
func (e *ProxyError) Takes() bool {
	return len(e.Schemes) == 0 || slices.ContainsFunc(e.Schemes, func(s string) bool { return strings.EqualFold(s, "basic") })
}

// fromEnvironment is http.ProxyFromEnvironment without its errors: they quote the
// variable, and so a password.
func fromEnvironment(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	// What cannot be parsed is tried with http:// before it, and then has a host like "http:".
	if err != nil || proxy != nil && strings.HasSuffix(proxy.Host, ":") {
		name := strings.ToUpper(r.URL.Scheme) + "_PROXY"
		return nil, fmt.Errorf("%w: %s holds no URL, or this is a CGI program (REQUEST_METHOD is set)", ErrProxy, name)
	}
	return proxy, nil
}

// proxyFor returns the proxy on the way to u, nil for none.
func (o *DialOptions) proxyFor(u *url.URL) (*url.URL, error) {
	choose := o.Proxy
	if choose == nil {
		choose = fromEnvironment
	}
	like := *u
	like.Scheme = map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	proxy, err := choose(&http.Request{Method: http.MethodGet, URL: &like, Host: u.Host, Header: http.Header{}})
	switch {
	case err != nil || proxy == nil:
		return nil, err
	case proxy.Hostname() == "":
		return nil, fmt.Errorf("%w: it names no host", ErrProxy)
	case strings.HasPrefix(proxy.Scheme, "socks"):
		return nil, fmt.Errorf("%w: %s://%s speaks SOCKS, and only http:// and https:// proxies can be gone through", ErrProxy, proxy.Scheme, proxy.Host)
	case proxy.Scheme != "http" && proxy.Scheme != "https":
		return nil, fmt.Errorf("%w: it must begin with http:// or https://", ErrProxy)
	}
	return proxy, nil
}

// through returns a connection to addr that goes through a proxy. Its errors are a
// *ProxyError.
func through(ctx context.Context, proxy *url.URL, addr string, opts *DialOptions) (net.Conn, error) {
	failed := &ProxyError{Proxy: proxy.Scheme + "://" + proxy.Host, Target: addr, Sent: proxy.User != nil}
	conn, err := opts.dial(ctx, hostPort(proxy))
	if err == nil && proxy.Scheme == "https" {
		conn, err = secure(ctx, conn, proxyTLS(opts.TLS, proxy.Hostname()))
	}
	if err != nil {
		failed.Err = err
		return nil, failed
	}
	var answer *http.Response
	var early []byte
	err = within(ctx, conn, func() (err error) {
		answer, early, err = askTunnel(conn, proxy, addr)
		return err
	})
	if err == nil && answer.StatusCode/100 == 2 {
		if len(early) > 0 {
			conn = &earlyConn{conn, early}
		}
		return conn, nil
	}
	hardClose(conn)
	failed.Err = err
	if err == nil {
		failed.Code = answer.StatusCode
		for _, challenge := range answer.Header.Values("Proxy-Authenticate") {
			scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
			failed.Schemes = append(failed.Schemes, scheme)
		}
	}
	return nil, failed
}

// askTunnel asks a proxy to connect to addr. It returns the head of the answer, of
// which answerLimit is read at most, and what came right after it; the body of a
// refusal, which is written for a browser, is left alone.
func askTunnel(conn net.Conn, proxy *url.URL, addr string) (*http.Response, []byte, error) {
	ask := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: addr},
		Host:   addr,
		Header: http.Header{"User-Agent": {"sync-directory"}},
	}
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
		ask.Header.Set("Proxy-Authorization", "Basic "+credentials)
	}
	if err := ask.Write(conn); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(io.LimitReader(conn, answerLimit))
	answer, err := http.ReadResponse(r, ask)
	if err != nil {
		return nil, nil, err
	}
	return answer, takeBuffered(r), nil
}

// proxyTLS is the configuration for a proxy that is spoken to in TLS: of the one for
// the peer only the roots, since names, pins and certificates of our own are the
// peer's. Version 1.2 will do, for what is sent to the proxy; the peer's own TLS lies
// inside.
func proxyTLS(base *tls.Config, host string) *tls.Config {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if base != nil {
		c.RootCAs = base.RootCAs
	}
	return c
}

// earlyConn is a connection of which some bytes have been read already.
type earlyConn struct {
	net.Conn
	early []byte // is read first; guarded by whoever reads
}

func (c *earlyConn) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
