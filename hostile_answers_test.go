//go:build unix

package syncdirectory

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// foulUpgrades are what a server may answer a sender that asks for the upgrade; {accept} is
// the key that there has to be, {elsewhere} another server. What is told for ever is told
// again and again, until nobody takes it.
var foulUpgrades = []struct {
	name, answer, ever string
	code               Code
	says               string
}{
	{"a redirection for now", "HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n", "", Connect, "no sync-directory: it answered 302"},
	{"a redirection for good", "HTTP/1.1 301 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n", "", Connect, "301"},
	{"a redirection that keeps the method", "HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n", "", Connect, "307"},
	{"a redirection for good that keeps the method", "HTTP/1.1 308 Permanent Redirect\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n", "", Connect, "308"},
	{"a refreshing page", "HTTP/1.1 200 OK\r\nRefresh: 0; url={elsewhere}\r\nContent-Type: text/html\r\n\r\n<html>", "", Connect, "200"},
	{"another service", "HTTP/1.1 200 OK\r\nAlt-Svc: h2=\":443\"\r\nContent-Length: 2\r\n\r\nhi", "", Connect, "200"},
	{"a page with bytes for a terminal", "HTTP/1.1 404 Not Found\r\n\r\n\x1b]0;owned\x07\x1b[2J\u202e", "", Connect, `\\x1b|\\u001b`},
	{"an endless page", "HTTP/1.1 404 Not Found\r\n\r\n", pad(4096), Connect, "404"},
	{"an endless page in chunks", "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n", "1000\r\n" + pad(4096) + "\r\n", Connect, "500"},
	{"a page of all there is", "HTTP/1.1 404 Not Found\r\nContent-Length: 9223372036854775807\r\n\r\n", pad(4096), Connect, "404"},
	{"a page of less than nothing", "HTTP/1.1 404 Not Found\r\nContent-Length: -1\r\n\r\n", "", Connect, "404"},
	{"an endless line", "HTTP/1.1 101 ", pad(4096), Connect, "no connection"},
	{"an endless field", "HTTP/1.1 101 OK\r\nX: ", pad(4096), Connect, "no connection"},
	{"endless fields", "HTTP/1.1 101 OK\r\n", "X: y\r\n", Connect, "no connection"},
	{"continuations without an end", "", "HTTP/1.1 100 Continue\r\n\r\n", Connect, "."},
	{"that credentials are needed", "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n", "", Access, "credentials"},
	{"that a proxy needs some", "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "", Access, "credentials"},
	{"that it is not let in", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "", Access, "403"},
	{"another version", "HTTP/1.1 400 Bad Request\r\n\r\nthe subprotocol must be sync-directory.v9", "", BadVersion, "another version"},
	{"that nobody is there, for ever", "HTTP/1.1 503 Unavailable\r\n\r\n", pad(4096), Connect, "no connection"},
	{"nothing", "", "", Connect, "no connection"},
	{"words of SSH", "SSH-2.0-OpenSSH_9.9\r\n", "", Connect, "no connection"},
	{"another HTTP", "HTTP/2.0 101 OK\r\n\r\n", "", Access, "not as HTTP/1.1"},
	{"a status that is none", "HTTP/1.1 xyz OK\r\n\r\n", "", Connect, "no connection"},
	{"a status of its own", "HTTP/1.1 999 What\r\n\r\n", "", Connect, "999"},
	{"a negative status", "HTTP/1.1 -1 What\r\n\r\n", "", Connect, "."},
	{"an upgrade without a key", upgraded("", "sync-directory.v1", ""), "", Connect, "no connection"},
	{"an upgrade with another key", upgraded("AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "sync-directory.v1", ""), "", Connect, "no connection"},
	{"an upgrade to no protocol", upgraded("{accept}", "", ""), "", Connect, "does not speak"},
	{"an upgrade to another protocol", upgraded("{accept}", "sync-directory.v2", ""), "", Connect, "no connection"},
	{"an upgrade to two protocols", upgraded("{accept}", "sync-directory.v1, chat", ""), "", Connect, "no connection"},
	{"an upgrade with compression", upgraded("{accept}", "sync-directory.v1", "permessage-deflate"), "", Connect, "no connection"},
	{"an upgrade with an extension of its own", upgraded("{accept}", "sync-directory.v1", "x-own; a=b"), "", Connect, "no connection"},
	{"an upgrade to something else", strings.Replace(upgraded("{accept}", "sync-directory.v1", ""), "Upgrade: websocket", "Upgrade: h2c", 1), "", Connect, "no connection"},
	{"an upgrade, and nothing", upgraded("{accept}", "sync-directory.v1", ""), "", Lost, "."},
	{"an upgrade, and noise", upgraded("{accept}", "sync-directory.v1", "") + strings.Repeat("\xff", 100), "", Protocol, "WebSocket"},
	{"an upgrade, and a frame that is masked", upgraded("{accept}", "sync-directory.v1", "") + masked(0x82, "a"), "", Protocol, "WebSocket"},
	{"an upgrade, and a compressed frame", upgraded("{accept}", "sync-directory.v1", "") + "\xc2\x01a", "", Protocol, "WebSocket"},
	{"an upgrade, and text", upgraded("{accept}", "sync-directory.v1", "") + "\x81\x01a", "", Protocol, "WebSocket"},
	{"an upgrade, and a frame of 2^62", upgraded("{accept}", "sync-directory.v1", "") + "\x82\x7f\x40\x00\x00\x00\x00\x00\x00\x00", "", Protocol, "WebSocket"},
	{"an upgrade, and fragments without an end", upgraded("{accept}", "sync-directory.v1", "") + "\x02\x01a", "\x00\x7e\x10\x00" + pad(4096), Protocol, "WebSocket"},
	{"an upgrade, and a close with bytes for a terminal", upgraded("{accept}", "sync-directory.v1", "") + "\x88\x0b\x0f\xac\x1b[2Jowned", "", Protocol, "owned"},
}

// upgraded is an answer that lets in.
func upgraded(accept, protocol, extensions string) string {
	lines := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	for field, value := range map[string]string{"Sec-WebSocket-Accept": accept, "Sec-WebSocket-Protocol": protocol, "Sec-WebSocket-Extensions": extensions} {
		if value != "" {
			lines += field + ": " + value + "\r\n"
		}
	}
	return lines + "\r\n"
}

// answers is a server that answers every request so, and counts what it could say.
func answers(t *testing.T, answer, ever string, said *atomic.Int64) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answerOnce(c, answer, ever, said)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "ws://" + l.Addr().String()
}

func answerOnce(c net.Conn, answer, ever string, said *atomic.Int64) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(helloWithin + patience))
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	answer = strings.ReplaceAll(answer, "{accept}", base64.StdEncoding.EncodeToString(sum[:]))
	n, err := io.WriteString(c, answer)
	said.Add(int64(n))
	for ever != "" && err == nil {
		n, err = io.WriteString(c, ever)
		said.Add(int64(n))
		if len(ever) < 100 {
			time.Sleep(time.Millisecond)
		}
	}
}

// Whatever a server answers, a sender follows nowhere, takes no more than a little of it,
// agrees on nothing that it did not ask for, and ends with the reason.
func TestHostileAnswers(t *testing.T) {
	for _, f := range some(foulUpgrades) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newSource(t)
			var said, elsewhere atomic.Int64
			other := answers(t, "HTTP/1.1 404 Not Found\r\n\r\n", "", &elsewhere)
			url := answers(t, strings.ReplaceAll(f.answer, "{elsewhere}", other), f.ever, &said)
			within := patience // who is refused for good does not try again
			switch {
			case f.says == "does not speak":
				within = 3 * time.Second
			case f.code == Connect && (f.says == "no connection" || f.says == "."):
				within = 300 * time.Millisecond
			}
			result, err := (&Sender{Dir: g.from}).Dial(t.Context(), url, DialOptions{Retries: -1, ConnectTimeout: within})
			(&foul{code: f.code, says: f.says}).ends(t, outcome{result, err})
			if strings.ContainsAny(err.Error(), "\x1b\x07\u202e") && !peers(err) {
				t.Errorf("it says %q", err)
			}
			if n := elsewhere.Load(); n > 0 {
				t.Errorf("it went where it was sent to, and took %d bytes", n)
			}
			// After a breach of WebSocket the rest is read for a moment, so that the peer hears.
			if n := said.Load(); n > 16<<20 && f.code != Protocol {
				t.Errorf("%d bytes were taken", n)
			}
			g.same("outside", g.outside, g.canary)
			g.same("the source", g.from, g.was)
		})
	}
}

// peers reports whether an error is in the peer's own words, which the command escapes.
func peers(err error) bool {
	f := (*fault.Error)(nil)
	return errors.As(err, &f) && f.Peer
}

// A receiver that is silent, or says nothing that means anything, ends the session after
// --timeout.
func TestStalledReceivers(t *testing.T) {
	id := []byte("0123456789abcdef")
	h := &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_RECEIVER, Program: "hostile", Session: id,
		Destination: &wire.Destination{Id: id, Canon: wire.NewCanon(tree.Exact)}}
	for _, c := range []struct{ name, again string }{
		{"nothing", ""},
		{"problems", "problem x write refused"},
		{"acks", control(new(wire.Ack))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newSource(t)
			url := serveRaw(t, func(conn wire.Conn) {
				if _, err := wire.Welcome(conn, func(*wire.Hello) (*wire.Hello, error) { return h, nil }); err != nil {
					t.Error(err)
					return
				}
				p := newPlayer(conn)
				for c.again != "" && conn.Write(messages(c.again)[0]) == nil {
					time.Sleep(5 * time.Millisecond)
				}
				if err, e := p.over(t), (*wire.CloseError)(nil); !errors.As(err, &e) || e.Code != 4030 {
					t.Errorf("closed with %v", err)
				}
			})
			s := &Sender{Dir: g.from}
			s.Timeout = 400 * time.Millisecond
			if result, err := s.Dial(t.Context(), url, DialOptions{}); result.Code != Timeout {
				t.Errorf("ends with %v", err)
			}
		})
	}
}
