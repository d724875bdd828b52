package resume

import (
	"context"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// keep acknowledges what comes and sees to another connection when one is lost,
// until the session ends.
func (c *Conn) keep() {
	defer close(c.kept)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
		}
		left, waits := c.waits()
		switch {
		case !waits:
			c.acknowledge()
		case left <= 0:
			c.mu.Lock()
			c.endLocked(c.notRegained(c.patience))
			c.mu.Unlock()
		case c.o.Redial != nil:
			c.redial(left)
		default:
			timer.Reset(left)
		}
	}
}

// forever is longer than any session.
const forever = time.Duration(1 << 62)

// waits reports whether there is no connection, and for how long the session still
// waits for one.
func (c *Conn) waits() (left time.Duration, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier != nil || c.err != nil {
		return 0, false
	}
	if c.patience <= 0 {
		return forever, true
	}
	since := c.lost
	if c.changedAt.After(since) {
		since = c.changedAt
	}
	return c.patience - time.Since(since), true
}

// acknowledge tells the peer what was received, if it is due.
func (c *Conn) acknowledge() {
	c.mu.Lock()
	conn, received := c.carrier, c.received
	if conn == nil || c.untold < ackAfter {
		c.mu.Unlock()
		return
	}
	c.untold = 0
	c.mu.Unlock()
	_ = c.failed(conn, conn.Write(wire.Encode(&wire.Ack{Received: received}))) // the session finds out
}

// redial goes on over a connection that Redial makes.
func (c *Conn) redial(within time.Duration) {
	h, err := c.Detach()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, within)
	defer cancel()
	c.mu.Lock()
	c.hurry = cancel
	c.mu.Unlock()
	conn, peer, err := c.o.Redial(ctx, h.Received, c.cause)
	switch {
	case err == nil:
		h.attach(conn, peer)
	case ctx.Err() != nil && c.ctx.Err() == nil:
		c.poke() // the time is over, or is another one now
	default:
		c.End(err)
	}
}

// Handover is a session on its way from one connection to another.
type Handover struct {
	// Received is how many messages were received so far; before the session is
	// handed over no more come.
	Received uint64

	c    *Conn
	turn uint64
}

// Detach takes the session off its connection, if it has one still. It makes void
// what earlier calls returned.
func (c *Conn) Detach() (Handover, error) {
	c.mu.Lock()
	if c.err == nil && c.carrier != nil {
		c.lose(errDisplaced)
	}
	c.turn++ // from now on no earlier one is attached
	turn, before := c.turn, c.before
	c.mu.Unlock()
	if before != nil {
		wire.Abort(before) // nobody listens there any more
	}
	c.reading.Lock() // what was read there is counted
	defer c.reading.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.before == before {
		c.over(before)
		c.before = nil
	}
	return Handover{c.received, c, turn}, c.err
}

// Attach goes on over conn, on which the Hellos are through that have told the peer
// what was received here, and that it has received so many. It returns when conn is
// not needed any more; where the session is over, or has been taken to another
// connection meanwhile, that is at once, and conn is closed.
func (h Handover) Attach(conn wire.Conn, peer uint64) {
	h.attach(conn, peer)
	c := h.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.carrier == conn { // until Close has said why
		c.changed.Wait()
	}
}

func (h Handover) attach(conn wire.Conn, peer uint64) {
	if after, missing, ok := h.handOver(conn, peer); ok {
		h.c.o.Log.Warn("connected again", "after", after.Round(time.Millisecond).String(), "messages sent once more", missing)
	}
}

// handOver does what attach says but for the log, and returns after how long without a
// connection, and how many messages were sent once more.
func (h Handover) handOver(conn wire.Conn, peer uint64) (after time.Duration, missing int, ok bool) {
	c := h.c
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	valid := c.err == nil && c.turn == h.turn
	if valid {
		if err := c.forget(peer); err != nil {
			c.endLocked(err)
			valid = false
		}
	}
	if !valid {
		err := c.err
		c.mu.Unlock()
		if err == nil {
			_ = conn.Close(wire.CloseAway, "another connection was faster") // nothing to lose
		} else {
			wire.CloseWith(conn, err)
		}
		return 0, 0, false
	}
	c.carrier = conn
	c.untold = 0
	c.changed.Broadcast()
	next := c.first
	after = time.Since(c.lost)
	c.mu.Unlock()
	for {
		b, n := c.unsent(conn, next)
		if b == nil {
			return after, missing, true
		}
		missing++
		if c.failed(conn, conn.Write(b)) != nil {
			return after, missing, true
		}
		next = n
	}
}

// unsent returns the message after the first next ones, or after those that the peer
// has, to be sent once more on conn, and how many there are with it.
func (c *Conn) unsent(conn wire.Conn, next uint64) (*wire.Buffer, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = max(next, c.first)
	i := next - c.first
	if c.err != nil || c.carrier != conn || i == uint64(len(c.unsure)) {
		return nil, next
	}
	b := c.unsure[i]
	b.Hold()
	return b, next + 1
}
