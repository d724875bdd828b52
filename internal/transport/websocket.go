package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/gobwas/ws"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// This file alone knows the WebSocket library. What is taken from it: the
// handshakes, the frame header's encoding and rules, the masking.

// The subprotocols, of which the dialer names one in the handshake.
const (
	// Protocol carries messages as they are.
	Protocol = "sync-directory.v1"
	// ProtocolTLS carries TLS, and in it the same once more.
	ProtocolTLS = "sync-directory.v1.tls"
)

// header is a frame's header as decoded.
type header = ws.Header

// The kinds of frames that are sent or told apart.
const (
	opBinary = ws.OpBinary
	opClose  = ws.OpClose
	opPing   = ws.OpPing
	opPong   = ws.OpPong
)

// headerScratch is how many bytes decodeHeader needs to work in.
const headerScratch = ws.MaxHeaderSize

// decodeHeader reads a frame's header, all of it or nothing: after an error r
// still stands where the header begins.
func decodeHeader(r *bufio.Reader, scratch []byte) (header, error) {
	start, err := r.Peek(ws.MinHeaderSize)
	if err != nil {
		return header{}, err
	}
	size := ws.MinHeaderSize
	switch start[1] & 0x7f {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if start[1]&0x80 != 0 {
		size += 4 // the mask
	}
	if _, err := r.Peek(size); err != nil {
		return header{}, err
	}
	h, err := ws.ReadHeaderBuffer(r, scratch)
	if err != nil { // it was all there
		return h, &breach{wire.CloseProtocol, err.Error()}
	}
	return h, nil
}

// checkHeader applies the rules for what a peer may send: client is our own
// role, fragmented whether a message has begun. Its error is a *breach.
func checkHeader(h header, client, fragmented bool) error {
	state := ws.StateServerSide
	if client {
		state = ws.StateClientSide
	}
	if fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if !client && h.OpCode == ws.OpClose {
		// Caddy 2.6 does not mask the one frame of its own, by which it says when it
		// is reloaded that it goes. A close frame needs no mask to be understood.
		h.Masked = true
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return &breach{wire.CloseProtocol, err.Error()}
	}
	if h.OpCode == ws.OpText {
		return &breach{wire.CloseProtocol, "text message"}
	}
	return nil
}

// unmask undoes the mask on a part of a payload that starts at offset.
func unmask(part []byte, h *header, offset int) {
	if h.Masked {
		ws.Cipher(part, h.Mask, offset)
	}
}

// headerSize returns the length of the header of an unfragmented frame.
func headerSize(payload int, masked bool) int {
	return ws.HeaderSize(ws.Header{Length: int64(payload), Masked: masked})
}

// seal completes a frame whose payload starts at n = headerSize: it writes the
// header before the payload and masks the payload where it lies, which may be masked
// already, with was. It returns what it is masked with then. frame needs a capacity
// of 14 bytes.
func seal(frame []byte, n int, op ws.OpCode, masked bool, was [4]byte) [4]byte {
	payload := frame[n:]
	h := ws.Header{Fin: true, OpCode: op, Masked: masked, Length: int64(len(payload))}
	if masked {
		h.Mask = ws.NewMask()
	}
	if both := xor(h.Mask, was); both != [4]byte{} {
		ws.Cipher(payload, both, 0)
	}
	if err := ws.WriteHeaderBuffer(io.Discard, h, frame); err != nil {
		panic("transport: " + err.Error())
	}
	return h.Mask
}

func xor(a, b [4]byte) [4]byte {
	binary.NativeEndian.PutUint32(a[:], binary.NativeEndian.Uint32(a[:])^binary.NativeEndian.Uint32(b[:]))
	return a
}

// controlFrame returns a whole control frame.
func controlFrame(op ws.OpCode, payload []byte, masked bool) []byte {
	n := headerSize(len(payload), masked)
	frame := make([]byte, n+len(payload), ws.MaxHeaderSize+ws.MaxControlFramePayloadSize)
	copy(frame[n:], payload)
	seal(frame, n, op, masked, [4]byte{})
	return frame
}

// parseClose returns what a close frame's payload says. A close frame without
// a payload has code 1005, which never travels.
func parseClose(payload []byte) (*wire.CloseError, error) {
	if len(payload) == 0 {
		return &wire.CloseError{Code: closeNoStatus}, nil
	}
	if len(payload) == 1 {
		return nil, &breach{wire.CloseProtocol, "close frame of one byte"}
	}
	code, reason := ws.ParseCloseFrameData(payload)
	if err := ws.CheckCloseFrameData(code, reason); err != nil {
		return nil, &breach{wire.CloseProtocol, err.Error()}
	}
	return &wire.CloseError{Code: wire.CloseCode(code), Reason: reason}, nil
}

// upgradeClient asks for the upgrade and returns the bytes that came right
// after the answer. A refusal is a *StatusError. The caller bounds rw in time
// and in bytes.
func upgradeClient(rw io.ReadWriter, u *url.URL, header http.Header, protocol string) ([]byte, error) {
	var refused *StatusError
	d := ws.Dialer{
		Protocols: []string{protocol},
		Header:    ws.HandshakeHeaderHTTP(header),
		OnStatusError: func(status int, _ []byte, answer io.Reader) {
			refused = newStatusError(status, answer)
		},
	}
	br, hs, err := d.Upgrade(rw, u)
	if refused != nil {
		return nil, refused
	}
	if errors.Is(err, ws.ErrHandshakeBadProtocol) {
		return nil, ErrOldHTTP
	}
	if err != nil {
		return nil, err
	}
	early := takeBuffered(br)
	if br != nil {
		ws.PutReader(br)
	}
	if hs.Protocol != protocol {
		return nil, errors.New("the server does not speak " + protocol)
	}
	return early, nil
}

// upgradeServer answers a request that was found worthy, and takes its
// connection over, with the bytes that came right after the request. When it
// fails it has answered and closed.
func upgradeServer(w http.ResponseWriter, r *http.Request, protocol string) (net.Conn, []byte, error) {
	u := ws.HTTPUpgrader{Protocol: func(name string) bool { return name == protocol }}
	conn, rw, _, err := u.Upgrade(r, w)
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, nil, err
	}
	return conn, takeBuffered(rw.Reader), nil
}

// takeBuffered returns a copy of what r has read ahead; r may be nil.
func takeBuffered(r *bufio.Reader) []byte {
	if r == nil || r.Buffered() == 0 {
		return nil
	}
	early := make([]byte, r.Buffered())
	_, _ = io.ReadFull(r, early) // cannot fail: it is buffered
	return early
}
