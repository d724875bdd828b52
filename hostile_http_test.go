//go:build unix

package syncdirectory

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// get is a request with a method, a target and further lines.
func get(method, target string, lines ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(lines, "") + "\r\n"
}

// without is a request for an upgrade of which a line is another.
func without(line, instead string) string {
	r := upgrading()
	at := strings.Index(r, line)
	end := at + strings.Index(r[at:], "\r\n") + 2
	return r[:at] + instead + r[end:]
}

// foulRequests are what a stranger may ask a receiver for, and the status of the answer:
// 101 is let in as any other, 0 is no answer but the end.
var foulRequests = []struct {
	name, request string
	status        int
}{
	{"origin of a page", upgrading("Origin: https://example.com\r\n"), 403},
	{"origin of this machine", upgrading("Origin: http://localhost:8080\r\n"), 403},
	{"origin null", upgrading("Origin: null\r\n"), 403},
	{"origin of nothing", upgrading("Origin:\r\n"), 403},
	{"origin in small letters", upgrading("origin: http://localhost\r\n"), 403},
	{"origin twice", upgrading("Origin: a\r\n", "Origin: b\r\n"), 403},
	{"origin of health", get("GET", "/healthz", "Origin: https://example.com\r\n"), 403},
	{"host of a page", without("Host:", "Host: example.com\r\n"), 403},
	{"host of a page like loopback", without("Host:", "Host: 127.0.0.1.example.com\r\n"), 403},
	{"host below localhost", without("Host:", "Host: a.localhost\r\n"), 403},
	{"host that ends with a dot", without("Host:", "Host: localhost.\r\n"), 403},
	{"host of another address", without("Host:", "Host: 192.0.2.1\r\n"), 403},
	{"host of all addresses", without("Host:", "Host: 0.0.0.0\r\n"), 403},
	{"host with a user", without("Host:", "Host: localhost@example.com\r\n"), 400},
	{"host as a number", without("Host:", "Host: 2130706433\r\n"), 403},
	{"host of nothing", without("Host:", "Host:\r\n"), 403},
	{"host twice", without("Host:", "Host: localhost\r\nHost: example.com\r\n"), 400},
	{"no host", without("Host:", ""), 400},
	{"host that is none", without("Host:", "Host: local host\r\n"), 400},
	{"host in the target", strings.Replace(upgrading(), "GET /", "GET http://example.com/", 1), 403},
	{"host that a proxy names", without("Host:", "Host: example.com\r\nX-Forwarded-Host: localhost\r\nForwarded: host=localhost\r\n"), 403},
	{"method post", strings.Replace(upgrading(), "GET", "POST", 1), 405},
	{"method put", get("PUT", "/", "Content-Length: 0\r\n"), 405},
	{"method delete", get("DELETE", "/"), 405},
	{"method connect", get("CONNECT", "localhost:22"), 404},
	{"method trace", get("TRACE", "/"), 405},
	{"method options of all", get("OPTIONS", "*"), 404},
	{"method in small letters", get("get", "/"), 405},
	{"method of its own", get("MIRROR", "/"), 405},
	{"method that is none", "G\x00T / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
	{"path upwards", strings.Replace(upgrading(), "GET /", "GET /../../etc/passwd", 1), 404},
	{"path in disguise", strings.Replace(upgrading(), "GET /", "GET /%2e%2e/", 1), 404},
	{"path twice", strings.Replace(upgrading(), "GET /", "GET //", 1), 404},
	{"path with a NUL", strings.Replace(upgrading(), "GET /", "GET /%00", 1), 404},
	{"path of a debugger", get("GET", "/debug/pprof/"), 404},
	{"path of metrics", get("GET", "/metrics"), 404},
	{"path of a file", get("GET", "/d/x"), 404},
	{"path that is malformed", get("GET", "/%zz"), 400},
	{"plain", get("GET", "/"), 426},
	{"version of WebSocket", without("Sec-WebSocket-Version:", "Sec-WebSocket-Version: 12\r\n"), 426},
	{"no version of WebSocket", without("Sec-WebSocket-Version:", ""), 400},
	{"key that is short", without("Sec-WebSocket-Key:", "Sec-WebSocket-Key: AAAA\r\n"), 400},
	{"no key", without("Sec-WebSocket-Key:", ""), 400},
	{"protocol of the future", without("Sec-WebSocket-Protocol:", "Sec-WebSocket-Protocol: sync-directory.v2\r\n"), 400},
	{"no protocol", without("Sec-WebSocket-Protocol:", ""), 400},
	{"protocol in capitals of nothing", without("Sec-WebSocket-Protocol:", "Sec-WebSocket-Protocol: sync-directory.v1x\r\n"), 400},
	{"no upgrade", without("Upgrade:", ""), 426},
	{"no connection to upgrade", without("Connection:", "Connection: close\r\n"), 426},
	{"HTTP/2 in clear", get("GET", "/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"), 426},
	{"HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 403},
	{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 426},
	{"HTTP/0.9", "GET /\r\n\r\n", 400},
	{"HTTP/9.9", strings.Replace(get("GET", "/"), "1.1", "9.9", 1), 505},
	{"a body", upgrading("Content-Length: 3\r\n") + "abc", 400},
	{"a body in chunks", upgrading("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400},
	{"two lengths", upgrading("Content-Length: 0\r\n", "Content-Length: 5\r\n"), 400},
	{"a length that is negative", upgrading("Content-Length: -1\r\n"), 400},
	{"a length of all", upgrading("Content-Length: 99999999999999999999\r\n"), 400},
	{"a length and chunks", upgrading("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400},
	{"an encoding that is none", upgrading("Transfer-Encoding: xchunked\r\n"), 501},
	{"a field with a space", upgrading("Content-Length : 0\r\n"), 400},
	{"a field that is folded", upgrading("X: a\r\n b\r\n"), 101},
	{"a field with a NUL", upgrading("X: a\x00b\r\n"), 400},
	{"a large field", upgrading("X: " + pad(30<<10) + "\r\n"), 431},
	{"a large target", get("GET", "/"+pad(30<<10)), 431},
	{"many fields", upgrading(strings.Repeat("X: y\r\n", 5000)), 431},
	{"a record of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + pad(100) + "\r\n\r\n", 400},
	{"words of SSH", "SSH-2.0-OpenSSH_9.9\r\n\r\n", 400},
	{"noise", "\xff\xfe\xfd\r\n\r\n", 400},
	{"health by post", get("POST", "/healthz", "Content-Length: 0\r\n"), 405},
	{"health", get("GET", "/healthz"), 200},
	{"compression that is offered", upgrading("Sec-WebSocket-Extensions: permessage-deflate\r\n"), 101},
	{"compression with parameters", upgrading("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15; server_no_context_takeover, x-webkit-deflate-frame\r\n"), 101},
	{"an extension of its own", upgrading("Sec-WebSocket-Extensions: bbf-usp-protocol\r\n"), 101},
	{"who it says it comes from", upgrading("X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n"), 101},
}

// Whatever a stranger asks for, the receiver answers as it says, tells nothing of the
// request nor of itself, agrees on no extension, and listens on.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	g := newGround(t, false)
	l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{})
	for _, f := range foulRequests {
		w := connects(t, l.addr)
		w.says(f.request)
		status, header, body := w.status()
		if status != f.status {
			t.Errorf("%s: status %d %q, not %d", f.name, status, body, f.status)
		}
		if x := header.Get("Sec-WebSocket-Extensions"); x != "" {
			t.Errorf("%s: extensions %q are agreed on", f.name, x)
		}
		if len(body) > 100 || strings.Contains(body, "example") || strings.Contains(body, "passwd") || header.Get("Access-Control-Allow-Origin") != "" || header.Get("Server") != "" {
			t.Errorf("%s: it is told %q %v", f.name, body, header)
		}
		if status != http.StatusSwitchingProtocols {
			if _, err := io.Copy(io.Discard, w.in); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Errorf("%s: the connection stays", f.name)
				}
			}
		}
		_ = w.Close()
	}
	g.untouched()
	g.heals(l.url)
	if out := l.end(t); out.err != nil {
		t.Error(out.err)
	}
	if len(l.sessions) != 1 {
		t.Errorf("there were %d sessions", len(l.sessions))
	}
}

// Strangers that say nothing, or a byte now and then, are many and keep nobody out: an
// honest sender gets through while they are there, and they are gone after a while.
func TestHostileCrowd(t *testing.T) {
	t.Parallel()
	g := newGround(t, false)
	l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{KeepRunning: true})
	for i := range 300 {
		w := connects(t, l.addr)
		switch i % 3 {
		case 0:
			w.says("G")
		case 1:
			w.says(upgrading()) // and no Hello
		}
	}
	begun := time.Now()
	g.heals(l.url)
	if d := time.Since(begun); d > patience/2 {
		t.Errorf("the honest sender was through after %v", d)
	}
}
