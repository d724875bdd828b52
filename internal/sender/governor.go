package sender

import (
	"sync"
	"time"
)

// governor decides whether messages are compressed, from what that costs and
// from the time for which the connection blocks. It looks anew every few
// megabytes, stops where compressing does not pay, and then tries it ever more
// rarely. With a far peer it starts compressing; with a near one, where that
// most likely is wrong, plainly, trying it on prefixes.
//
// Its model of a plain byte: a worker spends rest + cost on it, or only rest
// without compressing, while a link that is the bottleneck takes link × ratio
// for it, or link. The slower of both counts, since the system sends what
// workers have written while they prepare the next. What the model cannot
// tell is a receiver that is slow from a link that is: hence the look back.
type governor struct {
	fixed bool // it never changes

	mu     sync.Mutex // guards the rest
	on     bool
	trials int     // messages of which a prefix is to be compressed
	trial  int64   // held, from which on there may be another one
	warm   bool    // the compressor was used
	since  sample  // since the last change; what is older than two proofs weighs less
	held   int64   // plain bytes since the last change
	looked int64   // held, when it was looked at last
	cost   float64 // of compressing, nanoseconds a plain byte, when it was done last, or 0
	ratio  float64 // compressed bytes a plain byte, when it was done last
	other  float64 // nanoseconds a plain byte took the other way, when it was gone last, or 0
	failed bool    // the last change was back from compressing that did not pay
	hold   int64   // plain bytes between changes
}

// sample is what was sent, and the time that workers spent on it.
type sample struct {
	plain, wire      int64 // bytes: made, and sent
	squeezed, became int64 // bytes: that were compressed, and what came of them
	spent, blocks    time.Duration
	compress         time.Duration // in spent only where the result was sent
}

func (s *sample) add(o sample) {
	s.plain += o.plain
	s.wire += o.wire
	s.squeezed += o.squeezed
	s.became += o.became
	s.spent += o.spent
	s.blocks += o.blocks
	s.compress += o.compress
}

func (s *sample) halve() {
	s.plain /= 2
	s.wire /= 2
	s.squeezed /= 2
	s.became /= 2
	s.spent /= 2
	s.blocks /= 2
	s.compress /= 2
}

// per returns d for each plain byte, in nanoseconds.
func (s *sample) per(d time.Duration) float64 { return float64(d) / float64(s.plain) }

const (
	// epochLength is how many plain bytes pass between two looks.
	epochLength = 4 << 20
	telling     = 32 << 10 // is what a message is counted from
	// firstTrials is how many messages compressing is tried on at first, of
	// which the first one sets the compressor up and tells nothing; trialLength
	// is how many bytes of each: 0.3 ms.
	firstTrials = 3
	trialLength = 128 << 10
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
	// holdGrowth is how much more rarely something is tried that did not pay.
	holdGrowth, maxHold = 4, 1 << 30
)

// near is the round trip up to which a peer counts as near: on this machine or
// in the same building, and answering the Hello while it is busy.
const near = 8 * time.Millisecond

func newGovernor(roundTrip time.Duration) *governor {
	if roundTrip <= near {
		return &governor{trials: firstTrials}
	}
	return &governor{on: true}
}

// fixedGovernor never changes its mind.
func fixedGovernor(on bool) *governor { return &governor{fixed: true, on: on} }

// compresses reports whether messages are compressed now.
func (g *governor) compresses() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.on
}

// next says what to do with the next message: compress it, or compress a
// prefix of it to see what comes of that, and send it plainly. Plain is how many
// bytes it has.
func (g *governor) next(plain int64) (compress, try bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if try = !g.on && g.trials > 0 && plain >= telling; try {
		g.trials--
	}
	return g.on, try
}

// sent takes in what became of a message that was prepared when next returned
// compress.
func (g *governor) sent(compress bool, m sample) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fixed || compress != g.on || m.plain < telling {
		return
	}
	if m.squeezed > 0 && !g.warm {
		g.warm = true
		return
	}
	g.since.add(m)
	if g.since.wire > 2*proof {
		g.since.halve()
	}
	g.held += m.plain
	if g.held-g.looked >= epochLength {
		g.looked = g.held
		g.look(&g.since)
	}
}

// look draws conclusions from what was sent since the last change.
func (g *governor) look(s *sample) {
	now := s.per(s.spent)
	if s.squeezed > 0 {
		g.cost, g.ratio = float64(s.compress)/float64(s.squeezed), float64(s.became)/float64(s.squeezed)
	}
	if !g.on && g.held >= g.trial && s.blocks > s.spent*3/4 {
		g.trials, g.trial = 1, g.held+soon // content may be of another kind by now
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
		return g.cost > 0 && now > margin*max(rest+g.cost, g.ratio*now)
	}
	if s.blocks > s.spent/8 || s.wire < proof {
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
	g.since, g.held, g.looked, g.trial = sample{}, 0, 0, 0
}
