package transport_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/transport/transporttest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// The tests here talk to an independent implementation, which has no part in
// how we read RFC 6455.

// dialPeer connects the other implementation to our server.
func dialPeer(t testing.TB, s *server) (*websocket.Conn, wire.Conn) {
	t.Helper()
	peer, _, err := websocket.Dial(t.Context(), s.url(), &websocket.DialOptions{
		Subprotocols:    []string{transport.Protocol},
		CompressionMode: websocket.CompressionContextTakeover, // to be declined
	})
	if err != nil {
		t.Fatal(err)
	}
	peer.SetReadLimit(wire.MaxMessage)
	t.Cleanup(func() { _ = peer.CloseNow() })
	ours := s.accept(t)
	ours.(wire.Admitter).Admit()
	return peer, ours
}

// acceptPeer connects us to a server of the other implementation, which hands
// its end to use and closes it afterwards.
func acceptPeer(t testing.TB, use func(peer *websocket.Conn)) wire.Conn {
	t.Helper()
	done := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		peer, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{transport.Protocol},
		})
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = peer.CloseNow() }()
		peer.SetReadLimit(wire.MaxMessage)
		use(peer)
	}))
	t.Cleanup(web.Close)
	ours := dial(t, "ws"+strings.TrimPrefix(web.URL, "http"), transport.DialOptions{})
	t.Cleanup(func() {
		_ = ours.Close(wire.CloseNormal, "")
		<-done
	})
	ours.(wire.Admitter).Admit()
	return ours
}

var peerSizes = []int{0, 1, 125, 126, 65535, 65536, 1 << 20, wire.MaxMessage}

// echo sends each message back until the connection ends.
func echo(ctx context.Context, peer *websocket.Conn) error {
	for {
		kind, p, err := peer.Read(ctx)
		if err != nil {
			return err
		}
		if err := peer.Write(ctx, kind, p); err != nil {
			return err
		}
	}
}

// wantEcho sends messages to an echoing peer and compares what comes back.
func wantEcho(t *testing.T, c wire.Conn) {
	t.Helper()
	for i, n := range peerSizes {
		if err := c.Write(transporttest.Message(n, i)); err != nil {
			t.Fatalf("write %d bytes: %v", n, err)
		}
		got, err := c.Read()
		if err != nil {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		if !bytes.Equal(got.Bytes(), transporttest.Message(n, i).Bytes()) {
			t.Errorf("%d bytes came back different", n)
		}
		got.Free()
	}
}

func TestPeerDials(t *testing.T) {
	t.Parallel()
	peer, ours := dialPeer(t, serve(t, transport.ServeOptions{}))
	if got := peer.Subprotocol(); got != transport.Protocol {
		t.Errorf("subprotocol %q", got)
	}
	ended := make(chan error, 1)
	go func() { ended <- echo(t.Context(), peer) }()
	wantEcho(t, ours)
	_ = ours.Close(wire.CloseTooBig, "enough")
	var closed websocket.CloseError
	if err := <-ended; !errors.As(err, &closed) || closed.Code != websocket.StatusMessageTooBig || closed.Reason != "enough" {
		t.Errorf("the peer got %v", err)
	}
}

func TestPeerAccepts(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	ours := acceptPeer(t, func(peer *websocket.Conn) { ended <- echo(t.Context(), peer) })
	wantEcho(t, ours)
	_ = ours.Close(wire.CloseAway, "")
	if err := <-ended; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the peer got %v", err)
	}
}

// TestPeerFragments: the other implementation's writer sends a frame for each
// piece.
func TestPeerFragments(t *testing.T) {
	t.Parallel()
	peer, ours := dialPeer(t, serve(t, transport.ServeOptions{}))
	want := transporttest.Message(200_000, 1).Bytes()
	go func() {
		w, err := peer.Writer(t.Context(), websocket.MessageBinary)
		if err != nil {
			return // the read below tells
		}
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 7777)
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
		_ = w.Close()
	}()
	got, err := ours.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Free()
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the message differs")
	}
}

func TestPeerPings(t *testing.T) {
	t.Parallel()
	peer, ours := dialPeer(t, serve(t, transport.ServeOptions{}))
	go func() { _, _, _ = peer.Read(t.Context()) }() // takes the pongs
	read := make(chan error, 1)
	go func() {
		_, err := ours.Read()
		read <- err
	}()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if err := peer.Ping(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
	_ = ours.Close(wire.CloseNormal, "")
	<-read
}

func TestPeerCloses(t *testing.T) {
	t.Parallel()
	ours := acceptPeer(t, func(peer *websocket.Conn) {
		start := time.Now()
		if err := peer.Close(websocket.StatusInternalError, "cannot go on"); err != nil {
			t.Errorf("the peer's close: %v", err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("the peer waited %v for our answer", d)
		}
	})
	_, err := ours.Read()
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != wire.CloseInternal || closed.Reason != "cannot go on" {
		t.Errorf("read: %v", err)
	}
}
