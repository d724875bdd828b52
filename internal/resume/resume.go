// Package resume makes a session outlive the connections that carry it: a Conn is
// a wire.Conn over one connection after the other.
//
// Its law: every message arrives once and in order, or the session ends with an
// error. Messages are counted on both sides. What was written is kept until the
// peer acknowledges it, or made once more where it can be, and what the peer says it
// has not got when the session goes on over another connection is sent once more. Sessions notice nothing of it but that
// some calls take longer.
package resume

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ackAfter is how much comes before it is acknowledged, in bytes of memory that the
// peer keeps for it: every message with much content, every 4096th that is short.
const ackAfter = 1 << 20

const (
	// mostLost is how many bytes of memory messages take, as in Options.Window, that
	// a side without a window writes ahead while there is no connection.
	mostLost = 16 << 20
	// short is a message that is no content.
	short = 4 << 10
	// recipe is what it takes at least to know how a message is made once more.
	recipe = 4 << 10
	// mostUnsure is what a peer may leave unacknowledged that never has to wait:
	// more than is ever under way.
	mostUnsure = 128 << 20
)

// Redial makes another connection after one was lost, for a cause. It returns it when
// the Hellos are through on it, which have told the peer how many messages were
// received here, and how many the peer received. Its error ends the session. It
// returns when ctx ends.
type Redial func(ctx context.Context, received uint64, cause error) (conn wire.Conn, peer uint64, err error)

// Options say how a session goes on when its connection is lost.
type Options struct {
	// Redial is nil at the side that is dialled, where Detach and Attach are called.
	Redial Redial
	// Window is how many bytes of memory messages take that are kept before Write
	// waits for them to be acknowledged, some times ackAfter; with 0 it does so while
	// there is no connection at most. A side may have a window if it goes on
	// reading while it waits for Write, since acknowledgements come among the
	// messages; one that does not must have none.
	Window int
	// Patience is how long the session waits for another connection; 0 for ever.
	Patience time.Duration
	// Log is told when a connection is lost and another one found.
	Log *slog.Logger
}

// Conn carries one session.
type Conn struct {
	o      Options
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	wake   chan struct{} // something for keep to do
	kept   chan struct{} // closed when keep has returned

	writing sync.Mutex // held while a message gets its number and is sent
	reading sync.Mutex // held while a message is read and counted

	breaks atomic.Int64

	mu           sync.Mutex // guards the rest
	changed      sync.Cond
	carrier      wire.Conn     // nil while there is none
	before       wire.Conn     // the one that was lost, until it is closed
	lost         time.Time     // when
	cause        error         // why
	hurry        func()        // ends a Redial
	turn         uint64        // the latest Handover, which alone is valid
	patience     time.Duration // for another connection
	patientSince time.Time     // when it was set, if it was
	err          error         // why the session has ended
	unsure       []unsure
	first        uint64 // how many messages were sent before those
	size         int    // of unsure, in bytes of memory
	ahead        int    // likewise, if all of them were kept
	received     uint64
	untold       int   // of received, what the peer has not been told of, as in size
	sent         int64 // by connections that are over
	got          int64
}

// unsure is a message that the peer has not acknowledged: kept, or how it is made once
// more.
type unsure struct {
	b      *wire.Buffer // nil where it is not kept
	remake func() (*wire.Buffer, error)
	length int // of the message
	size   int // in bytes of memory
}

var (
	_ wire.Conn    = (*Conn)(nil)
	_ wire.Patient = (*Conn)(nil)
)

// New returns a Conn whose session begins on conn, after the Hellos.
func New(conn wire.Conn, o Options) *Conn {
	c := &Conn{o: o, patience: o.Patience, carrier: conn, wake: make(chan struct{}, 1), kept: make(chan struct{})}
	c.changed.L = &c.mu
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.keep()
	return c
}

// Write sends b, now or when there is a connection again.
func (c *Conn) Write(b *wire.Buffer) error {
	u := unsure{remake: b.Remake, length: len(b.Bytes()), size: max(recipe, b.Recipe)}
	if u.remake == nil {
		b = b.Fitted()
		u.b, u.size = b, wire.Footprint(u.length)
	}
	c.awaitRoom(&u)
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		b.Free()
		return c.err
	}
	c.unsure = append(c.unsure, u)
	c.size += u.size
	c.ahead += wire.Footprint(u.length)
	conn := c.carrier
	switch {
	case conn != nil && u.b != nil:
		b.Hold()
	case conn == nil && u.b == nil:
		b.Free()
	}
	c.mu.Unlock()
	if conn == nil {
		return nil
	}
	return c.failed(conn, conn.Write(b))
}

// awaitRoom waits until the window has room for a message, or the session has ended.
// Several writers may find the same room: then it is a few messages more.
func (c *Conn) awaitRoom(u *unsure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.full(u) {
		c.changed.Wait()
	}
	if c.size > mostUnsure {
		c.endLocked(wire.Errorf("the peer acknowledges nothing"))
	}
}

// full reports whether there is no room for a message now. mu must be held.
func (c *Conn) full(u *unsure) bool {
	if c.o.Window == 0 {
		return c.carrier == nil && c.size > mostLost
	}
	// What is short never waits: there is little of it, and the last message comes when
	// nobody reads acknowledgements any more.
	if u.length <= short {
		return false
	}
	most := c.o.Window
	// What need not be kept is not made in advance either.
	return c.size > 0 && c.size+u.size > most || c.carrier == nil && c.ahead > most
}

// Read returns the next message.
func (c *Conn) Read() (*wire.Buffer, error) {
	for {
		conn, err := c.current()
		if err != nil {
			return nil, err
		}
		b, err := c.readFrom(conn)
		if b != nil {
			return b, nil
		}
		if err := c.failed(conn, err); err != nil {
			return nil, err
		}
	}
}

// current returns the connection, and waits for one.
func (c *Conn) current() (wire.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.carrier == nil {
		c.changed.Wait()
	}
	return c.carrier, c.err
}

// readFrom returns the next message from conn and counts it, or neither it nor an
// error where that was for this package.
func (c *Conn) readFrom(conn wire.Conn) (*wire.Buffer, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	b, err := conn.Read()
	if err != nil {
		return nil, err
	}
	if t, err := wire.TypeOf(b.Bytes()); err == nil && t == wire.TypeAck {
		defer b.Free()
		return nil, c.acknowledged(b.Bytes())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received++
	if c.untold += wire.Footprint(len(b.Bytes())); c.untold >= ackAfter {
		c.poke()
	}
	return b, nil
}

// acknowledged takes an Ack in.
func (c *Conn) acknowledged(message []byte) error {
	t, body, err := wire.Split(message)
	if err != nil {
		return err
	}
	m, err := wire.Decode(t, body)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forget(m.(*wire.Ack).Received)
}

// forget frees what the peer has received. mu must be held.
func (c *Conn) forget(received uint64) error {
	n := received - c.first
	if received < c.first || n > uint64(len(c.unsure)) {
		return wire.Errorf("%d messages are acknowledged, of %d", received, c.first+uint64(len(c.unsure)))
	}
	for i := range c.unsure[:n] {
		u := &c.unsure[i]
		c.size -= u.size
		c.ahead -= wire.Footprint(u.length)
		u.b.Free()
		*u = unsure{}
	}
	c.unsure, c.first = c.unsure[n:], received
	c.changed.Broadcast()
	return nil
}

// failed takes in that a call of conn ended with err, nil included, and returns why
// the session has ended, if it has.
func (c *Conn) failed(conn wire.Conn, err error) error {
	if err == nil {
		return nil
	}
	lost, ended := c.take(conn, err)
	if lost {
		next := "waiting for the other side to connect again"
		if c.o.Redial != nil {
			next = "connecting again"
		}
		c.o.Log.Warn("connection lost; "+next, "cause", err)
	}
	return ended
}

// take does what failed says but for the log, and reports whether the connection is
// lost by this.
func (c *Conn) take(conn wire.Conn, err error) (lost bool, ended error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil || conn != c.carrier: // it is known
	case wire.Breaks(err):
		c.lose(err)
		lost = true
	default:
		c.endLocked(err)
	}
	return lost, c.err
}

// lose takes in that the connection is lost. mu must be held.
func (c *Conn) lose(cause error) {
	c.before, c.carrier = c.carrier, nil
	c.breaks.Add(1)
	c.lost, c.cause = time.Now(), cause
	c.changed.Broadcast()
	c.poke()
}

func (c *Conn) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// End ends the session with an error that all calls return from now on.
func (c *Conn) End(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(err)
}

func (c *Conn) endLocked(err error) {
	if c.err == nil {
		c.err = err
	}
	c.changed.Broadcast()
	c.cancel()
}

// Close ends the session and tells the peer, if there is a connection.
func (c *Conn) Close(code wire.CloseCode, reason string) error {
	c.mu.Lock()
	c.endLocked(wire.ErrClosed)
	carrier, before := c.carrier, c.before
	c.mu.Unlock()
	if before != nil {
		wire.Abort(before)
	}
	var err error
	if carrier != nil {
		err = carrier.Close(code, reason)
	}
	<-c.kept
	c.writing.Lock() // nothing is made once more from now on
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier != nil {
		c.over(c.carrier)
		c.carrier = nil
	}
	_ = c.forget(c.first + uint64(len(c.unsure))) // all of them: no mistake
	return err
}

// Finish closes when the peer has got all that was written.
func (c *Conn) Finish(within time.Duration) error {
	c.SetPatience(within)
	late := time.AfterFunc(within, func() { c.End(wire.ErrUnheard) })
	defer late.Stop()
	for {
		conn, err := c.current()
		if err == nil {
			c.writing.Lock() // what is sent once more has been sent
			err = conn.Close(wire.CloseNormal, "")
			c.writing.Unlock()
			if err != nil && c.failed(conn, err) == nil {
				continue
			}
		}
		_ = c.Close(wire.CloseNormal, "") // it is closed, or lost
		return err
	}
}

// Counters returns the bytes of messages over all connections, sent twice or not.
func (c *Conn) Counters() (sent, received int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, received = c.sent, c.got
	for _, conn := range []wire.Conn{c.before, c.carrier} {
		if conn != nil {
			s, r := conn.Counters()
			sent, received = sent+s, received+r
		}
	}
	return sent, received
}

// SetPatience changes how long the session waits for another connection, from now on or
// from when one is lost.
func (c *Conn) SetPatience(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience, c.patientSince = d, time.Now()
	if c.hurry != nil {
		c.hurry()
	}
	c.poke()
}

// Over returns why the session has ended, nil while it goes on.
func (c *Conn) Over() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Breaks returns how many connections were lost so far.
func (c *Conn) Breaks() int64 { return c.breaks.Load() }

// over counts what went over a connection that is over; nil is none. mu must be held.
func (c *Conn) over(conn wire.Conn) {
	if conn != nil {
		sent, got := conn.Counters()
		c.sent, c.got = c.sent+sent, c.got+got
	}
}

// Lost returns for how long there has been no connection, 0 while there is one.
func (c *Conn) Lost() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.carrier != nil || c.err != nil {
		return 0
	}
	return time.Since(c.lost)
}

// errDisplaced is why a connection is lost that the peer has given up.
var errDisplaced = errors.New("another connection took its place")

// notRegained says why a session could not go on.
func (c *Conn) notRegained(within time.Duration) error {
	return fault.New(fault.Lost, "connection lost (%v), and not regained within %v: run again; what was staged is not sent again", c.cause, within)
}
