package transport

import (
	"fmt"
	"io"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// readMessage puts a message together from its frames. Nothing is allocated
// for a length before it was checked.
func (s *socket) readMessage() (*wire.Buffer, error) {
	var b *wire.Buffer // nil before the first frame of the message
	for {
		h, err := s.nextFrame(b != nil)
		if err == nil && h.OpCode.IsControl() {
			if err = s.readControl(&h); err == nil {
				continue
			}
		}
		if err == nil {
			b, err = s.readData(b, &h)
		}
		if err != nil {
			b.Free()
			return nil, err
		}
		if h.Fin {
			return b, nil
		}
	}
}

// nextFrame reads the header of the next frame, whose payload is left then.
func (s *socket) nextFrame(fragmented bool) (header, error) {
	h, err := decodeHeader(s.in, s.scratch[:])
	if err != nil {
		return h, err
	}
	s.left = h.Length
	return h, checkHeader(h, s.client, fragmented)
}

// readData adds a frame's payload to the message, and returns the message,
// also with an error.
func (s *socket) readData(b *wire.Buffer, h *header) (*wire.Buffer, error) {
	have := 0
	if b != nil {
		have = len(b.Bytes())
	}
	if limit := s.limit.Load(); h.Length > limit-int64(have) {
		return b, &breach{wire.CloseTooBig, fmt.Sprintf("message over %d bytes", limit)}
	}
	b = withRoom(b, int(h.Length))
	s.received.Add(int64(headerSize(int(h.Length), h.Masked)))
	part := b.Extend(int(h.Length))
	// Unmasking what each read brought finds it in the processor's cache.
	for at := 0; at < len(part); {
		n, err := s.in.Read(part[at:])
		if err != nil {
			return b, err
		}
		unmask(part[at:at+n], h, at)
		at += n
		s.left -= int64(n)
		s.received.Add(int64(n))
	}
	return b, nil
}

// withRoom returns the message in a buffer that holds n bytes more.
func withRoom(b *wire.Buffer, n int) *wire.Buffer {
	if b == nil {
		return wire.NewBuffer(n)
	}
	if b.Room() >= n {
		return b
	}
	larger := wire.NewBuffer(len(b.Bytes()) + n)
	larger.Append(b.Bytes()...)
	b.Free()
	return larger
}

// readControl reads a control frame's payload and acts on it. A close frame
// comes back as an error.
func (s *socket) readControl(h *header) error {
	payload := make([]byte, h.Length) // at most 125, which was checked
	n, err := io.ReadFull(s.in, payload)
	s.left -= int64(n)
	if err != nil {
		return err
	}
	unmask(payload, h, 0)
	switch h.OpCode {
	case opPing:
		s.answer(payload)
	case opClose:
		closed, err := parseClose(payload)
		if err != nil {
			return err
		}
		return closed
	}
	return nil
}
