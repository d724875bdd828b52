package delta

import "math/bits"

const (
	// leastSegment and mostSegment bound the length in bytes of a segment at scale
	// 0, but for the last of a file; on average it is 256 KiB. Three quarters
	// of that are skipped unread, which is what makes cutting cheap; after a
	// change it takes some segments more until the cuts agree again, and what
	// lies between is left to a signature.
	leastSegment = 192 << 10
	mostSegment  = 1 << 20
	tailBits     = 16 // 2 to the power of it is the mean length beyond leastSegment
	// window is how many bytes before it a cut depends on.
	window = 64

	// MaxScale is the largest scale.
	MaxScale = 8
	// manySegments is how many segments a file is cut into before they get longer.
	manySegments = 1 << 16
)

// Scale returns the scale at which a file is cut, which doubles the length of
// its segments with each step so that what is known of them stays bounded: at most
// 65,536 segments up to 4 TiB.
func Scale(size int64) uint8 {
	const step = manySegments * (leastSegment + 1<<tailBits)
	if size <= step {
		return 0
	}
	return uint8(min(bits.Len64(uint64((size-1)/step)), MaxScale))
}

// gear holds a random number for each byte, part of protocol v1: the outputs of
// SplitMix64 from state 0 on.
var gear = func() (g [256]uint64) {
	state := uint64(0)
	for i := range g {
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		g[i] = z ^ z>>31
	}
	return g
}()

// Cutter finds where the segments of a content end, which is given to it piece by
// piece. Where they end does not depend on the pieces.
type Cutter struct {
	least, most int
	below       uint64 // a hash that is less ends a segment
	at          int    // bytes of the segment so far
	hash        uint64
}

// NewCutter returns a Cutter for content at its beginning. Scale is at most
// MaxScale.
func NewCutter(scale uint8) *Cutter {
	return &Cutter{least: leastSegment << scale, most: mostSegment << scale, below: 1 << (64 - tailBits - scale)}
}

// Cut returns how many bytes of p are in the segment, and whether it ends with
// them: unless it does they are all.
func (c *Cutter) Cut(p []byte) (n int, ends bool) {
	limit := min(len(p), c.most-c.at)
	i := max(0, c.least-window-c.at)
	if i >= limit {
		c.at += limit
		return limit, false
	}
	h := c.hash
	for ; i < min(limit, c.least-c.at); i++ {
		h = h<<1 + gear[p[i]]
	}
	if n, ends := scan(p[i:limit], &h, c.below); ends {
		c.at, c.hash = 0, 0
		return i + n, true
	}
	if c.at += limit; c.at == c.most {
		c.at, c.hash = 0, 0
		return limit, true
	}
	c.hash = h
	return limit, false
}

// scan continues the hash h over p, until it is less than below. It takes two
// bytes at once: that their terms are added first, which does not wait for h, is
// what makes it half as fast again.
func scan(p []byte, h *uint64, below uint64) (n int, ends bool) {
	sum := *h
	for len(p)-n >= 2 {
		two := p[n : n+2 : n+2]
		first, second := gear[two[0]], gear[two[1]]
		if sum<<1+first < below {
			return n + 1, true
		}
		sum = sum<<2 + (first<<1 + second)
		if n += 2; sum < below {
			return n, true
		}
	}
	if n < len(p) {
		sum = sum<<1 + gear[p[n]]
		if n++; sum < below {
			return n, true
		}
	}
	*h = sum
	return n, false
}
