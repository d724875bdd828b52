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
	mu    sync.Mutex // guards the rest
	count float64    // failures, of which those of a minute ago count half
	last  time.Time
}

// The first failure takes a second, the next one two, the eighth and all after it eight.
const (
	slowest = 8 * time.Second
	fading  = time.Minute
)

// Wait waits until a connection that began at start may be told that it failed, or
// ctx ends.
func (s *Slowdown) Wait(ctx context.Context, start time.Time) {
	t := time.NewTimer(time.Until(start.Add(s.next(time.Now()))))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// next counts a failure, and returns how long it takes.
func (s *Slowdown) next(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := now.Sub(s.last); since > 0 && s.count > 0 {
		s.count /= 1 + float64(since)/float64(fading)
	}
	s.count++
	s.last = now
	return min(slowest, time.Duration(s.count*float64(time.Second)))
}
