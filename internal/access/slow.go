package access

import (
	"context"
	"sync"
	"time"
)

// Slowdown is how long failures take: every one of them as long after the connection
// began, whatever it was that failed, and longer the more there were of late. Who
// succeeds is never slowed down.
type Slowdown struct {
	mu      sync.Mutex // guards the rest
	count   float64    // failures, of which those of a minute ago count half
	last    time.Time
	waiting int
}

// The first failure takes a second, the next one two, the eighth and all after it eight.
const (
	slowest = 8 * time.Second
	fading  = time.Minute
)

// mostWaiting is how many are kept waiting at once: each costs memory, and its connection
// may have ended. Those beyond go at once, which tells them nothing that they do not know.
const mostWaiting = 32

// Wait waits until a connection that began at start may be told that it failed, or
// ctx ends.
func (s *Slowdown) Wait(ctx context.Context, start time.Time) {
	until, ok := s.enter(start)
	if !ok {
		return
	}
	defer s.leave()
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// enter counts a failure, and returns until when it waits, false if it does not.
func (s *Slowdown) enter(start time.Time) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if since := now.Sub(s.last); since > 0 && s.count > 0 {
		s.count /= 1 + float64(since)/float64(fading)
	}
	s.count = min(s.count+1, slowest.Seconds())
	s.last = now
	if s.waiting == mostWaiting {
		return now, false
	}
	s.waiting++
	return start.Add(time.Duration(s.count * float64(time.Second))), true
}

func (s *Slowdown) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
}
