package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// tunnelBatch is how much is put into one frame of a tunnel: a few system calls a
// message, and the peer opens what came while the rest is sealed.
const tunnelBatch = 256 << 10

// tunnel is a stream of bytes over the frames of a WebSocket: what TLS runs on when
// it runs inside. Whoever is between sees its frames, and may add some, so it takes
// nothing in them for true: a close frame is the end of the connection and no more,
// a ping is answered with the next write. Pings of its own, silence and farewells
// are the affair of the socket inside.
type tunnel struct {
	net.Conn // under the WebSocket
	client   bool

	in      *bufio.Reader // what follows belongs to Read, of which there is one
	scratch [headerScratch]byte
	frame   header
	at      int64 // how far the payload of frame is read
	begun   bool  // a message that goes on in the next frame

	pong atomic.Pointer[[]byte] // the latest ping that wants an answer

	mu   sync.Mutex // guards the rest, and the order of frames
	out  []byte     // headroom and the payload of the next frame
	hold bool       // more comes, so that full frames alone go out
}

// startTunnel starts TLS inside the WebSocket on conn, which a side has upgraded.
func startTunnel(conn net.Conn, early []byte, client bool, config *tls.Config) *tunnelled {
	t := &tunnel{
		Conn:   conn,
		client: client,
		in:     bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), conn), readBuffer),
		out:    make([]byte, headerScratch),
	}
	if client {
		return &tunnelled{tls.Client(t, config), t}
	}
	return &tunnelled{tls.Server(t, config), t}
}

// tunnelled is the TLS connection on a tunnel. Each Write goes out in as few frames as
// it can, where TLS alone would send one for each of its records.
type tunnelled struct {
	*tls.Conn
	t *tunnel
}

func (c *tunnelled) Write(p []byte) (int, error) {
	c.t.holdBack()
	n, err := c.Conn.Write(p)
	if rerr := c.t.release(); err == nil {
		err = rerr
	}
	return n, err
}

func (t *tunnel) holdBack() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hold = true
}

// release sends what was held back.
func (t *tunnel) release() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hold = false
	return t.flushLocked()
}

func (t *tunnel) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out = append(t.out, p...)
	if t.hold && len(t.out) < tunnelBatch {
		return len(p), nil
	}
	return len(p), t.flushLocked()
}

// flushLocked sends a frame of all that is there. mu must be held.
func (t *tunnel) flushLocked() error {
	if ping := t.pong.Swap(nil); ping != nil {
		if _, err := t.Conn.Write(controlFrame(opPong, *ping, t.client)); err != nil {
			return err
		}
	}
	n := len(t.out) - headerScratch
	if n == 0 {
		return nil
	}
	size := headerSize(n, t.client)
	frame := t.out[headerScratch-size:]
	seal(frame, size, opBinary, t.client, [4]byte{})
	t.out = t.out[:headerScratch]
	_, err := t.Conn.Write(frame)
	return err
}

// Read returns bytes of the payloads of frames. One goroutine reads.
func (t *tunnel) Read(p []byte) (int, error) {
	for t.at == t.frame.Length || t.frame.OpCode.IsControl() {
		if err := t.next(); err != nil {
			return 0, err
		}
	}
	n, err := t.in.Read(p[:min(int64(len(p)), t.frame.Length-t.at)])
	unmask(p[:n], &t.frame, int(t.at%4))
	t.at += int64(n)
	return n, err
}

// next reads on to the payload of the next frame, and through a control frame.
func (t *tunnel) next() error {
	if t.frame.OpCode.IsControl() && t.at < t.frame.Length {
		return t.control()
	}
	h, err := decodeHeader(t.in, t.scratch[:])
	if err == nil {
		err = checkHeader(h, t.client, t.begun)
	}
	if broke := (*breach)(nil); errors.As(err, &broke) {
		return errors.New("outside of TLS: " + broke.reason) // and not by the peer
	}
	if err != nil {
		return err
	}
	if h.OpCode == opClose {
		return io.ErrUnexpectedEOF
	}
	if !h.OpCode.IsControl() {
		t.begun = !h.Fin
	} else if h.OpCode == opPing && h.Length == 0 {
		t.pong.Store(new([]byte))
	}
	t.frame, t.at = h, 0
	return nil
}

// control takes the payload of a ping or pong in.
func (t *tunnel) control() error {
	payload, err := t.in.Peek(int(t.frame.Length)) // at most 125, which was checked
	if err != nil {
		return err
	}
	if t.frame.OpCode == opPing {
		ping := append([]byte(nil), payload...)
		unmask(ping, &t.frame, 0)
		t.pong.Store(&ping)
	}
	_, _ = t.in.Discard(len(payload)) // cannot fail: it is buffered
	t.at = t.frame.Length
	return nil
}
