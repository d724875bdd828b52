package sender

import (
	"testing"
	"time"
)

// pipeline is a sender of one worker, a compressor, a socket's buffer and a
// link, in simulated time.
type pipeline struct {
	rest, cost float64 // nanoseconds of the worker for a plain byte
	ratio      float64 // compressed bytes for a plain one
	link       float64 // nanoseconds for a byte in the link, or at the receiver
	perPlain   bool    // the receiver is slow, not the link: plain bytes count
	buffer     float64 // nanoseconds of link that fit into the buffers before it

	now, free float64 // the clock, and when the link is through with what it has
	squeezed  int64
}

const mega = 1 << 20

// send sends a message of a megabyte and returns what the worker saw.
func (p *pipeline) send(compress, try bool) sample {
	m := sample{plain: mega, wire: mega}
	spend := func(ns float64) time.Duration { p.now += ns; return time.Duration(ns) }
	m.spent = spend(p.rest * mega)
	if try {
		m.squeezed, m.became = trialLength, int64(p.ratio*trialLength)
		m.compress = spend(p.cost * trialLength)
	}
	load := p.link * mega
	if compress {
		m.compress = spend(p.cost * mega)
		m.spent += m.compress
		m.wire = int64(p.ratio * mega)
		m.squeezed, m.became = mega, m.wire
		p.squeezed += mega
		if !p.perPlain {
			load *= p.ratio
		}
	}
	p.free = max(p.free, p.now) + load
	if p.free-p.now > p.buffer { // the system wakes a writer when a third is free
		m.blocks = spend(p.free - p.now - p.buffer*2/3)
	}
	m.spent += m.blocks
	return m
}

func (p pipeline) run(g *governor, megabytes int) (ns float64, squeezed int64) {
	for range megabytes {
		on, try := g.next(mega)
		g.sent(on, p.send(on, try))
	}
	return max(p.now, p.free), p.squeezed
}

// TestGovernor holds the decisions to what is asked of them: within a tenth of
// the better way on a slow link, within a twentieth of sending plainly on a
// fast one.
func TestGovernor(t *testing.T) {
	const (
		text   = 0.18 // ratios of compression
		noise  = 1.0
		zstd   = 4.2 // nanoseconds a byte
		skim   = 0.2 // for what does not shrink
		mbit   = 8000.0
		buffer = 4 << 20 // bytes before the link
	)
	link := func(rate float64) (ns, hold float64) { return mbit / rate, mbit / rate * buffer }
	slow, slowHold := link(100)
	for _, c := range []struct {
		name      string
		p         pipeline
		trip      time.Duration
		megabytes int
		over      float64 // what it may take, of the better way
	}{
		{"slow link, text", pipeline{rest: 0.5, cost: zstd, ratio: text, link: slow, buffer: slowHold}, 50 * time.Millisecond, 128, 1.05},
		{"slow link, little text", pipeline{rest: 0.5, cost: zstd, ratio: text, link: slow, buffer: slowHold}, 50 * time.Millisecond, 10, 1.05},
		{"slow link, noise", pipeline{rest: 0.5, cost: skim, ratio: noise, link: slow, buffer: slowHold}, 50 * time.Millisecond, 128, 1.05},
		{"slow link that is near, text", pipeline{rest: 0.5, cost: zstd, ratio: text, link: slow, buffer: slowHold}, time.Millisecond, 500, 1.10},
		{"gigabit, text", pipeline{rest: 0.5, cost: zstd, ratio: text, link: mbit / 1000, buffer: mbit / 1000 * buffer}, time.Millisecond, 1000, 1.10},
		{"gigabit far away, text", pipeline{rest: 0.5, cost: zstd, ratio: text, link: mbit / 1000, buffer: mbit / 1000 * buffer}, 50 * time.Millisecond, 1000, 1.10},
		{"loopback, text", pipeline{rest: 0.4, cost: zstd, ratio: text, link: 0.6, buffer: 0.6 * buffer}, 0, 512, 1.05},
		{"loopback, noise", pipeline{rest: 0.4, cost: skim, ratio: noise, link: 0.6, buffer: 0.6 * buffer}, 0, 128, 1.05},
		{"a slow disk", pipeline{rest: 0.5, cost: zstd, ratio: text, link: 6, perPlain: true, buffer: 6 * buffer}, 0, 500, 1.02},
		{"ten gigabit far away", pipeline{rest: 0.5, cost: zstd, ratio: text, link: 0.8, buffer: 0.8 * buffer}, 10 * time.Millisecond, 4000, 1.10},
	} {
		none, _ := c.p.run(fixedGovernor(false), c.megabytes)
		always, _ := c.p.run(fixedGovernor(true), c.megabytes)
		auto, squeezed := c.p.run(newGovernor(c.trip), c.megabytes)
		best := min(none, always)
		t.Logf("%-30s none %.2f s, always %.2f s, auto %.2f s (%.2f of the better), %d of %d MiB compressed",
			c.name, none/1e9, always/1e9, auto/1e9, auto/best, squeezed/mega, c.megabytes)
		if auto > c.over*best {
			t.Errorf("%s: auto takes %.2f of the better way, more than %.2f", c.name, auto/best, c.over)
		}
	}
}

// A link that gets slow, and content that stops shrinking, are noticed.
func TestGovernorNotices(t *testing.T) {
	g := newGovernor(0)
	p := pipeline{rest: 0.4, cost: 4.2, ratio: 0.2, link: 0.6, buffer: 1e6}
	send := func(megabytes int) {
		for range megabytes {
			on, try := g.next(mega)
			g.sent(on, p.send(on, try))
		}
	}
	send(50)
	if g.compresses() {
		t.Fatal("compresses on a fast link")
	}
	p.link = 80
	send(50)
	if !g.compresses() {
		t.Error("does not compress on a link that has got slow")
	}
	p.link = 0.6
	send(300)
	if g.compresses() {
		t.Error("compresses on a link that has got fast again")
	}
}

// Content that starts to shrink is noticed on a link that is slow.
func TestGovernorNoticesContent(t *testing.T) {
	g := newGovernor(0)
	p := pipeline{rest: 0.4, cost: 0.2, ratio: 1, link: 80, buffer: 80e6}
	for i := range 200 {
		if i == 100 {
			if g.compresses() {
				t.Fatal("compresses what does not shrink")
			}
			p.cost, p.ratio = 4.2, 0.2
		}
		on, try := g.next(mega)
		g.sent(on, p.send(on, try))
	}
	if !g.compresses() {
		t.Error("does not compress what has begun to shrink")
	}
}
