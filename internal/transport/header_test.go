package transport_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestHeaderRefused(t *testing.T) {
	for name, value := range map[string]string{
		"Host":                     "secret",
		"origin":                   "https://secret",
		"Connection":               "close",
		"UPGRADE":                  "h2c",
		"Sec-WebSocket-Protocol":   "secret",
		"sec-websocket-key":        "secret",
		"Sec-WebSocket-Extensions": "secret",
		"Content-Length":           "3",
		"Transfer-Encoding":        "chunked",
		"TE":                       "trailers",
		"Trailer":                  "X",
		"Expect":                   "100-continue",
		"Keep-Alive":               "3",
		"Proxy-Authorization":      "Basic secret",
		"Proxy-Connection":         "close",
		"":                         "secret",
		"X secret":                 "x",
		"X-secret\r\nHost":         "x",
		"X-s\xe9cret":              "x",
		"X-Line":                   "secret\r\nHost: other",
		"X-Feed":                   "secret\nX",
		"X-Zero":                   "secret\x00",
		"X-Delete":                 "secret\x7f",
	} {
		err := transport.CheckDial("ws://localhost", transport.DialOptions{Header: http.Header{name: {value}}})
		if !errors.Is(err, transport.ErrHeader) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %q: %v", name, value, err)
		}
		if _, err := transport.Dial(t.Context(), "ws://localhost", transport.DialOptions{Header: http.Header{name: {value}}}); !errors.Is(err, transport.ErrHeader) {
			t.Errorf("dial with %q: %v", name, err)
		}
	}
}

// TestHeaderArrives: fields of all kinds come to the server as they were given.
func TestHeaderArrives(t *testing.T) {
	fields := http.Header{
		"Authorization": {"Bearer a/b+c=="},
		"Cookie":        {"a=1", "b=2"},
		"X-Tab":         {"a\tb"},
		"X-Latin":       {"caf\xe9"},
		"User-Agent":    {"curl/8"},
	}
	got := make(chan http.Header, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		if c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{transport.Protocol}}); err == nil {
			_ = c.CloseNow()
		}
	}))
	defer web.Close()
	url := "ws" + strings.TrimPrefix(web.URL, "http")
	c := dial(t, url, transport.DialOptions{Header: fields})
	defer wire.Abort(c)
	header := <-got
	for name, want := range fields {
		if have := header[name]; strings.Join(have, "|") != strings.Join(want, "|") {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
}

// TestForwardedIsIgnored: what a proxy, or somebody who pretends to be one, says of
// where a request comes from lets nobody in, and changes nothing of what is logged.
func TestForwardedIsIgnored(t *testing.T) {
	s := serve(t, transport.ServeOptions{})
	for _, line := range []string{
		"X-Forwarded-Host: localhost", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1",
		"Forwarded: for=127.0.0.1;host=localhost;proto=https", "X-Original-URL: /healthz", "X-HTTP-Method-Override: GET",
	} {
		if status, _ := ask(t, s.addr, request("other.example", subprotocol+line+"\r\n")); status != 403 {
			t.Errorf("%s: status %d, want 403", line, status)
		}
	}
	forwarded := subprotocol + "X-Forwarded-Host: other.example\r\nX-Forwarded-For: 192.0.2.1\r\nForwarded: host=other.example\r\n"
	if status, body := ask(t, s.addr, request("localhost", forwarded)); status != 101 {
		t.Fatalf("status %d %q", status, body)
	}
	c := s.accept(t)
	defer wire.Abort(c)
	if remote := s.from.Load().(string); !strings.HasPrefix(remote, "127.0.0.1:") {
		t.Errorf("the connection is said to come from %s", remote)
	}
	for _, before := range []string{"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x02"} {
		if status, _ := ask(t, s.addr, before+request("localhost", subprotocol)); status != 400 {
			t.Errorf("%q: status %d, want 400", before, status)
		}
	}
}

func TestBasePath(t *testing.T) {
	for path, want := range map[string]bool{
		"": true, "/": true, "/sync": true, "/sync/": true, "/a/b-c/d_e~f.g": true, "/...": true, "/healthz/x": true,
		"sync": false, "//": false, "/a//b": false, "/.": false, "/a/../b": false, "/a/..": false, "/healthz": false, "/healthz/": false,
		"/a b": false, "/a%20b": false, "/a?b": false, "/a#b": false, "/a;b": false, "/\xff": false, "/é": false, "/a\\b": false,
	} {
		if err := transport.CheckBasePath(path); (err == nil) != want || err != nil && !errors.Is(err, transport.ErrBasePath) {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, base := range []string{"/a/b", "/a/b/"} {
		s := serve(t, transport.ServeOptions{BasePath: base})
		for path, want := range map[string]int{
			"/a/b": 101, "/a/b/": 101, "/a/b?x=y": 101, "/a/%62": 101,
			"/": 404, "/a": 404, "/a/b//": 404, "/a/b/c": 404, "//a/b": 404, "/a/./b": 404, "/A/b": 404, "/a%2fb/": 101, "/healthz/": 404,
		} {
			status, body := ask(t, s.addr, strings.Replace(request("localhost", subprotocol), "GET /", "GET "+path, 1))
			if status != want {
				t.Errorf("%s at %s: status %d %q, want %d", path, base, status, body, want)
			}
			if status == 101 {
				wire.Abort(s.accept(t))
			}
		}
		if status, _ := ask(t, s.addr, get("/healthz", "localhost", "")); status != 200 {
			t.Errorf("/healthz: status %d", status)
		}
	}
}
