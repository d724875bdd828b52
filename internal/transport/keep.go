package transport

import (
	"time"
)

// keep sends what no caller sends: pings when nothing else is written, and
// the answers to pings. It returns when the connection has ended.
func (s *socket) keep() {
	defer close(s.kept)
	t := time.NewTimer(s.opts.PingAfter)
	defer t.Stop()
	for {
		select {
		case <-s.dead:
			return
		case payload := <-s.pongs:
			_, _ = s.send(controlFrame(opPong, payload, s.client)) // sticky
		case <-t.C:
			t.Reset(s.pingIfIdle())
		}
	}
}

// pingIfIdle sends a ping if one is due, and returns when to look again.
func (s *socket) pingIfIdle() time.Duration {
	idle := time.Since(s.born) - time.Duration(s.wrote.Load())
	if idle < s.opts.PingAfter {
		return s.opts.PingAfter - idle
	}
	// A write that waits for the peer is a sign of life to come by itself.
	if len(s.writing) == 0 {
		_, _ = s.send(controlFrame(opPing, nil, s.client)) // sticky
	}
	return s.opts.PingAfter
}

// answer leaves a pong to keep. Only the latest ping needs one, so Read does
// not wait here.
func (s *socket) answer(payload []byte) {
	select {
	case <-s.pongs:
	default:
	}
	s.pongs <- payload // never waits: Read alone sends, and there is room
}
