package report

import (
	"sync"
	"time"
)

// Pace bounds how much is said of something that others can make happen as often as they
// like: a burst, and from then on so much a second.
type Pace struct {
	Burst, Rate float64

	mu      sync.Mutex // guards the rest
	left    float64    // of the burst
	since   time.Time  // when it was that; zero before the first call
	skipped int
}

// Allow reports whether there is room at a time for something that costs so much, and if
// there is, how many times there was none since it last was there.
func (p *Pace) Allow(now time.Time, cost float64) (skipped int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		p.left, p.since = p.Burst, now
	}
	if d := now.Sub(p.since); d > 0 {
		p.left, p.since = min(p.Burst, p.left+d.Seconds()*p.Rate), now
	}
	if p.left < cost {
		p.skipped++
		return 0, false
	}
	p.left -= cost
	skipped, p.skipped = p.skipped, 0
	return skipped, true
}

// Refill makes room for at least so much.
func (p *Pace) Refill(least float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = max(p.left, min(least, p.Burst))
}
