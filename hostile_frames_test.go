//go:build unix

package syncdirectory

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// upgrading is a request for an upgrade, as it should be, with further lines.
func upgrading(lines ...string) string {
	return "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" +
		"Sec-WebSocket-Protocol: sync-directory.v1\r\n" + strings.Join(lines, "") + "\r\n"
}

// masked is a client's frame, whose mask is zero.
func masked(first byte, payload string) string {
	head := string([]byte{first, 0x80 | byte(min(len(payload), 126))})
	if len(payload) > 125 {
		head += string(binary.BigEndian.AppendUint16(nil, uint16(len(payload))))
	}
	return head + "\x00\x00\x00\x00" + payload
}

// declared is one that only promises its payload.
func declared(first byte, length uint64) string {
	return string([]byte{first, 0x80 | 127}) + string(binary.BigEndian.AppendUint64(nil, length)) + "\x00\x00\x00\x00"
}

// foulFrames are streams of a client that break the rules of WebSocket, and the code that
// it is closed with.
var foulFrames = []struct {
	name, stream string
	code         wire.CloseCode
}{
	{"not masked", "\x82\x01a", wire.CloseProtocol},
	{"a length of 2^63", declared(0x82, 1<<63), wire.CloseProtocol},
	{"a length of 2^63-1", declared(0x82, 1<<63-1), wire.CloseTooBig},
	{"a length over any limit", declared(0x82, wire.MaxMessage+1), wire.CloseTooBig},
	{"reserved bit 1, as of compression", masked(0xc2, "a"), wire.CloseProtocol},
	{"reserved bit 2", masked(0xa2, "a"), wire.CloseProtocol},
	{"reserved bit 3", masked(0x92, "a"), wire.CloseProtocol},
	{"all bits", masked(0xff, "a"), wire.CloseProtocol},
	{"reserved data", masked(0x83, "a"), wire.CloseProtocol},
	{"reserved control", masked(0x8b, "a"), wire.CloseProtocol},
	{"text", masked(0x81, "a"), wire.CloseProtocol},
	{"text in fragments", masked(0x01, "a") + masked(0x80, "b"), wire.CloseProtocol},
	{"a ping of 126 bytes", masked(0x89, pad(126)), wire.CloseProtocol},
	{"a pong of 126 bytes", masked(0x8a, pad(126)), wire.CloseProtocol},
	{"a close of 126 bytes", masked(0x88, "\x03\xe8"+pad(124)), wire.CloseProtocol},
	{"a ping of 2^62 bytes", declared(0x89, 1<<62), wire.CloseProtocol},
	{"a ping in fragments", masked(0x09, "a"), wire.CloseProtocol},
	{"a compressed ping", masked(0xc9, "a"), wire.CloseProtocol},
	{"a continuation of nothing", masked(0x80, "a"), wire.CloseProtocol},
	{"a message in a message", masked(0x02, "a") + masked(0x82, "b"), wire.CloseProtocol},
	{"a close of one byte", masked(0x88, "a"), wire.CloseProtocol},
	{"a close with a code that never travels", masked(0x88, "\x03\xed"), wire.CloseProtocol},
	{"a close with code 0", masked(0x88, "\x00\x00"), wire.CloseProtocol},
	{"a close with code 999", masked(0x88, "\x03\xe7"), wire.CloseProtocol},
	{"a close with a reason that is not UTF-8", masked(0x88, "\x03\xe8\xff"), wire.CloseProtocol},
	{"fragments over the limit", strings.Repeat(masked(0x02, pad(60_000)), 1) + strings.Repeat(masked(0x00, pad(60_000)), 20), wire.CloseTooBig},
	{"a last fragment over the limit", masked(0x02, "a") + declared(0x80, wire.MaxMessage), wire.CloseTooBig},
	{"a flood of fragments of nothing", masked(0x02, "") + strings.Repeat(masked(0x00, ""), 10_000) + masked(0x83, ""), wire.CloseProtocol},
	{"a flood of pings", strings.Repeat(masked(0x89, pad(125)), 5_000) + masked(0x83, ""), wire.CloseProtocol},
	{"a flood of pongs", strings.Repeat(masked(0x8a, pad(125)), 5_000) + masked(0x83, ""), wire.CloseProtocol},
	{"a flood of pings in a message", masked(0x02, "a") + strings.Repeat(masked(0x89, ""), 5_000) + masked(0x82, ""), wire.CloseProtocol},
	{"noise", strings.Repeat("\xde\xad\xbe\xef", 100), wire.CloseProtocol},
}

// wired is a peer that speaks bytes.
type wired struct {
	net.Conn
	in *bufio.Reader
}

// connects to a listener, without a word.
func connects(t testing.TB, addr string) *wired {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &wired{c, bufio.NewReader(c)}
}

// says sends bytes, as far as they are taken.
func (w *wired) says(s string) { _, _ = io.WriteString(w, s) }

// status reads an answer and returns its status and body; 0 is none.
func (w *wired) status() (int, http.Header, string) {
	resp, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return 0, nil, ""
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, resp.Header, ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // what there is
	return resp.StatusCode, resp.Header, string(body)
}

// closed reads frames up to one that closes, hangs up, and returns its code; 0 is the end
// without.
func (w *wired) closed() wire.CloseCode {
	defer w.Close()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(w.in, head); err != nil {
			return 0
		}
		n := uint64(head[1])
		if n >= 126 {
			ext := make([]byte, 2<<(2*(n-126)))
			if _, err := io.ReadFull(w.in, ext); err != nil {
				return 0
			}
			n = 0
			for _, b := range ext {
				n = n<<8 | uint64(b)
			}
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(w.in, payload); err != nil {
			return 0
		}
		if head[0] == 0x88 && n >= 2 {
			return wire.CloseCode(binary.BigEndian.Uint16(payload))
		}
	}
}

// sendersHello is a Hello as a frame.
func sendersHello() string {
	h := &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Program: "hostile", Session: []byte("0123456789abcdef")}
	return masked(0x82, string(wire.Encode(h).Bytes()))
}

// Frames that break the rules end a connection before the Hellos, and nothing else; in a
// session they end that, as a message does that breaks the rules of the protocol.
func TestHostileFrames(t *testing.T) {
	for _, f := range some(foulFrames) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t, false)
			l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{settling: 100 * time.Millisecond})
			early := connects(t, l.addr)
			early.says(upgrading() + f.stream)
			if status, _, _ := early.status(); status != http.StatusSwitchingProtocols {
				t.Fatalf("status %d", status)
			}
			if code := early.closed(); code != f.code {
				t.Errorf("before the Hello: closed with %d, not %d", code, f.code)
			}
			inside := connects(t, l.addr)
			inside.says(upgrading() + sendersHello())
			inside.status()
			inside.says(f.stream)
			if code := inside.closed(); code != f.code {
				t.Errorf("in a session: closed with %d, not %d", code, f.code)
			}
			out := l.end(t)
			if out.result.Code != Protocol || !strings.Contains(out.err.Error(), "WebSocket") {
				t.Errorf("ends with %d, %v", out.result.Code, out.err)
			}
			g.untouched()
			g.recovers()
		})
	}
}

// A peer that is silent, or says nothing that means anything, ends the session after
// --timeout, whatever frames it sends.
func TestStalledSenders(t *testing.T) {
	ping := masked(0x89, "")
	seal := masked(0x82, string(wire.Encode(&wire.Seal{Digest: make([]byte, 32), Counts: new(wire.Counts)}).Bytes()))
	for _, c := range []struct{ name, once, again string }{
		{"nothing", "", ""},
		{"pings", "", ping},
		{"a seal and nothing", seal, ""},
		{"a seal and pings", seal, ping},
		{"half a frame", seal[:len(seal)/2], ""},
		{"a byte of a message again and again", "\x02\x80\x00\x00\x00\x00", masked(0x00, "x")},
		{"problems", "", masked(0x82, string(wire.Encode(&wire.Problem{Path: []byte("x")}).Bytes()))},
		{"acks", "", masked(0x82, string(wire.Encode(new(wire.Ack)).Bytes()))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t, false)
			r := &Receiver{Dir: g.to, NoFsync: true}
			r.Timeout = 400 * time.Millisecond
			l := listens(t, r, ListenOptions{})
			w := connects(t, l.addr)
			w.says(upgrading() + sendersHello())
			w.status()
			w.says(c.once)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 2000 {
					if _, err := io.WriteString(w, c.again); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			if code := w.closed(); code != 4030 {
				t.Errorf("closed with %d", code)
			}
			_ = w.Close()
			<-done
			if out := l.end(t); out.result.Code != Timeout {
				t.Errorf("ends with %v", out.err)
			}
			g.untouched()
		})
	}
}
