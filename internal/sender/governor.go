package sender

import (
	"sync"
	"time"
)

// governor decides whether messages are compressed, from what that costs and
// from the time for which the connection blocks. It starts compressing, looks
// anew every few megabytes, stops where that does not pay, and then tries it
// ever more rarely.
//
// Its model of a plain byte: a worker spends rest + cost on it, or only rest
// without compressing, while a link that is the bottleneck takes link × ratio
// for it, or link. The slower of both counts, since the system sends what
// workers have written while they prepare the next. What the model cannot
// tell is a receiver that is slow from a link that is: hence the look back.
type governor struct {
	fixed bool // it never changes
	far   bool // much is under way in the link, so that a while without blocking proves nothing

	mu     sync.Mutex // guards the rest
	on     bool
	warm   int     // messages so far
	since  sample  // since the last change; what is older than two proofs weighs less
	held   int64   // plain bytes since the last change
	looked int64   // held, when it was looked at last
	cost   float64 // of compressing, nanoseconds a plain byte, when it was done last
	ratio  float64 // compressed bytes a plain byte, when it was done last
	other  float64 // nanoseconds a plain byte took the other way, when it was gone last, or 0
	failed bool    // the last change was back from compressing that did not pay
	hold   int64   // plain bytes between changes
}

// sample is what was sent, and the time that workers spent on it.
type sample struct {
	plain, wire             int64 // bytes
	spent, compress, blocks time.Duration
}

func (s *sample) add(o sample) {
	s.plain += o.plain
	s.wire += o.wire
	s.spent += o.spent
	s.compress += o.compress
	s.blocks += o.blocks
}

func (s *sample) halve() {
	s.plain /= 2
	s.wire /= 2
	s.spent /= 2
	s.compress /= 2
	s.blocks /= 2
}

// per returns d for each plain byte, in nanoseconds.
func (s *sample) per(d time.Duration) float64 { return float64(d) / float64(s.plain) }

const (
	// epochLength is how many plain bytes pass between two looks. With a near
	// peer, where compressing most likely is wrong, the first look comes after
	// firstLength or firstMessages after the one that set the compressor up.
	epochLength   = 4 << 20
	firstLength   = 512 << 10
	firstMessages = 2
	telling       = 32 << 10 // is what a message is counted from
	// proof is how many bytes must have gone into a link before it counts as
	// one that does not block: more than the buffers before it hold, of which
	// the system frees a good part before it lets a writer go on.
	proof = 12 << 20
	// soon is how many plain bytes after it stopped compressing it may find
	// out that the buffers before a slow link had only been empty.
	soon = 32 << 20
	// margin is how much better the other way must look, and worth how much
	// better than sending plainly compressing must turn out.
	margin, worth = 1.25, 1.2
	// doubt is what the cost of compressing loses with each look at a worker
	// that does nothing but wait: it was taken when other things ran as well.
	doubt = 0.95
	// holdGrowth is how much more rarely something is tried that did not pay.
	holdGrowth, maxHold = 4, 1 << 30
)

// near is the round trip up to which a peer counts as near: on this machine or
// in the same building, and answering the Hello while it is busy.
const near = 8 * time.Millisecond

func newGovernor(roundTrip time.Duration) *governor {
	return &governor{on: true, far: roundTrip > near}
}

// fixedGovernor never changes its mind.
func fixedGovernor(on bool) *governor { return &governor{fixed: true, on: on} }

// compresses says what to do with the next message.
func (g *governor) compresses() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.on
}

// sent takes in what became of a message that was prepared when compresses
// returned on.
func (g *governor) sent(on bool, m sample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fixed || on != g.on || m.plain < telling {
		return
	}
	if g.warm == 0 { // it set the compressor up
		g.warm++
		return
	}
	g.warm++
	g.since.add(m)
	if g.since.wire > 2*proof {
		g.since.halve()
	}
	g.held += m.plain
	first := !g.far && g.hold == 0 && g.on && g.other == 0
	if g.held-g.looked >= epochLength || first && (g.warm > firstMessages || g.held >= firstLength) {
		g.looked = g.held
		g.look(&g.since)
	}
}

// look draws conclusions from what was sent since the last change.
func (g *governor) look(s *sample) {
	now := s.per(s.spent)
	switch {
	case g.on:
		g.cost, g.ratio = s.per(s.compress), float64(s.wire)/float64(s.plain)
	case s.blocks > s.spent*3/4:
		g.cost *= doubt
	}
	switch rash := !g.on && !g.failed && g.held < soon; {
	case g.on && g.other > 0 && now*worth > g.other:
		g.change(now, true)
	case (rash || g.held >= g.hold) && g.wouldPay(s, now):
		g.change(now, rash)
	}
}

// wouldPay reports whether the other way looks better by far than now.
func (g *governor) wouldPay(s *sample, now float64) bool {
	if !g.on {
		rest := s.per(s.spent - s.blocks)
		return now > margin*max(rest+g.cost, g.ratio*now)
	}
	first := !g.far && g.hold == 0
	if blocks := s.blocks > s.spent/8; blocks || !first && s.wire < proof {
		return false
	}
	return now > margin*(now-g.cost)
}

// change goes the other way; now is what this one took for a plain byte. The
// next change has to wait, after a mistake for longer.
func (g *governor) change(now float64, mistake bool) {
	if mistake {
		g.hold = min(max(epochLength, g.hold*holdGrowth), maxHold)
	}
	g.failed = g.on && mistake
	g.on = !g.on
	g.other = now
	g.since, g.held, g.looked = sample{}, 0, 0
}
