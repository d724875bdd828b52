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

	mu      sync.Mutex // guards stopped against a deadline set at the same time
	stopped bool
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
	return s.conn.SetReadDeadline(time.Now().Add(s.silence))
}

// stop ends a read that waits, and all later ones.
func (s *source) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // fails on a closed one only
}
