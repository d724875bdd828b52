package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// source reads a connection under the watch of its silence limit. The clock
// runs only while a read waits, and starts anew with every read: neither an
// owner that is slow to read nor a large message on a slow line looks like a
// dead peer.
type source struct {
	conn    net.Conn
	early   []byte // came with the handshake, is read first
	silence time.Duration

	mu      sync.Mutex // guards what follows, and the deadline
	stopped bool
	until   time.Time // instead of the silence limit, unless zero
}

// Read returns at least one byte or an error.
func (s *source) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(p, s.early)
		s.early = s.early[n:]
		return n, nil
	}
	if err := s.arm(); err != nil {
		return 0, err
	}
	n, err := s.conn.Read(p)
	if n > 0 {
		return n, nil // an error stays, and comes with the next read
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no sign of life for %v: %w", s.silence, os.ErrDeadlineExceeded)
	}
	return 0, err
}

func (s *source) arm() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return net.ErrClosed
	}
	if !s.until.IsZero() {
		return s.conn.SetReadDeadline(s.until)
	}
	return s.conn.SetReadDeadline(time.Now().Add(s.silence))
}

// resume lets reads wait until a deadline again.
func (s *source) resume(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped, s.until = false, until
}

// stop ends a read that waits, and all later ones until resume.
func (s *source) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // fails on a closed one only
}
