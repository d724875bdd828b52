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
	if c.patientSince.After(since) {
		since = c.patientSince
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
