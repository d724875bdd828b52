package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// forwardProxy is an HTTP proxy that connects to one place, whatever it is asked for.
type forwardProxy struct {
	to     string
	answer func(*http.Request) string // to CONNECT; what begins with 200 connects

	mu    sync.Mutex // guards the rest
	asked []*http.Request
	conns []net.Conn
}

const granted = "HTTP/1.1 200 Connection established\r\n\r\n"

// proxied starts a proxy before the address to, on a listener of its own if none is
// given, and returns it with its URL's host.
func proxied(t *testing.T, to string, answer func(*http.Request) string, ls ...net.Listener) (*forwardProxy, string) {
	t.Helper()
	if len(ls) == 0 {
		ls = []net.Listener{listenTCP(t)}
	}
	p := &forwardProxy{to: to, answer: answer}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ls[0].Accept()
			if err != nil {
				return
			}
			p.keep(c)
			running.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ls[0].Close()
		p.mu.Lock()
		for _, c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		running.Wait()
	})
	return p, ls[0].Addr().String()
}

func (p *forwardProxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
}

func (p *forwardProxy) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, r)
	p.mu.Unlock()
	answer := granted
	if p.answer != nil {
		answer = p.answer(r)
	}
	if _, err := io.WriteString(c, answer); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200") {
		return
	}
	there, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	p.keep(there)
	defer there.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(there, in) // until either side ends
		_ = there.Close()
	}()
	_, _ = io.Copy(c, there)
	_ = c.Close()
	<-ended
}

// requests returns what the proxy was asked for.
func (p *forwardProxy) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// via makes everything go through the proxy at a URL.
func via(t *testing.T, proxy string) func(*http.Request) (*url.URL, error) {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	return http.ProxyURL(u)
}

// certificate returns one for example.com and 127.0.0.1, and who trusts it.
func certificate() (tls.Certificate, *x509.CertPool) {
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	return web.TLS.Certificates[0], roots
}

// TestProxy goes through proxies of both kinds to listeners of both kinds. The name in
// the URL, which exists nowhere, is the proxy's to resolve.
func TestProxy(t *testing.T) {
	cert, roots := certificate()
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	for _, test := range []struct{ proxy, target, asked string }{
		{"http", "ws://example.com", "example.com:80"},
		{"http", "wss://example.com/", "example.com:443"},
		{"https", "ws://example.com:8080", "example.com:8080"},
		{"https", "wss://example.com:8443", "example.com:8443"},
		{"http", "ws://[2001:db8::1]", "[2001:db8::1]:80"},
	} {
		t.Run(test.proxy+" to "+test.target, func(t *testing.T) {
			var listener, front net.Listener = listenTCP(t), listenTCP(t)
			if strings.HasPrefix(test.target, "wss") {
				listener = tls.NewListener(listener, config)
			}
			if test.proxy == "https" {
				front = tls.NewListener(front, config)
			}
			s := serve(t, transport.ServeOptions{AnyHost: true}, listener)
			p, at := proxied(t, s.addr, nil, front)
			// What verifies the peer is no matter of the proxy's.
			peers := &tls.Config{RootCAs: roots, ServerName: "example.com", VerifyConnection: func(c tls.ConnectionState) error {
				if c.ServerName != "example.com" {
					return errors.New("the proxy was taken for the peer")
				}
				return nil
			}}
			a := dial(t, test.target, transport.DialOptions{
				Proxy: via(t, test.proxy+"://us%40er:pass%3Aword@"+at), TLS: peers,
				Header: http.Header{"Authorization": {"Bearer secret"}},
			})
			b := s.accept(t)
			defer wire.Abort(a)
			defer wire.Abort(b)
			const text = "through the proxy"
			m := wire.NewBuffer(len(text))
			m.Append([]byte(text)...)
			if err := a.Write(m); err != nil {
				t.Fatal(err)
			}
			got, err := b.Read()
			if err != nil {
				t.Fatal(err)
			}
			defer got.Free()
			if string(got.Bytes()) != text {
				t.Errorf("message %q", got.Bytes())
			}
			asked := p.requests()
			if len(asked) != 1 || asked[0].Method != "CONNECT" || asked[0].RequestURI != test.asked || asked[0].Host != test.asked {
				t.Fatalf("the proxy was asked for %v", asked)
			}
			if user, password, ok := basicAuth(asked[0]); !ok || user != "us@er" || password != "pass:word" {
				t.Errorf("credentials %q %q", user, password)
			}
			if asked[0].Header.Get("Authorization") != "" {
				t.Error("the proxy got what is for the listener")
			}
		})
	}
}

// basicAuth returns what a proxy is given.
func basicAuth(r *http.Request) (user, password string, ok bool) {
	like := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	return like.BasicAuth()
}

func TestProxyRefuses(t *testing.T) {
	for _, test := range []struct {
		name, answer, user string
		code               int
		takes              bool
	}{
		{"without credentials", "HTTP/1.1 407 Go away\r\nProxy-Authenticate: Basic realm=\"secret\"\r\n\r\n", "", 407, true},
		{"with wrong ones", "HTTP/1.1 407 Go away\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: bAsIc\r\n\r\n", "me:secret@", 407, true},
		{"of another kind", "HTTP/1.1 407 Go away\r\nProxy-Authenticate: NTLM\r\n\r\n", "me:secret@", 407, false},
		{"by HTTP/1.0", "HTTP/1.0 407 Go away\r\nProxy-Authenticate: Basic\r\n\r\n", "", 407, true},
		{"the port", "HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\nsecret", "", 403, true},
		{"CONNECT", "HTTP/1.1 405 Method Not Allowed\r\n\r\n", "", 405, true},
		{"a target that is down", "HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n", "", 502, true},
		{"by a redirect", "HTTP/1.1 302 Found\r\nLocation: http://localhost/secret\r\n\r\n", "", 302, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, at := proxied(t, "", func(*http.Request) string { return test.answer })
			_, err := transport.Dial(t.Context(), "wss://peer.example", transport.DialOptions{Proxy: via(t, "http://"+test.user+at)})
			var refused *transport.ProxyError
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if refused.Code != test.code || refused.Takes() != test.takes || refused.Sent != (test.user != "") {
				t.Errorf("%+v", refused)
			}
			if refused.Proxy != "http://"+at || refused.Target != "peer.example:443" {
				t.Errorf("%+v", refused)
			}
			if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), at) {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestProxyHostileAnswers(t *testing.T) {
	for _, test := range []struct{ name, answer string }{
		{"nothing", ""},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n"},
		{"endless line", "HTTP/1.1 200 " + strings.Repeat("x", 1<<20)},
		{"endless header", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 1<<16)},
		{"header without end", "HTTP/1.1 200 OK\r\nX: y\r\n"},
		{"bytes of a terminal", "HTTP/1.1 200 OK\r\n\x1b[31m\x00: y\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, at := proxied(t, listenClosed(t), func(*http.Request) string { return test.answer })
			_, err := transport.Dial(t.Context(), "ws://peer.example", transport.DialOptions{Proxy: via(t, "http://secret:secret@"+at)})
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("dial: %v", err)
			}
		})
	}
}

// listenClosed returns an address at which nobody listens.
func listenClosed(t *testing.T) string {
	l := listenTCP(t)
	_ = l.Close()
	return l.Addr().String()
}

// TestProxyAnswerIsBounded: what a proxy sends without end is not read without end.
func TestProxyAnswerIsBounded(t *testing.T) {
	here, there := net.Pipe() // without buffers, so that what is written was read
	wrote := make(chan int, 1)
	go func() {
		_, _ = http.ReadRequest(bufio.NewReader(there)) // it is a fine one
		n, _ := io.WriteString(there, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: y\r\n", 1<<16))
		wrote <- n
	}()
	_, err := transport.Dial(t.Context(), "ws://peer.example", transport.DialOptions{
		Proxy:   via(t, "http://proxy.example"),
		NetDial: func(context.Context, string, string) (net.Conn, error) { return here, nil },
	})
	if err == nil {
		t.Error("connected")
	}
	if n := <-wrote; n > 20<<10 {
		t.Errorf("%d bytes were read", n)
	}
	_ = there.Close()
}

// TestProxyInTime: neither a proxy that says nothing nor one that says a byte now and
// then keeps Dial beyond its time.
func TestProxyInTime(t *testing.T) {
	for name, pause := range map[string]time.Duration{"silent": time.Hour, "trickling": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			l := listenTCP(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				for {
					_ = c.SetReadDeadline(time.Now().Add(pause))
					_, err := c.Read(make([]byte, 1024))
					if ne, ok := errors.AsType[net.Error](err); err != nil && !(ok && ne.Timeout()) {
						return
					}
					if err != nil {
						_, _ = io.WriteString(c, "X") // it will be closed
					}
				}
			}()
			defer func() { _ = l.Close(); <-done }()
			start := time.Now()
			_, err := transport.Dial(t.Context(), "ws://peer.example", transport.DialOptions{
				Proxy: via(t, "http://"+l.Addr().String()), Within: 100 * time.Millisecond,
			})
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
				t.Errorf("dial: %v after %v", err, time.Since(start))
			}
		})
	}
}

// TestProxyEarlyBytes: what comes in one piece with the proxy's answer belongs to the
// connection. Here the listener refuses before it is asked.
func TestProxyEarlyBytes(t *testing.T) {
	_, at := proxied(t, listenClosed(t), func(*http.Request) string {
		return granted + "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nlate"
	})
	_, err := transport.Dial(t.Context(), "ws://peer.example", transport.DialOptions{Proxy: via(t, "http://"+at)})
	var refused *transport.StatusError
	if !errors.As(err, &refused) || refused.Code != 429 || refused.Body != "late" {
		t.Errorf("dial: %v", err)
	}
}

func TestProxyThatCannotBe(t *testing.T) {
	for proxy, word := range map[string]string{
		"socks5://secret:secret@localhost:1080": "SOCKS", "socks5h://localhost": "SOCKS", "socks4://localhost": "SOCKS",
		"ftp://secret:secret@localhost": "http://", "http://secret:secret@": "host",
	} {
		err := transport.CheckDial("wss://peer.example", transport.DialOptions{Proxy: via(t, proxy)})
		if !errors.Is(err, transport.ErrProxy) || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", proxy, err)
		}
	}
}

// TestProxyRoundTrip: how long a proxy takes to connect is not how far away the peer is.
func TestProxyRoundTrip(t *testing.T) {
	s := serve(t, transport.ServeOptions{AnyHost: true})
	const slow = 300 * time.Millisecond
	_, at := proxied(t, s.addr, func(*http.Request) string { time.Sleep(slow); return granted })
	c := dial(t, "ws://peer.example", transport.DialOptions{Proxy: via(t, "http://"+at)})
	defer wire.Abort(c)
	defer wire.Abort(s.accept(t))
	if d := c.(wire.Timed).RoundTrip(); d <= 0 || d >= slow {
		t.Errorf("round trip %v", d)
	}
}
