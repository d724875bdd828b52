//go:build unix

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	syncdirectory "github.com/sync-directory/sync-directory"
)

// The tests here run the command through a forward proxy, tinyproxy.

// another is this machine by a name that is not that of a loopback address to
// net/http, which reaches those without a proxy. To a proxy, which asks the system, it
// is one.
const another = "127.1"

// tunnel is a forward proxy.
type tunnel struct {
	t      *testing.T
	dir    string
	port   int
	daemon *daemon
}

// newTunnel starts a forward proxy with further lines in its configuration.
func (x *proxied) newTunnel(lines string) *tunnel {
	x.t.Helper()
	port, err := freePort()
	must(x.t, err)
	n := &tunnel{t: x.t, dir: filepath.Join(x.dir, "tinyproxy"), port: port}
	must(x.t, os.Mkdir(n.dir, 0o755))
	config := fmt.Sprintf("Listen 127.0.0.1\nPort %d\nTimeout 600\nMaxClients 50\nAllow 127.0.0.1\nLogFile \"%s/log\"\nLogLevel Connect\nPidFile \"%[2]s/pid\"\n%s\n", port, n.dir, lines)
	must(x.t, os.WriteFile(filepath.Join(n.dir, "config"), []byte(config), 0o644))
	n.start()
	return n
}

func (n *tunnel) start() {
	n.t.Helper()
	n.daemon = startDaemon(n.t, n.dir, n.port, needs(n.t, "tinyproxy"), "-d", "-c", filepath.Join(n.dir, "config"))
}

// env returns what makes a process go through it, as docs/proxies.md shows.
func (n *tunnel) env(credentials string) []string {
	block := documented(n.t, "sh", 0, "http://proxy.example.com:3128", fmt.Sprintf("http://%s127.0.0.1:%d", credentials, n.port))
	var env []string
	for line := range strings.Lines(block) {
		env = append(env, strings.TrimSpace(strings.TrimPrefix(line, "export ")))
	}
	return env
}

// connects returns how often it was asked to connect to a port.
func (n *tunnel) connects(port int) int {
	text, err := os.ReadFile(filepath.Join(n.dir, "log"))
	must(n.t, err)
	return strings.Count(string(text), fmt.Sprintf("CONNECT %s:%d HTTP/1.1", another, port))
}

// TestForwardProxy goes to a receiver through a forward proxy, which is restarted in the
// middle, by ws and without credentials.
func TestForwardProxy(t *testing.T) {
	t.Parallel()
	needs(t, "tinyproxy")
	x := newProxied(t)
	x.receive("--allow-host", another)
	n := x.newTunnel("")
	x.send(fmt.Sprintf("ws://%s:%d/sync", another, x.linkPort()), n.env(""))
	x.passed(0.3)
	n.daemon.stop()
	time.Sleep(300 * time.Millisecond)
	n.start()
	x.succeeds()
	if n.connects(x.linkPort()) < 2 {
		t.Errorf("it was not connected again through the proxy\n%s", x.said())
	}
}

// TestForwardProxyWithCredentials goes through one that asks who one is, by wss, to
// a receiver behind nginx, which goes by a token and any name. The password is in no
// output.
func TestForwardProxyWithCredentials(t *testing.T) {
	t.Parallel()
	needs(t, "tinyproxy")
	needs(t, "nginx")
	x := newProxied(t)
	token := filepath.Join(x.dir, "token")
	must(t, os.WriteFile(token, []byte(syncdirectory.NewToken()+"\n"), 0o600))
	x.receive("--token-file", token, "--listen", "127.0.0.1")
	x.behind("nginx", func(f *front) { f.name = another })
	n := x.newTunnel("BasicAuth alice swordfish.1")
	for credentials, words := range map[string]string{
		"":                      "(407): put them into HTTPS_PROXY",
		"alice:wrongswordfish@": "refused the user and password in HTTPS_PROXY or HTTP_PROXY (40", // 401, from tinyproxy
	} {
		x.send(x.front.url(), append(n.env(credentials), x.front.trust()), "--token-file", token)
		x.fails(5, words, fmt.Sprintf("http://127.0.0.1:%d", n.port))
		if strings.Contains(x.said(), "swordfish") {
			t.Errorf("the password is shown\n%s", x.said())
		}
	}
	x.send(x.front.url(), append(n.env("alice:sword%66ish.1@"), x.front.trust()), "--token-file", token)
	x.succeeds()
	if n.connects(x.front.port) != 3 || strings.Contains(x.said(), "ish.1") {
		t.Errorf("connected %d times\n%s", n.connects(x.front.port), x.said())
	}
}

// TestForwardProxyToNobody waits for a receiver that is not up yet, and is told by a
// proxy that lets nobody connect to its port.
func TestForwardProxyToNobody(t *testing.T) {
	t.Parallel()
	needs(t, "tinyproxy")
	x := newProxied(t)
	n := x.newTunnel(fmt.Sprintf("ConnectPort %d", x.port))
	url := fmt.Sprintf("ws://%s:%d/sync", another, x.port)
	x.send(url, n.env(""), "--contimeout", "300ms")
	x.fails(35, fmt.Sprintf("the proxy http://127.0.0.1:%d answered 5", n.port))
	x.send(fmt.Sprintf("ws://%s:%d/sync", another, x.linkPort()), n.env(""))
	x.fails(5, "403", fmt.Sprintf("%s:%d", another, x.linkPort()), fmt.Sprintf("http://127.0.0.1:%d", n.port))
	x.send(url, n.env(""))
	before := n.connects(x.port)
	x.await("it does not try", func() bool { return n.connects(x.port) > before })
	x.receive("--allow-host", another)
	x.succeeds()
}

// TestProxyEnvironment: what the environment says is gone by, or refused in words that do not
// show it; this machine is never reached through a proxy.
func TestProxyEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	must(t, os.Mkdir(in, 0o755))
	for i, c := range []struct {
		env, url string
		code     int
		words    string
	}{
		{"HTTPS_PROXY=socks5://alice:swordfish@127.0.0.1:1080", "wss://peer.example", 1, "SOCKS"},
		{"https_proxy=socks5h://127.0.0.1:1080", "wss://peer.example", 1, "SOCKS"},
		{"HTTP_PROXY=http://alice:swordfish@127.0.0.1:port", "ws://peer.example", 1, "HTTP_PROXY holds no URL"},
		{"HTTPS_PROXY=ftp://alice:swordfish@127.0.0.1", "wss://peer.example", 1, "http:// or https://"},
		{"HTTP_PROXY=http://alice:swordfish@127.0.0.1:1", "ws://peer.example", 35, "the proxy http://127.0.0.1:1: "},
		{"HTTP_PROXY=127.0.0.1:1", "ws://peer.example", 35, "the proxy http://127.0.0.1:1: "},
		{"HTTP_PROXY=socks5://127.0.0.1:1", "ws://localhost:1", 35, "ws://localhost:1"},
	} {
		out := filepath.Join(dir, fmt.Sprint("out", i))
		r := beginWith(t, []string{c.env}, "--output-dir", out, "--to", c.url, "--contimeout", "200ms", "--log-level", "debug")
		if code := r.ends(patience); code != c.code || !strings.Contains(r.out.String(), c.words) || strings.Contains(r.out.String(), "swordfish") {
			t.Errorf("%s to %s: code %d\n%s", c.env, c.url, code, r.out.String())
		}
		if _, err := os.Lstat(out); c.code == 1 && err == nil {
			t.Errorf("%s: a destination was made", c.env)
		}
	}
	port, err := freePort()
	must(t, err)
	receiver := begin(t, "--port", fmt.Sprint(port), "--output-dir", filepath.Join(dir, "out"))
	receiver.awaitListening(t, port)
	sender := beginWith(t, []string{"HTTP_PROXY=http://127.0.0.1:1"}, "--from", in, "--to", fmt.Sprintf("ws://localhost:%d", port))
	if a, b := sender.ends(patience), receiver.ends(patience); a != 0 || b != 0 {
		t.Errorf("past the proxy: codes %d and %d\n%s", a, b, sender.out.String())
	}
}
