package transport_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sync-directory/sync-directory/internal/access"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// frames is a net.Conn over the messages of the independent implementation, with
// something done to each of them on the way out.
type frames struct {
	net.Conn // for deadlines
	peer     *websocket.Conn
	ctx      context.Context
	write    func(p []byte) error
	rest     []byte
}

func (f *frames) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		_, b, err := f.peer.Read(f.ctx)
		if err != nil {
			return 0, err
		}
		f.rest = b
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *frames) Write(p []byte) (int, error) { return len(p), f.write(p) }

// secretPeer is the independent implementation with TLS inside, connected to s.
func secretPeer(t *testing.T, s *server, token *access.Token, write func(peer *websocket.Conn, p []byte) error) (*tls.Conn, *websocket.Conn) {
	t.Helper()
	peer, _, err := websocket.Dial(t.Context(), s.url(), &websocket.DialOptions{Subprotocols: []string{transport.ProtocolTLS}})
	if err != nil {
		t.Fatal(err)
	}
	peer.SetReadLimit(wire.MaxMessage)
	t.Cleanup(func() { _ = peer.CloseNow() })
	f := &frames{peer: peer, ctx: t.Context(), write: func(p []byte) error { return write(peer, p) }}
	inside := tls.Client(f, token.Dial())
	if err := inside.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return inside, peer
}

// TestTunnelledBytes shows that how the bytes of TLS lie in frames does not matter, nor
// what else somebody on the way puts between them.
func TestTunnelledBytes(t *testing.T) {
	for name, write := range map[string]func(peer *websocket.Conn, p []byte) error{
		"as they come": func(peer *websocket.Conn, p []byte) error {
			return peer.Write(t.Context(), websocket.MessageBinary, p)
		},
		"a byte a frame, and pings": func(peer *websocket.Conn, p []byte) error {
			for i := range p {
				if err := peer.Write(t.Context(), websocket.MessageBinary, p[i:i+1]); err != nil {
					return err
				}
			}
			return nil
		},
		"in fragments": func(peer *websocket.Conn, p []byte) error {
			w, err := peer.Writer(t.Context(), websocket.MessageBinary)
			for i := 0; err == nil && i < len(p); i += 7 {
				_, err = w.Write(p[i:min(i+7, len(p))])
			}
			return errors.Join(err, w.Close())
		},
		"with empty frames": func(peer *websocket.Conn, p []byte) error {
			return errors.Join(peer.Write(t.Context(), websocket.MessageBinary, nil), peer.Write(t.Context(), websocket.MessageBinary, p))
		},
	} {
		t.Run(name, func(t *testing.T) {
			token := newToken(t)
			s := serve(t, transport.ServeOptions{Inner: token.Listen(func() {})})
			inside, _ := secretPeer(t, s, token, write)
			ours := s.accept(t)
			payload := bytes.Repeat([]byte("0123456789"), 300)
			if _, err := inside.Write(append([]byte{0x82, 0xfe, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}, payload...)); err != nil {
				t.Fatal(err)
			}
			b, err := ours.Read()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.Bytes(), payload) {
				t.Errorf("got %d bytes, other ones", len(b.Bytes()))
			}
			if err := ours.Write(b); err != nil {
				t.Fatal(err)
			}
			back := make([]byte, 4+len(payload))
			if _, err := io.ReadFull(inside, back); err != nil || !bytes.Equal(back[4:], payload) {
				t.Errorf("got other bytes back, %v", err)
			}
		})
	}
}

// TestTunnelTampered shows that one bit on the way, in whatever frame, ends the
// connection, and that nothing of what it was in arrives.
func TestTunnelTampered(t *testing.T) {
	token := newToken(t)
	s := serve(t, transport.ServeOptions{Inner: token.Listen(func() {})})
	var bad atomic.Bool
	inside, _ := secretPeer(t, s, token, func(peer *websocket.Conn, p []byte) error {
		p = bytes.Clone(p)
		if bad.Load() {
			p[len(p)/2] ^= 1
		}
		return peer.Write(t.Context(), websocket.MessageBinary, p)
	})
	ours := s.accept(t)
	bad.Store(true)
	if _, err := inside.Write(append([]byte{0x82, 0x85, 0, 0, 0, 0}, "hello"...)); err != nil {
		t.Fatal(err)
	}
	if b, err := ours.Read(); err == nil {
		t.Fatalf("read %q", b.Bytes())
	}
}

// TestTunnelClosedByAnybody shows that a close frame between the frames of TLS, which
// anybody on the way can make, is a broken connection, whatever it says.
func TestTunnelClosedByAnybody(t *testing.T) {
	token := newToken(t)
	s := serve(t, transport.ServeOptions{Inner: token.Listen(func() {})})
	_, peer := secretPeer(t, s, token, func(peer *websocket.Conn, p []byte) error {
		return peer.Write(t.Context(), websocket.MessageBinary, p)
	})
	ours := s.accept(t)
	go func() { _ = peer.Close(4012, "you broke the protocol") }()
	_, err := ours.Read()
	if !wire.Breaks(err) {
		t.Errorf("got %v, want what another connection can follow", err)
	}
}

// TestTunnelFrames shows that neither does any other frame that is against the rules: who
// breaks them there need not be the peer.
func TestTunnelFrames(t *testing.T) {
	token := newToken(t)
	s := serve(t, transport.ServeOptions{Inner: token.Listen(func() {})})
	_, peer := secretPeer(t, s, token, func(peer *websocket.Conn, p []byte) error {
		return peer.Write(t.Context(), websocket.MessageBinary, p)
	})
	ours := s.accept(t)
	if err := peer.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Read(); !wire.Breaks(err) {
		t.Errorf("got %v, want what another connection can follow", err)
	}
}

// TestTunnelPings shows that pings on the way are answered, with the next message.
func TestTunnelPings(t *testing.T) {
	token := newToken(t)
	s := serve(t, transport.ServeOptions{Inner: token.Listen(func() {}), Conn: transport.Options{PingAfter: 50 * time.Millisecond}})
	inside, peer := secretPeer(t, s, token, func(peer *websocket.Conn, p []byte) error {
		return peer.Write(t.Context(), websocket.MessageBinary, p)
	})
	ours := s.accept(t)
	go func() { _, _ = io.Copy(io.Discard, inside) }() // takes pongs in
	go func() { _, _ = ours.Read() }()
	if err := peer.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTunnelForStrangers shows what becomes of those without the token: a stranger
// learns nothing but that, and a dialer finds out whom it has reached.
func TestTunnelForStrangers(t *testing.T) {
	mine, theirs := newToken(t), newToken(t)
	refused := make(chan struct{}, 1)
	s := serve(t, transport.ServeOptions{Inner: mine.Listen(func() { refused <- struct{}{} })})
	_, err := transport.Dial(t.Context(), s.url(), transport.DialOptions{Inner: theirs.Dial()})
	if !errors.Is(err, access.ErrImpostor) {
		t.Errorf("a dialer with another token: %v", err)
	}
	blind := theirs.Dial()
	blind.VerifyConnection = nil // does not care whom it has reached
	c, err := transport.Dial(t.Context(), s.url(), transport.DialOptions{Inner: blind})
	if err == nil {
		_, err = c.Read()
	}
	if err == nil {
		t.Error("a stranger was let in")
	}
	select {
	case <-refused:
	case <-time.After(5 * time.Second):
		t.Error("the refusal was not told")
	}
	bare := theirs.Dial()
	bare.Certificates, bare.VerifyConnection = nil, nil
	if c, err = transport.Dial(t.Context(), s.url(), transport.DialOptions{Inner: bare}); err == nil {
		_, err = c.Read()
	}
	if err == nil {
		t.Error("a stranger without a certificate was let in")
	}
}
