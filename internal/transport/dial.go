package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// answerLimit bounds everything read before the upgrade is done.
	answerLimit = 16 << 10
	// bodyLimit is how much of a refusal's body is kept.
	bodyLimit = 512
)

// DialOptions say how Dial connects. The zero value of each field means its
// default.
type DialOptions struct {
	// NetDial opens the connection to an address "host:port", of the peer or
	// of a proxy; default net.Dialer.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy returns the HTTP proxy through which to connect, by CONNECT, nil for
	// none. It is asked with the URL's scheme as http or https. A user and
	// a password in what it returns are given to the proxy. Default:
	// http.ProxyFromEnvironment, which goes by HTTPS_PROXY for wss, HTTP_PROXY for
	// ws and NO_PROXY, and knows no proxy for this machine itself.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is the configuration for wss; default: the system's roots. TLS
	// 1.3 and HTTP/1.1 are asked for in any case.
	TLS *tls.Config
	// Inner is the configuration of TLS inside the WebSocket; nil for none.
	Inner *tls.Config
	// Header holds fields to send with the request, none of those that make the
	// handshake. They are not for Proxy, which sees them where the URL begins with ws.
	Header http.Header
	// Within bounds the whole of Dial; default 30 s.
	Within time.Duration
	// Conn holds the intervals of the connection.
	Conn Options
}

// ErrURL says that a URL is none that Dial can connect to.
var ErrURL = errors.New("the URL cannot be used")

// ErrOldHTTP says that a server has not answered in HTTP/1.1: one that speaks TLS
// answers so who does not.
var ErrOldHTTP = errors.New("the answer is not one of HTTP/1.1")

// StatusError is the answer of a server that refused the upgrade.
type StatusError struct {
	Code int
	// Body is the beginning of what the server said: escape it before
	// showing it.
	Body string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.Code, http.StatusText(e.Code))
}

// newStatusError reads what a server says when it refuses.
func newStatusError(status int, answer io.Reader) *StatusError {
	e := &StatusError{Code: status}
	resp, err := http.ReadResponse(bufio.NewReader(answer), nil)
	if err != nil {
		return e // the status says enough
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, bodyLimit)) // what there is
	e.Body = string(body)
	return e
}

// CheckDial reports what makes Dial fail whoever is there: an error that is ErrURL,
// ErrHeader or ErrProxy.
func CheckDial(address string, opts DialOptions) error {
	u, err := parseURL(address)
	if err != nil {
		return err
	}
	if _, err := opts.proxyFor(u); err != nil {
		return err
	}
	return checkFields(opts.Header)
}

// Dial connects to a ws or wss URL. It follows no redirect. A refused upgrade
// is a *StatusError, a refusal by a proxy a *ProxyError; errors of the network are
// wrapped.
func Dial(ctx context.Context, address string, opts DialOptions) (wire.Conn, error) {
	u, err := parseURL(address)
	if err != nil {
		return nil, err
	}
	if err := checkFields(opts.Header); err != nil {
		return nil, err
	}
	if opts.Within == 0 {
		opts.Within = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Within)
	defer cancel()
	conn, err := connect(ctx, u, &opts)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	protocol := Protocol
	if opts.Inner != nil {
		protocol = ProtocolTLS
	}
	start := time.Now()
	early, err := shake(ctx, conn, u, opts.Header, protocol)
	roundTrip := time.Since(start)
	if err != nil {
		hardClose(conn)
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	if opts.Inner != nil {
		secure := startTunnel(conn, early, true, opts.Inner)
		if err := secure.HandshakeContext(ctx); err != nil {
			hardClose(conn)
			return nil, fmt.Errorf("TLS inside the WebSocket: %w", err)
		}
		conn, early = secure, nil
	}
	s := newSocket(conn, early, true, opts.Conn)
	s.roundTrip = roundTrip
	return s, nil
}

// parseURL accepts what Dial can use. Its errors leave the URL out: it may
// hold a secret that was put there by mistake.
func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	what := ""
	switch {
	case err != nil:
		what = "it cannot be parsed"
	case u.Scheme != "ws" && u.Scheme != "wss":
		what = "it must begin with ws:// or wss://"
	case u.Hostname() == "":
		what = "it names no host"
	case u.Port() != "" && !isPort(u.Port()):
		what = "its port is none: 1 to 65535"
	case u.User != nil:
		what = "it must not hold a user or a password"
	case u.Fragment != "":
		what = "it must not have a fragment"
	case u.Query().Has("token"):
		what = "it must not hold a token, which everybody on this machine would see: give it by --token-file FILE or SYNC_DIRECTORY_TOKEN"
	}
	if what != "" {
		return nil, fmt.Errorf("%w: %s", ErrURL, what)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// connect opens the connection, through a proxy if there is one and with TLS if
// the URL asks for it.
func connect(ctx context.Context, u *url.URL, opts *DialOptions) (net.Conn, error) {
	proxy, err := opts.proxyFor(u)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	if proxy != nil {
		conn, err = through(ctx, proxy, hostPort(u), opts)
	} else {
		conn, err = opts.dial(ctx, hostPort(u))
	}
	if err != nil || u.Scheme == "ws" {
		return conn, err
	}
	return secure(ctx, conn, tlsConfig(opts.TLS, u.Hostname()))
}

func (o *DialOptions) dial(ctx context.Context, addr string) (net.Conn, error) {
	if o.NetDial != nil {
		return o.NetDial(ctx, "tcp", addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// hostPort returns the address that u names, with its scheme's port if it names none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443", "http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// secure begins TLS on a connection, which it closes if that fails.
func secure(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		hardClose(conn)
		return nil, err
	}
	return secured, nil
}

func tlsConfig(base *tls.Config, host string) *tls.Config {
	c := new(tls.Config)
	if base != nil {
		c = base.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = host
	}
	return only13(c)
}

// only13 makes c one of TLS 1.3 and HTTP/1.1, and what it gives for a client, too.
func only13(c *tls.Config) *tls.Config {
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"http/1.1"} // HTTP/2 cannot be upgraded
	c.SessionTicketsDisabled = true     // nobody comes back that soon
	if choose := c.GetConfigForClient; choose != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := choose(hello)
			if chosen != nil {
				chosen = only13(chosen.Clone())
			}
			return chosen, err
		}
	}
	return c
}

// shake asks for the upgrade, bounded by ctx and by answerLimit.
func shake(ctx context.Context, conn net.Conn, u *url.URL, header http.Header, protocol string) (early []byte, err error) {
	err = within(ctx, conn, func() error {
		early, err = upgradeClient(bounded{io.LimitReader(conn, answerLimit), conn}, u, header, protocol)
		return err
	})
	return early, err
}

// within does something with a connection that ends when ctx does.
func within(ctx context.Context, conn net.Conn, do func() error) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_ = conn.SetDeadline(time.Unix(1, 0)) // ends reads and writes
	})
	err := do()
	if stop() {
		return err
	}
	<-stopped
	if refused := (*StatusError)(nil); errors.As(err, &refused) {
		return err
	}
	return ctx.Err() // what was read by then may look like anything
}

// bounded reads a limited part of what it writes to.
type bounded struct {
	io.Reader
	io.Writer
}
