package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/transport/transporttest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

var quiet = slog.New(slog.DiscardHandler)

func TestDialRefused(t *testing.T) {
	l := listenTCP(t)
	_ = l.Close()
	_, err := transport.Dial(t.Context(), "ws://"+l.Addr().String(), transport.DialOptions{})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v", err)
	}
}

func TestDialStatus(t *testing.T) {
	s := serve(t, transport.ServeOptions{})
	there := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.addr)
	}
	for _, test := range []struct {
		url  string
		want int
	}{
		{s.url() + "other", 404},
		{"ws://other.example/", 403},
	} {
		_, err := transport.Dial(t.Context(), test.url, transport.DialOptions{NetDial: there})
		var refused *transport.StatusError
		if !errors.As(err, &refused) || refused.Code != test.want || refused.Body == "" {
			t.Errorf("dial %s: %v, want status %d", test.url, err, test.want)
		}
	}
}

// answering is a server that answers every request with the same bytes.
func answering(t *testing.T, answer string) string {
	l := listenTCP(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return "ws://" + l.Addr().String()
}

func TestDialHostileAnswers(t *testing.T) {
	for _, test := range []struct{ name, answer string }{
		{"nothing", ""},
		{"not HTTP", "SSH-2.0-OpenSSH\r\n"},
		{"endless line", "HTTP/1.1 101 " + strings.Repeat("x", 1<<20)},
		{"endless header", "HTTP/1.1 101 OK\r\n" + strings.Repeat("X: y\r\n", 1<<16)},
		{"wrong accept", "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := transport.Dial(t.Context(), answering(t, test.answer), transport.DialOptions{})
			if err == nil {
				_ = c.Close(wire.CloseNormal, "")
				t.Error("connected")
			}
		})
	}
}

func TestDialBoundsBody(t *testing.T) {
	url := answering(t, "HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 1000000))
	_, err := transport.Dial(t.Context(), url, transport.DialOptions{})
	var refused *transport.StatusError
	if !errors.As(err, &refused) || refused.Code != 503 || len(refused.Body) != 512 {
		t.Errorf("dial: %v", err)
	}
}

func TestDialFollowsNoRedirect(t *testing.T) {
	url := answering(t, "HTTP/1.1 302 Found\r\nLocation: ws://localhost/\r\nContent-Length: 0\r\n\r\n")
	_, err := transport.Dial(t.Context(), url, transport.DialOptions{})
	var refused *transport.StatusError
	if !errors.As(err, &refused) || refused.Code != 302 {
		t.Errorf("dial: %v", err)
	}
}

// TestDialOtherProtocol: a WebSocket server that knows nothing of ours.
func TestDialOtherProtocol(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			_ = c.CloseNow()
		}
	}))
	defer web.Close()
	_, err := transport.Dial(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http"), transport.DialOptions{})
	if err == nil || !strings.Contains(err.Error(), transport.Protocol) {
		t.Errorf("dial: %v", err)
	}
}

// TestDialStops: a server that never answers is left when ctx ends.
func TestDialStops(t *testing.T) {
	l := listenTCP(t) // the system accepts, nobody answers
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := transport.Dial(ctx, "ws://"+l.Addr().String(), transport.DialOptions{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("dial: %v", err)
	}
	_, err = transport.Dial(t.Context(), "ws://"+l.Addr().String(), transport.DialOptions{Within: 50 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dial: %v", err)
	}
}

func TestDialURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost:80", "http://localhost", "ws://", "ws:///path",
		"ws://user:secret@localhost", "ws://localhost/#secret", "ws://local host",
	} {
		_, err := transport.Dial(t.Context(), url, transport.DialOptions{})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("dial %q: %v", url, err)
		}
	}
}

// TestDialTLS runs the conformance suite inside TLS: its connections have
// deadlines and closes of their own kind.
func TestDialTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS() // for its certificate
	cert := web.TLS.Certificates[0]
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	web.Close()
	l := tls.NewListener(listenTCP(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	s := serve(t, transport.ServeOptions{}, l)
	url := "wss://" + s.addr + "/"
	transporttest.Run(t, func(t *testing.T) (a, b wire.Conn) {
		a = dial(t, url, transport.DialOptions{TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"}})
		b = s.accept(t)
		a.(wire.Admitter).Admit()
		b.(wire.Admitter).Admit()
		return a, b
	})
	if _, err := transport.Dial(t.Context(), url, transport.DialOptions{}); err == nil {
		t.Error("an unknown certificate was accepted")
	}
}
