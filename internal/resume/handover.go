package resume

import (
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/wire"
)

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
			wire.CloseWith(conn, wire.Fault(err))
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
		b, n, err := c.unsent(conn, next)
		if err != nil {
			err = fault.With(fault.Lost, &notRemade{err})
			c.End(err)
			wire.CloseWith(conn, err) // nobody else does while all wait for messages
			return after, missing, false
		}
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

// notRemade says that a message cannot be sent once more, so that another session must
// begin.
type notRemade struct{ cause error }

func (e *notRemade) Error() string {
	return "what was sent and did not arrive cannot be sent once more: " + e.cause.Error()
}

// Unwrap implements errors.Is.
func (e *notRemade) Unwrap() []error { return []error{e.cause, wire.ErrGone} }

// unsent returns the message after the first next ones, or after those that the peer
// has, to be sent once more on conn, and how many there are with it. It is nil where
// there is none.
func (c *Conn) unsent(conn wire.Conn, next uint64) (*wire.Buffer, uint64, error) {
	c.mu.Lock()
	next = max(next, c.first)
	i := next - c.first
	if c.err != nil || c.carrier != conn || i == uint64(len(c.unsure)) {
		c.mu.Unlock()
		return nil, next, nil
	}
	u := c.unsure[i]
	if u.b != nil {
		u.b.Hold()
		c.mu.Unlock()
		return u.b, next + 1, nil
	}
	c.mu.Unlock()
	b, err := u.remake()
	if err != nil {
		return nil, next, err
	}
	return b, next + 1, nil
}
