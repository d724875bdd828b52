package transport

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// farewell bounds everything that a close does: a peer that does not take
// part in it costs that much, and a program that is told to stop still stops
// within a second.
const farewell = 600 * time.Millisecond

// Close ends the connection:
//
//  1. every later and waiting call gets wire.ErrClosed;
//  2. a close frame goes out, behind a message that is under way;
//  3. what still arrives is read and dropped, to the peer's close frame or end:
//     closing with unread bytes would reset the connection, and the peer would
//     lose what it has not read yet;
//  4. the connection is closed, and keep has returned.
//
// Steps 2 and 3 together take as long as farewell at most. Where the peer's close
// frame did not come, the first call returns wire.ErrUnheard, and where it says that the
// session has failed, and is no answer to ours, what it says.
func (s *socket) Close(code wire.CloseCode, reason string) (err error) {
	s.closing.Do(func() {
		deadline := time.Now().Add(farewell)
		first := s.fail(wire.ErrClosed)
		s.source.stop()
		said := first && s.sayClose(code, reason, deadline)
		err = wire.ErrUnheard
		if s.lockUntil(s.reading, deadline) && (said || s.said) {
			if closed := s.drain(deadline); closed != nil {
				err = beyond(code, closed)
			}
		}
		hardClose(s.conn)
		<-s.kept
	})
	return err
}

// beyond returns what a peer says that closes, if it is a failure and not the one that it
// was told.
func beyond(told wire.CloseCode, closed *wire.CloseError) error {
	if closed.Failed() && closed.Code != told {
		return closed
	}
	return nil
}

// Abort ends the connection without a word.
func (s *socket) Abort() { _ = s.abort(wire.ErrClosed) }

// sayClose sends a close frame if that can be done until the deadline, which
// also ends a write that is stuck. Nothing may be written after it, so the
// lock is kept.
func (s *socket) sayClose(code wire.CloseCode, reason string, deadline time.Time) bool {
	_ = s.conn.SetWriteDeadline(deadline) // fails on a closed one only
	if !s.lockUntil(s.writing, deadline) || s.broken {
		return false
	}
	_, err := s.conn.Write(controlFrame(opClose, closePayload(code, reason), s.client))
	return err == nil
}

// closePayload encodes a close frame's content, the reason cut to fit.
func closePayload(code wire.CloseCode, reason string) []byte {
	if code == closeNoStatus {
		return nil
	}
	const room = 125 - 2
	reason = strings.ToValidUTF8(reason, "?")
	if len(reason) > room {
		reason = strings.ToValidUTF8(reason[:room], "")
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// drain reads and drops the rest of what the peer sends, to its close frame, and returns
// that, or nil when the peer hangs up before. The reading lock must be held.
func (s *socket) drain(deadline time.Time) *wire.CloseError {
	s.source.resume(deadline)
	for {
		if _, err := io.CopyN(io.Discard, s.in, s.left); err != nil {
			return nil
		}
		h, err := decodeHeader(s.in, s.scratch[:])
		if err != nil {
			return nil
		}
		if s.left = h.Length; h.OpCode == opClose {
			return s.readClose(&h)
		}
	}
}

// readClose reads the rest of a close frame, which has come even if it makes no sense.
func (s *socket) readClose(h *header) *wire.CloseError {
	closed := &wire.CloseError{Code: closeNoStatus}
	if checkHeader(*h, s.client, false) == nil {
		_ = errors.As(s.readControl(h), &closed)
	}
	return closed
}

// lockUntil takes a lock, also of a connection that has ended, if it can be
// had before the deadline.
func (s *socket) lockUntil(l chan struct{}, deadline time.Time) bool {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case l <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

// hardClose closes at once. TLS would try to say goodbye for five seconds to
// a peer that does not read.
func hardClose(conn net.Conn) {
	if v := visiting(conn); v != nil {
		v.leave()
	}
	for below := conn; below != nil; below = under(conn) {
		conn = below
	}
	_ = conn.Close() // nothing can be done about it
}

// under returns what a connection of this package or of TLS runs on, or nil.
func under(conn net.Conn) net.Conn {
	switch c := conn.(type) {
	case *tunnelled:
		return c.t
	case *tunnel:
		return c.Conn
	case *earlyConn:
		return c.Conn
	case *tls.Conn:
		return c.NetConn()
	case *visitor:
		return c.Conn
	}
	return nil
}

// visiting returns the visitor that a connection runs on, or nil at a dialer.
func visiting(conn net.Conn) *visitor {
	for ; conn != nil; conn = under(conn) {
		if v, ok := conn.(*visitor); ok {
			return v
		}
	}
	return nil
}
