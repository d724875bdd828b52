//go:build unix

package cli_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/linksim"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// The tests here run the command behind the servers that people have, which
// scripts/setup installs, configured by what docs/proxies.md shows.

// proxied is a source, a destination, and a link on the way to a listener.
type proxied struct {
	t                *testing.T
	dir, in, out     string
	port             int // of the listener
	link             *linksim.Proxy
	front            *front
	listener, dialer *run
	size             int
}

// newProxied makes a source that takes three seconds to go over the link.
func newProxied(t *testing.T) *proxied {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "proxies")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755)) // nginx reads as somebody else
	x := &proxied{t: t, dir: dir, in: filepath.Join(dir, "in"), out: filepath.Join(dir, "out"), size: 32 << 20}
	if testing.Short() {
		x.size = 8 << 20
	}
	must(t, os.MkdirAll(filepath.Join(x.in, "sub"), 0o755))
	for i := range 50 {
		must(t, os.WriteFile(fmt.Sprintf("%s/sub/%d", x.in, i), []byte(strings.Repeat(fmt.Sprint(i), 1000)), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(x.in, "large"), noise(uint64(len(t.Name())), int64(x.size)), 0o644))
	x.port, err = freePort()
	must(t, err)
	x.link, err = linksim.Start(fmt.Sprintf("127.0.0.1:%d", x.port), linksim.Link{Rate: float64(x.size) / 3})
	must(t, err)
	t.Cleanup(x.link.Close)
	return x
}

// linkPort is where the listener is reached over the link.
func (x *proxied) linkPort() int {
	var port int
	_, err := fmt.Sscanf(x.link.Addr(), "127.0.0.1:%d", &port)
	must(x.t, err)
	return port
}

// behind puts a server before the link.
func (x *proxied) behind(program string, configure func(*front)) {
	x.t.Helper()
	port, err := freePort()
	must(x.t, err)
	x.front = &front{t: x.t, kind: kindOf(program), name: "localhost", port: port, dir: filepath.Join(x.dir, program), upstream: x.linkPort()}
	must(x.t, os.Mkdir(x.front.dir, 0o755))
	if configure != nil {
		configure(x.front)
	}
	x.front.certify()
	x.front.start()
}

// receive starts a receiver that listens as the page says.
func (x *proxied) receive(args ...string) {
	x.t.Helper()
	x.listener = begin(x.t, append([]string{"--port", fmt.Sprint(x.port), "--base-path", "/sync", "--output-dir", x.out, "--no-fsync", "--log-level", "info"}, args...)...)
	x.listener.awaitListening(x.t, x.port)
}

// send starts a sender that dials.
func (x *proxied) send(url string, env []string, args ...string) {
	x.dialer = beginWith(x.t, env, append([]string{"--from", x.in, "--to", url, "--compress", "none", "--log-level", "debug"}, args...)...)
}

// passed waits until a part of the content is through.
func (x *proxied) passed(part float64) {
	x.t.Helper()
	x.await("nothing passes", func() bool { return x.through() >= part })
}

// await waits for something to become true.
func (x *proxied) await(otherwise string, holds func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("%s\n%s", otherwise, x.said())
		}
	}
}

// through returns how much of the content is through.
func (x *proxied) through() float64 {
	up, down, _ := x.link.Counts()
	return float64(up+down) / float64(x.size)
}

// said returns all that was said.
func (x *proxied) said() string {
	text := ""
	for _, r := range []*run{x.dialer, x.listener} {
		if r != nil {
			text += r.out.String() + "\n"
		}
	}
	if x.front != nil {
		text += x.front.log()
	}
	return text
}

// succeeds waits for the end of both, which is a good one.
func (x *proxied) succeeds() {
	x.t.Helper()
	a, b := x.dialer.ends(patience), x.listener.ends(patience)
	if a != 0 || b != 0 {
		x.t.Fatalf("the dialer ends with %d, the listener with %d\n%s", a, b, x.said())
	}
	want, err := look(x.in)
	must(x.t, err)
	check(x.t, "the end", want, x.out)
}

// fails waits for the dialer to end with a code and words.
func (x *proxied) fails(code int, words ...string) {
	x.t.Helper()
	if got := x.dialer.ends(patience); got != code {
		x.t.Errorf("the dialer ends with %d, not %d\n%s", got, code, x.dialer.out.String())
	}
	for _, word := range words {
		if !strings.Contains(x.dialer.out.String(), word) {
			x.t.Errorf("%q is not in\n%s", word, x.dialer.out.String())
		}
	}
}

// TestBehindProxies mirrors through servers that end TLS, which are reloaded in the
// middle, or restarted.
func TestBehindProxies(t *testing.T) {
	t.Parallel()
	reload := func(x *proxied) { x.front.reload() }
	for _, c := range []struct {
		program, name string
		configure     func(*front)
		disturb       func(x *proxied)
		breaks        bool // the connection
	}{
		{"nginx", "reload", nil, reload, false},
		{"nginx", "reload that waits for nobody", func(f *front) { f.cuts = true }, reload, true},
		{"nginx", "restart", nil, func(x *proxied) {
			x.front.daemon.stop()
			time.Sleep(300 * time.Millisecond)
			x.front.start()
		}, true},
		{"haproxy", "reload", nil, reload, false},
		{"haproxy", "reload that waits for nobody", func(f *front) { f.cuts = true }, reload, true},
		{"caddy", "reload", nil, reload, true},
	} {
		t.Run(c.program+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			needs(t, c.program)
			x := newProxied(t)
			x.receive()
			x.behind(c.program, c.configure)
			x.send(x.front.url(), []string{x.front.trust()})
			x.passed(0.3)
			c.disturb(x)
			if x.through() >= 1 {
				t.Error("all was through before")
			}
			x.succeeds()
			if broke := strings.Contains(x.dialer.out.String(), "connected again"); broke != c.breaks {
				t.Errorf("the connection broke: %v, want %v\n%s", broke, c.breaks, x.said())
			}
		})
	}
}

// TestSenderBehindAProxy lets a sender listen, and a receiver dial.
func TestSenderBehindAProxy(t *testing.T) {
	t.Parallel()
	needs(t, "caddy")
	x := newProxied(t)
	x.listener = begin(t, "--port", fmt.Sprint(x.port), "--base-path", "/sync/", "--from", x.in, "--compress", "none")
	x.listener.awaitListening(t, x.port)
	x.behind("caddy", nil)
	x.dialer = beginWith(t, []string{x.front.trust()}, "--output-dir", x.out, "--to", x.front.url(), "--no-fsync", "--log-level", "debug")
	x.passed(0.3)
	x.front.reload()
	x.succeeds()
}

// ask sends a request for an upgrade to a front and returns the status.
func (f *front) ask(path, host string, lines ...string) int {
	f.t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.port), &tls.Config{RootCAs: f.roots(), ServerName: f.name})
	must(f.t, err)
	defer conn.Close()
	must(f.t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, strings.Replace(upgrade(host, lines...), "GET /", "GET "+path, 1))
	must(f.t, err)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(f.t, err)
	return answer.StatusCode
}

// TestStrangersBehindProxies: what keeps web pages and others out works through each of
// the servers, as the page has them.
func TestStrangersBehindProxies(t *testing.T) {
	t.Parallel()
	for _, kind := range frontKinds {
		t.Run(kind.program, func(t *testing.T) {
			t.Parallel()
			needs(t, kind.program)
			x := newProxied(t)
			x.receive("--allow-host", "sync.example.com")
			x.behind(kind.program, nil)
			host := "sync.example.com"
			if kind.program == "caddy" { // it knows its own names
				host = fmt.Sprintf("localhost:%d", x.front.port)
			} else if got := x.front.ask("/sync", "other.example"); got != 403 {
				t.Errorf("another host: status %d", got)
			}
			for _, c := range []struct {
				path, line string
				want       int
			}{
				{"/sync", "", 101},
				{"/sync", "X-Forwarded-Host: other.example", 101},
				{"/sync", "Origin: https://sync.example.com", 403},
				{"/sync", "Origin: null", 403},
			} {
				line := c.line
				if line != "" {
					line += "\r\n"
				}
				if got := x.front.ask(c.path, host, line); got != c.want {
					t.Errorf("%s %s: status %d, want %d", c.path, c.line, got, c.want)
				}
			}
			before := x.through()
			for _, path := range []string{"/", "/healthz", "/other"} {
				if got := x.front.ask(path, host); got == 101 {
					t.Errorf("%s: there is a connection", path)
				}
			}
			if x.through() != before && kind.program != "haproxy" { // which checks
				t.Error("other paths are forwarded")
			}
		})
	}
}

// TestProxyThatAsks sends what a proxy before the listener wants to see.
func TestProxyThatAsks(t *testing.T) {
	t.Parallel()
	needs(t, "nginx")
	x := newProxied(t)
	x.receive()
	x.behind("nginx", func(f *front) {
		must(t, os.WriteFile(f.at("htpasswd"), []byte("alice:{PLAIN}open sesame\n"), 0o644))
		lines := documented(t, "nginx", 1, "/etc/nginx/sync.htpasswd", f.at("htpasswd"))
		f.more = []string{"        proxy_http_version", lines + "        proxy_http_version"}
	})
	x.send(x.front.url(), []string{x.front.trust()})
	x.fails(5, "401", "--header")
	x.send(x.front.url(), []string{x.front.trust()}, "--header", "Authorization: Basic YWxpY2U6d3Jvbmc=")
	x.fails(5, "401")
	if strings.Contains(x.dialer.out.String(), "YWxpY2U6d3Jvbmc") {
		t.Errorf("a secret is shown\n%s", x.dialer.out.String())
	}
	fields := filepath.Join(x.dir, "fields")
	must(t, os.WriteFile(fields, []byte("# for nginx\r\n\nAuthorization: Basic YWxpY2U6b3BlbiBzZXNhbWU=\n"), 0o600))
	must(t, os.Symlink("fields", fields+"-link"))
	x.send(x.front.url(), []string{x.front.trust()}, "--header", "@"+fields+"-link")
	x.passed(0.3)
	x.front.daemon.stop() // and what goes on says who it is too
	x.front.start()
	x.succeeds()
	if strings.Contains(x.said(), "YWxpY2U6") {
		t.Errorf("a secret is shown\n%s", x.said())
	}
}

// TestHealthCheck lets a load balancer find that the receiver is not up, and that it is:
// the sender waits meanwhile.
func TestHealthCheck(t *testing.T) {
	t.Parallel()
	needs(t, "haproxy")
	x := newProxied(t)
	x.behind("haproxy", func(f *front) { f.more = []string{" check\n", " check inter 100ms\n"} })
	x.await("it is not found down", func() bool { return strings.Contains(x.front.log(), "Server sync/receiver is DOWN") })
	x.send(x.front.url(), []string{x.front.trust()})
	x.await("the sender is not told", func() bool { return strings.Contains(x.dialer.out.String(), "503") })
	x.receive()
	x.succeeds()
}

// TestProxyWithOldTLS tells what to change at a proxy that does not speak TLS 1.3.
func TestProxyWithOldTLS(t *testing.T) {
	t.Parallel()
	needs(t, "nginx")
	x := newProxied(t)
	x.behind("nginx", func(f *front) { f.more = []string{"TLSv1.3", "TLSv1.2"} })
	x.send(x.front.url(), []string{x.front.trust()})
	x.fails(5, "does not speak TLS 1.3")
}

// TestIdleBehindProxies leaves a connection idle for longer than any of the servers keeps
// one by default.
func TestIdleBehindProxies(t *testing.T) {
	t.Parallel()
	if !*long {
		t.Skip("takes more than a minute: -long")
	}
	for _, kind := range frontKinds {
		t.Run(kind.program, func(t *testing.T) {
			t.Parallel()
			needs(t, kind.program)
			x := newProxied(t)
			x.behind(kind.program, nil)
			theirs := make(chan wire.Conn)
			ctx, stop := context.WithCancel(t.Context())
			listeners, err := transport.Listen(ctx, nil, x.port, discard)
			must(t, err)
			ended := make(chan error, 1)
			go func() {
				ended <- transport.Serve(ctx, listeners, transport.ServeOptions{BasePath: "/sync"}, func(c wire.Conn, _ transport.Caller) {
					theirs <- c
					<-ctx.Done()
				})
			}()
			defer func() { stop(); must(t, <-ended) }()
			a, err := transport.Dial(t.Context(), x.front.url(), transport.DialOptions{TLS: &tls.Config{RootCAs: x.front.roots()}})
			must(t, err)
			defer wire.Abort(a)
			b := <-theirs
			exchange(t, a, b, time.Now())
			exchange(t, a, b, time.Now().Add(75*time.Second))
		})
	}
}

// exchange sends a message in both directions at a time until which both sides only
// read, as sides of a session do.
func exchange(t *testing.T, a, b wire.Conn, at time.Time) {
	t.Helper()
	var both sync.WaitGroup
	for _, c := range []wire.Conn{a, b} {
		both.Go(func() {
			m, err := c.Read()
			if err != nil {
				t.Errorf("read: %v", err)
				return
			}
			m.Free()
		})
	}
	time.Sleep(time.Until(at))
	for _, c := range []wire.Conn{a, b} {
		m := wire.NewBuffer(1)
		m.Append(1)
		if err := c.Write(m); err != nil {
			t.Errorf("write: %v", err)
		}
	}
	both.Wait()
}
