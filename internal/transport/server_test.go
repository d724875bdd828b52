package transport_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ask sends a request by hand and returns the answer's status and body.
func ask(t *testing.T, addr, request string) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if x := resp.Header.Get("Sec-WebSocket-Extensions"); x != "" {
			t.Errorf("extensions %q were agreed on", x)
		}
		return resp.StatusCode, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(body)
}

func get(path, host, lines string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + lines + "\r\n"
}

func TestRequests(t *testing.T) {
	s := serve(t, transport.ServeOptions{Hosts: []string{"Backup.example"}})
	for _, test := range []struct {
		name    string
		request string
		want    int
	}{
		{"upgrade", request("localhost", subprotocol), 101},
		{"one subprotocol of several", request("localhost", "Sec-WebSocket-Protocol: other, "+transport.Protocol+"\r\n"), 101},
		{"compression is declined", request("localhost", subprotocol+"Sec-WebSocket-Extensions: permessage-deflate\r\n"), 101},
		{"port in the host", request("LOCALHOST:99", subprotocol), 101},
		{"IPv4 literal", request("127.9.9.9:1", subprotocol), 101},
		{"IPv6 literal", request("[::1]:80", subprotocol), 101},
		{"IPv6 literal without port", request("[::1]", subprotocol), 101},
		{"allowed host", request("backup.EXAMPLE:80", subprotocol), 101},
		{"foreign origin", request("localhost", subprotocol+"Origin: https://example.com\r\n"), 403},
		{"null origin", request("localhost", subprotocol+"Origin: null\r\n"), 403},
		{"own origin", request("localhost", subprotocol+"Origin: http://localhost\r\n"), 403},
		{"empty origin", request("localhost", subprotocol+"Origin:\r\n"), 403},
		{"foreign host", request("example.com", subprotocol), 403},
		{"host below localhost", request("a.localhost", subprotocol), 403},
		{"host like a literal", request("127.0.0.1.example.com", subprotocol), 403},
		{"another address", request("192.0.2.1", subprotocol), 403},
		{"empty host", request("", subprotocol), 403},
		{"port that is none", request("localhost:http", subprotocol), 403},
		{"port beyond all", request("localhost:65536", subprotocol), 403},
		{"absolute target", strings.Replace(request("localhost", subprotocol), "GET /", "GET http://example.com/", 1), 403},
		{"no host", "GET / HTTP/1.0\r\n\r\n", 403},
		{"health from a page", get("/healthz", "localhost", "Origin: https://example.com\r\n"), 403},
		{"wrong subprotocol", request("localhost", "Sec-WebSocket-Protocol: sync-directory.v2\r\n"), 400},
		{"no subprotocol", request("localhost", ""), 400},
		{"body", request("localhost", subprotocol+"Content-Length: 3\r\n") + "abc", 400},
		{"bad version", strings.Replace(request("localhost", subprotocol), "Version: 13", "Version: 8", 1), 426},
		{"bad key", strings.Replace(request("localhost", subprotocol), "AAAA", "", 1), 400},
		{"post", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405},
		{"options", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
		{"plain get", get("/", "localhost", ""), 426},
		{"HTTP/2 in clear", get("/", "localhost", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n"), 426},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403},
		{"other path", get("/other", "localhost", ""), 404},
		{"path with dots", get("/x/..", "localhost", ""), 404},
		{"health", get("/healthz", "localhost", ""), 200},
		{"post to health", "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405},
		{"large header", get("/", "localhost", "X: "+strings.Repeat("x", 21<<10)+"\r\n"), 431},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := ask(t, s.addr, test.request)
			if status != test.want {
				t.Errorf("status %d %q, want %d", status, body, test.want)
			}
			if status == 200 && body != "ok\n" {
				t.Errorf("body %q", body)
			}
			if strings.Contains(body, "example") {
				t.Errorf("body %q quotes the request", body)
			}
			if status == 101 {
				_ = s.accept(t).Close(wire.CloseNormal, "")
			}
		})
	}
}

func TestAnyHostAndPath(t *testing.T) {
	s := serve(t, transport.ServeOptions{AnyHost: true, BasePath: "/sync"})
	r := strings.Replace(request("example.com", subprotocol), "GET /", "GET /sync", 1)
	if status, body := ask(t, s.addr, r); status != 101 {
		t.Errorf("status %d %q", status, body)
	}
	_ = s.accept(t).Close(wire.CloseNormal, "")
	if status, _ := ask(t, s.addr, request("example.com", subprotocol)); status != 404 {
		t.Errorf("status %d at the root, want 404", status)
	}
}

// wantClosedWithin fails unless the server hangs up in time.
func wantClosedWithin(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("still open after %v", d)
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		t.Errorf("still open after %v", d)
	}
}

// TestStrays: connections that never get anywhere are dropped, and meanwhile
// an honest peer gets through.
func TestStrays(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{UpgradeWithin: 400 * time.Millisecond})
	stray := func() net.Conn {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	silent, trickling, random, idle := stray(), stray(), stray(), stray()
	go func() {
		for _, b := range []byte(request("localhost", "X: "+strings.Repeat("x", 1000))) {
			if _, err := trickling.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	_, _ = random.Write(append(noise, "\r\n\r\n"...))
	_, _ = io.WriteString(idle, get("/healthz", "localhost", ""))

	honest := dial(t, s.url(), transport.DialOptions{})
	ours := s.accept(t)
	for _, c := range []net.Conn{silent, trickling, random, idle} {
		wantClosedWithin(t, c, 3*time.Second)
	}
	// The deadline of strays is not one of those who were let in.
	time.Sleep(500 * time.Millisecond)
	if err := honest.Write(wire.NewBuffer(0)); err != nil {
		t.Error(err)
	}
	if _, err := ours.Read(); err != nil {
		t.Error(err)
	}
	_ = honest.Close(wire.CloseNormal, "")
}

// TestManyStrays: more idle strays than there are places keep nobody out, and
// do not harm who is in.
func TestManyStrays(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{})
	first := dial(t, s.url(), transport.DialOptions{})
	inside := s.accept(t)
	inside.(wire.Admitter).Admit()
	for range 300 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	second := dial(t, s.url(), transport.DialOptions{})
	_ = s.accept(t)
	if err := inside.Write(wire.NewBuffer(0)); err != nil {
		t.Error(err)
	}
	if _, err := first.Read(); err != nil {
		t.Error(err)
	}
	_ = first.Close(wire.CloseNormal, "")
	_ = second.Close(wire.CloseNormal, "")
}

// TestManyMuteSockets: sockets that are upgraded and then admitted to nothing
// give way as well.
func TestManyMuteSockets(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{Most: 8})
	first := dial(t, s.url(), transport.DialOptions{})
	inside := s.accept(t)
	inside.(wire.Admitter).Admit()
	for range 20 {
		mute := dial(t, s.url(), transport.DialOptions{})
		defer mute.Close(wire.CloseNormal, "")
		_ = s.accept(t)
	}
	second := dial(t, s.url(), transport.DialOptions{})
	s.accept(t).(wire.Admitter).Admit()
	for _, conn := range []wire.Conn{first, second} {
		if err := conn.Write(wire.NewBuffer(0)); err != nil {
			t.Error(err)
		}
		_ = conn.Close(wire.CloseNormal, "")
	}
	if _, err := inside.Read(); err != nil {
		t.Error(err)
	}
}

// TestPlacesComeBack: a place is free again when its connection has closed.
func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{Most: 1})
	for range 5 {
		c := dial(t, s.url(), transport.DialOptions{})
		ours := s.accept(t)
		ours.(wire.Admitter).Admit()
		if _, err := transport.Dial(t.Context(), s.url(), transport.DialOptions{}); err == nil {
			t.Error("a second connection got in")
		}
		go func() { _, _ = ours.Read() }()
		_ = c.Close(wire.CloseNormal, "")
		_ = ours.Close(wire.CloseNormal, "")
	}
}

func TestListenLoopback(t *testing.T) {
	ls, err := transport.Listen(t.Context(), nil, 0, quiet)
	if err != nil {
		t.Fatal(err)
	}
	port := ls[0].Addr().(*net.TCPAddr).Port
	s := serve(t, transport.ServeOptions{}, ls...)
	for _, l := range ls {
		if got := l.Addr().(*net.TCPAddr); got.Port != port || !got.IP.IsLoopback() {
			t.Errorf("listening on %v, want loopback and port %d", got, port)
		}
		reach(t, s, "ws://"+l.Addr().String())
	}
	reach(t, s, "ws://localhost:"+strconv.Itoa(port))

	if _, err := transport.Listen(t.Context(), nil, port, quiet); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening twice: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	again, err := transport.Listen(t.Context(), nil, port, quiet)
	if err != nil {
		t.Fatalf("the port is not free after Serve: %v", err)
	}
	for _, l := range again {
		_ = l.Close()
	}
}

// reach fails unless a URL leads to the server.
func reach(t *testing.T, s *server, url string) {
	t.Helper()
	c := dial(t, url, transport.DialOptions{})
	ours := s.accept(t)
	go func() { _, _ = c.Read() }() // answers the close
	_ = ours.Close(wire.CloseNormal, "")
	_ = c.Close(wire.CloseNormal, "")
}

func TestListenExplicit(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1", "0.0.0.0"} {
		ls, err := transport.Listen(t.Context(), []string{addr}, 0, quiet)
		if err != nil {
			if addr == "::1" {
				t.Log("no IPv6 here:", err)
				continue
			}
			t.Fatal(err)
		}
		if got := ls[0].Addr().(*net.TCPAddr).IP.String(); len(ls) != 1 || got != addr {
			t.Errorf("%d listeners, the first on %s, want one on %s", len(ls), got, addr)
		}
		_ = ls[0].Close()
	}
}

// TestServeEnds: the end of ctx closes connections whose handlers do not heed
// it, after the grace.
func TestServeEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l := listenTCP(t)
	served := make(chan error, 1)
	reading := make(chan struct{})
	go func() {
		served <- transport.Serve(ctx, []net.Listener{l}, transport.ServeOptions{Grace: 50 * time.Millisecond},
			func(c wire.Conn, _ transport.Caller) {
				close(reading)
				_, _ = c.Read()
			})
	}()
	c := dial(t, "ws://"+l.Addr().String(), transport.DialOptions{})
	<-reading
	cancel()
	_, err := c.Read()
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != wire.CloseAway {
		t.Errorf("read: %v, want close code %d", err, wire.CloseAway)
	}
	_ = c.Close(wire.CloseNormal, "")
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestServeListenerFails: a listener that dies ends Serve with its error.
func TestServeListenerFails(t *testing.T) {
	l := listenTCP(t)
	_ = l.Close()
	err := transport.Serve(t.Context(), []net.Listener{l}, transport.ServeOptions{}, func(wire.Conn, transport.Caller) {})
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}
