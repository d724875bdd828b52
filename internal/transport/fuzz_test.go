package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// replying is a connection that answers a request with bytes, of which {accept} is what
// the key of the request asks for.
type replying struct {
	stream
	request bytes.Buffer
	answer  []byte
	reader  *bytes.Reader
}

func (c *replying) Write(p []byte) (int, error) { return c.request.Write(p) }

func (c *replying) Read(p []byte) (int, error) {
	if c.reader == nil {
		key := ""
		if r, err := http.ReadRequest(bufio.NewReader(&c.request)); err == nil {
			key = r.Header.Get("Sec-WebSocket-Key")
		}
		sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		c.reader = bytes.NewReader(bytes.ReplaceAll(c.answer, []byte("{accept}"), []byte(base64.StdEncoding.EncodeToString(sum[:]))))
	}
	return c.reader.Read(p)
}

// FuzzAnswer has a server answer a request for an upgrade with anything: who is let in was
// told the right key and protocol, and no extension; who is not hears little.
func FuzzAnswer(f *testing.F) {
	f.Fuzz(func(t *testing.T, answer []byte) {
		conn, err := transport.Dial(t.Context(), "ws://localhost/", transport.DialOptions{
			NetDial: func(context.Context, string, string) (net.Conn, error) { return &replying{answer: answer}, nil },
		})
		if refused := (*transport.StatusError)(nil); errors.As(err, &refused) && len(refused.Body) > 512 {
			t.Errorf("%d bytes of a refusal are kept", len(refused.Body))
		}
		if err != nil {
			return
		}
		_ = conn.Close(wire.CloseNormal, "")
		head, _, _ := strings.Cut(strings.ToLower(string(answer)), "\r\n\r\n")
		if !strings.Contains(head, "101") || !strings.Contains(head, "{accept}") || !strings.Contains(head, transport.Protocol) || strings.Contains(head, "\nsec-websocket-extensions: permessage-deflate") {
			t.Errorf("%q lets in", answer)
		}
	})
}

// FuzzHost asks for any host: what is let in is a loopback name or address to everybody
// who takes URLs apart.
func FuzzHost(f *testing.F) {
	f.Fuzz(func(t *testing.T, host string) {
		if !transport.AllowsHost(host) {
			return
		}
		if ip, err := netip.ParseAddr(host); err == nil && ip.IsLoopback() {
			return // an IPv6 address without brackets, which no URL has
		}
		u, err := url.Parse("http://" + host)
		if err != nil {
			return // no browser gets here
		}
		name := strings.ToLower(u.Hostname())
		if ip, err := netip.ParseAddr(name); name != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
			t.Errorf("%q is let in, which is %q", host, name)
		}
	})
}
