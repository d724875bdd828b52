package transport_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// request is a handshake by hand, with a Host and further lines.
func request(host, lines string) string {
	return "GET / HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + lines + "\r\n"
}

const subprotocol = "Sec-WebSocket-Protocol: " + transport.Protocol + "\r\n"

// upgradeRaw opens a connection by hand and sends bytes in the same write as
// the handshake.
func upgradeRaw(t testing.TB, s *server, early []byte) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(append([]byte(request("localhost", subprotocol)), early...)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("status %d", resp.StatusCode)
	}
	return c, r
}

// masked is a client's frame whose mask is zero.
func masked(first byte, payload string) []byte {
	if len(payload) > 125 {
		panic("short payloads only")
	}
	return append([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...)
}

// declared is a client's frame that only promises its payload.
func declared(first byte, length uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length), 0, 0, 0, 0)
}

// hostile are streams of a client that end the connection.
var hostile = []struct {
	name   string
	stream []byte
	code   wire.CloseCode
}{
	{"length 2^63", declared(0x82, 1<<63), wire.CloseProtocol},
	{"length 2^63-1", declared(0x82, 1<<63-1), wire.CloseTooBig},
	{"over the early limit", declared(0x82, 64<<10+1), wire.CloseTooBig},
	{"not masked", []byte{0x82, 1, 'a'}, wire.CloseProtocol},
	{"reserved bit 1", masked(0xc2, "a"), wire.CloseProtocol},
	{"reserved bit 2", masked(0xa2, "a"), wire.CloseProtocol},
	{"reserved bit 3", masked(0x92, "a"), wire.CloseProtocol},
	{"reserved data opcode", masked(0x83, "a"), wire.CloseProtocol},
	{"reserved control opcode", masked(0x8b, "a"), wire.CloseProtocol},
	{"long ping", []byte{0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0}, wire.CloseProtocol},
	{"fragmented ping", masked(0x09, "a"), wire.CloseProtocol},
	{"continuation without start", masked(0x80, "a"), wire.CloseProtocol},
	{"start inside a message", append(masked(0x02, "a"), masked(0x82, "b")...), wire.CloseProtocol},
	{"text", masked(0x81, "a"), wire.CloseProtocol},
	{"close of one byte", masked(0x88, "a"), wire.CloseProtocol},
	{"close with a code that must not travel", masked(0x88, "\x03\xed"), wire.CloseProtocol},
	{"close with a reason that is not UTF-8", masked(0x88, "\x03\xe8\xff"), wire.CloseProtocol},
	{"fragments over the limit", append(masked(0x02, "a"), declared(0x80, 64<<10)...), wire.CloseTooBig},
}

func TestHostileFrames(t *testing.T) {
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, transport.ServeOptions{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c, r := upgradeRaw(t, s, test.stream)
			ours := s.accept(t)
			_, err := ours.Read()
			runtime.ReadMemStats(&after)
			if !errors.Is(err, wire.ErrFraming) {
				t.Errorf("read: %v, want %v", err, wire.ErrFraming)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 512<<10 {
				t.Errorf("%d bytes were allocated", n)
			}
			wantCloseFrame(t, r, test.code)
			_ = c.Close()
			_ = ours.Close(wire.CloseNormal, "")
			if _, again := ours.Read(); again != err {
				t.Errorf("read after close: %v, want %v", again, err)
			}
		})
	}
}

// TestCloseWithoutMask: a server takes the close frame that a proxy has not masked for
// what it is.
func TestCloseWithoutMask(t *testing.T) {
	s := serve(t, transport.ServeOptions{})
	_, r := upgradeRaw(t, s, []byte{0x88, 2, 0x03, 0xe9})
	ours := s.accept(t)
	_, err := ours.Read()
	if closed := (*wire.CloseError)(nil); !errors.As(err, &closed) || closed.Code != wire.CloseAway {
		t.Errorf("read: %v", err)
	}
	wantCloseFrame(t, r, wire.CloseAway)
}

// wantCloseFrame reads a server's frame and fails unless it closes with code.
func wantCloseFrame(t *testing.T, r io.Reader, code wire.CloseCode) {
	t.Helper()
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint16(head[2:]); head[0] != 0x88 || got != uint16(code) {
		t.Errorf("answer % x, want close code %d", head, code)
	}
}

// TestEarlyFrames: what comes with the handshake is not lost.
func TestEarlyFrames(t *testing.T) {
	s := serve(t, transport.ServeOptions{})
	early := append(masked(0x02, "one "), masked(0x89, "ping")...)
	early = append(early, masked(0x80, "message")...)
	c, r := upgradeRaw(t, s, early)
	ours := s.accept(t)
	got, err := ours.Read()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Free()
	if want := "one message"; string(got.Bytes()) != want {
		t.Errorf("message %q, want %q", got.Bytes(), want)
	}
	pong := make([]byte, 6)
	if _, err := io.ReadFull(r, pong); err != nil || !bytes.Equal(pong, []byte("\x8a\x04ping")) {
		t.Errorf("answer to the ping: % x, %v", pong, err)
	}
	_ = c.Close()
	if _, err := ours.Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read after the peer vanished: %v", err)
	}
}

// stream is a connection that reads given bytes and swallows what is written.
type stream struct {
	io.Reader
	wrote int
}

func (s *stream) Write(p []byte) (int, error)      { s.wrote += len(p); return len(p), nil }
func (s *stream) Close() error                     { return nil }
func (s *stream) LocalAddr() net.Addr              { return nil }
func (s *stream) RemoteAddr() net.Addr             { return nil }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

func FuzzRead(f *testing.F) {
	for _, h := range hostile {
		f.Add(h.stream, false)
	}
	f.Add(append(masked(0x02, "abc"), masked(0x80, "de")...), false)
	f.Add([]byte("\x82\x03abc\x88\x02\x03\xe8"), true)
	f.Add(declared(0x82, 60<<10), false)
	f.Fuzz(func(t *testing.T, data []byte, client bool) {
		c := transport.NewSocket(&stream{Reader: bytes.NewReader(data)}, nil, client, transport.Options{})
		var total int
		for {
			b, err := c.Read()
			if err != nil {
				break
			}
			total += len(b.Bytes())
			b.Free()
		}
		_ = c.Close(wire.CloseNormal, "")
		if total > len(data) {
			t.Errorf("%d bytes of messages from %d bytes", total, len(data))
		}
	})
}
