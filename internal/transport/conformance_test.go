package transport_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/access"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/transport/transporttest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for _, test := range []struct {
		name string
		open func(t *testing.T) (a, b wire.Conn)
	}{
		{"pipe 0", func(*testing.T) (a, b wire.Conn) { return transport.Pipe(0) }},
		{"pipe 4", func(*testing.T) (a, b wire.Conn) { return transport.Pipe(4) }},
		{"websocket", func(t *testing.T) (a, b wire.Conn) { return openPair(t, 0) }},
		{"websocket, tiny buffers", func(t *testing.T) (a, b wire.Conn) { return openPair(t, 64<<10) }},
		{"TLS inside", func(t *testing.T) (a, b wire.Conn) { return openSecret(t, 0) }},
		{"TLS inside, tiny buffers", func(t *testing.T) (a, b wire.Conn) { return openSecret(t, 64<<10) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			transporttest.Run(t, test.open)
		})
	}
}

// server is a running Serve.
type server struct {
	addr  string // of the first listener
	conns chan wire.Conn
	from  atomic.Value // string: where the last one in conns comes from
	stop  func() error // ends Serve and returns its error
}

// serve runs Serve on a listener until the test ends. The handler hands each
// connection to the test and waits for the end of the server.
func serve(t testing.TB, opts transport.ServeOptions, ls ...net.Listener) *server {
	t.Helper()
	if len(ls) == 0 {
		ls = []net.Listener{listenTCP(t)}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{addr: ls[0].Addr().String(), conns: make(chan wire.Conn)}
	done := make(chan error, 1)
	go func() {
		done <- transport.Serve(ctx, ls, opts, func(c wire.Conn, from transport.Caller) {
			s.from.Store(from.Remote)
			select {
			case s.conns <- c:
				<-ctx.Done()
			case <-ctx.Done():
			}
		})
	}()
	s.stop = func() error {
		cancel()
		select {
		case err := <-done:
			done <- err
			return err
		case <-time.After(5 * time.Second):
			t.Error("Serve does not return")
			return nil
		}
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *server) url() string { return "ws://" + s.addr + "/" }

// accept returns the next upgraded connection.
func (s *server) accept(t testing.TB) wire.Conn {
	t.Helper()
	select {
	case c := <-s.conns:
		return c
	case <-time.After(5 * time.Second):
		t.Fatal("no connection arrived")
		return nil
	}
}

// dial connects to a URL.
func dial(t testing.TB, url string, opts transport.DialOptions) wire.Conn {
	t.Helper()
	c, err := transport.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// openPair returns a connection over loopback whose socket buffers have a
// size, 0 for the system's.
func openPair(t testing.TB, buffer int) (a, b wire.Conn) {
	t.Helper()
	return open(t, buffer, transport.ServeOptions{}, transport.DialOptions{})
}

// openSecret returns one in which TLS runs inside the WebSocket.
func openSecret(t testing.TB, buffer int) (a, b wire.Conn) {
	t.Helper()
	token := newToken(t)
	return open(t, buffer, transport.ServeOptions{Inner: token.Listen(func() {})}, transport.DialOptions{Inner: token.Dial()})
}

func newToken(t testing.TB) *access.Token {
	t.Helper()
	token, err := access.Parse(access.New())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func open(t testing.TB, buffer int, serving transport.ServeOptions, opts transport.DialOptions) (a, b wire.Conn) {
	t.Helper()
	var l net.Listener = listenTCP(t)
	if buffer != 0 {
		l = tinyListener{l, buffer}
		opts.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				shrink(c, buffer)
			}
			return c, err
		}
	}
	s := serve(t, serving, l)
	a = dial(t, s.url(), opts)
	b = s.accept(t)
	a.(wire.Admitter).Admit()
	b.(wire.Admitter).Admit()
	return a, b
}

type tinyListener struct {
	net.Listener
	size int
}

func (l tinyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		shrink(c, l.size)
	}
	return c, err
}

func shrink(c net.Conn, size int) {
	_ = c.(*net.TCPConn).SetReadBuffer(size)
	_ = c.(*net.TCPConn).SetWriteBuffer(size)
}
