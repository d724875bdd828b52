package wire

import (
	"errors"
	"fmt"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// Conn carries whole messages, in order, both ways at once. Package transport
// satisfies it, and resume over one of those after the other; sessions know nothing
// else of a network.
//
// A Conn that failed once stays failed: every later call returns the same
// error.
type Conn interface {
	// Read returns the next message, which the caller owns and frees. One
	// goroutine reads. After the peer has closed in an orderly way the
	// error is a *CloseError.
	Read() (*Buffer, error)
	// Write sends b as one message and frees it, also when it fails; b may
	// be changed on the way. It is safe for concurrent use, each message
	// going out whole, and waits while the peer does not read. That it was
	// sent, or will be, is all that nil says.
	Write(b *Buffer) error
	// Close tells the peer the code and the reason, frees everything and
	// ends calls that wait, at once where the peer does not answer. It may
	// be called more than once, from any goroutine; the first call counts. It
	// returns ErrUnheard if the peer may not have got all that was written, and a
	// *CloseError if what the peer says meanwhile is that the session has failed.
	Close(code CloseCode, reason string) error
	// Counters returns the bytes of messages and their framing so far.
	Counters() (sent, received int64)
}

// CloseCode says why a connection ended: a status code of RFC 6455, or one of
// its private range that carries a fault.
type CloseCode uint16

// The codes that are used.
const (
	CloseNormal   CloseCode = 1000 // the session reached its verdict
	CloseAway     CloseCode = 1001 // this process is stopping
	CloseProtocol CloseCode = 1002 // not a WebSocket peer as it should be
	CloseTooBig   CloseCode = 1009 // a message over MaxMessage
	CloseInternal CloseCode = 1011 // this side cannot go on

	closeFault CloseCode = 4000 // + fault code: the session failed
	closeBusy  CloseCode = 4100 // another session is going on: try again
	closeGone  CloseCode = 4101 // the session to go on with is over: begin another
)

// CloseError is what Read and Write return after an orderly close.
type CloseError struct {
	Code   CloseCode
	Reason string // the peer's words: escape them before showing them
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("connection closed by the peer (%d)", e.Code)
}

// Failed reports whether the peer says that the session has failed.
func (e *CloseError) Failed() bool { return e.Code > closeFault && e.Code < closeBusy }

// Admitter is a Conn that keeps messages small, SmallMessage at most, until
// Admit is called: a stranger does not get a megabyte of memory. The handshake
// calls it when the peer's Hello was accepted.
type Admitter interface {
	Admit()
}

// Timed is a Conn that knows how long a round trip takes.
type Timed interface {
	// RoundTrip returns it, or 0.
	RoundTrip() time.Duration
}

// Aborter is a Conn that can end at once, where nobody listens any more.
type Aborter interface {
	Abort()
}

// Abort ends a connection, without a farewell if it can.
func Abort(c Conn) {
	if a, ok := c.(Aborter); ok {
		a.Abort()
	}
	_ = c.Close(CloseAway, "") // nothing to lose
}

// Patient is a Conn that waits for another connection when one is lost.
type Patient interface {
	// SetPatience says for how long.
	SetPatience(time.Duration)
	// Lost returns for how long there has been no connection, 0 while there is
	// one.
	Lost() time.Duration
	// Finish closes when the peer has got all that was written, over another
	// connection if need be, for which it waits so long at most. It returns an
	// error if the peer may not have got it, or says that the session has failed.
	// Nobody reads or writes any more.
	Finish(within time.Duration) error
	// Breaks returns how many connections were lost so far.
	Breaks() int64
}

// ErrFraming is what the error of Read wraps when the peer broke the rules of
// the transport itself, or sent a message over the limit.
var ErrFraming = fault.Errorf("the peer broke the rules of WebSocket")

// ErrClosed is what Read and Write return after this side closed.
var ErrClosed = fault.Errorf("connection closed")

// ErrUnheard is what Close returns if the peer may not have got all that was written.
var ErrUnheard = fault.Errorf("the other side did not answer the farewell")

// ErrBusy says that the peer has another session and asks to wait for it.
var ErrBusy = fault.Errorf("the other side is busy with another session")

// ErrGone says that the peer does not know the session that was to go on, or not
// any more.
var ErrGone = fault.New(fault.Lost, "the session is over at the other side, so its state is unknown: run again")

// CloseWith ends the session on c with err, of which the peer is told what fault.ForPeer
// makes of it.
func CloseWith(c Conn, err error) {
	code, reason := CloseNormal, ""
	switch {
	case errors.Is(err, ErrBusy):
		code, reason = closeBusy, ErrBusy.Error()
	case errors.Is(err, ErrGone):
		code, reason = closeGone, ErrGone.Error()
	case err != nil:
		f := fault.Of(err, fault.Lost)
		code, reason = closeFault+CloseCode(f), fault.ForPeer(err, f.String())
	}
	// What went wrong while closing would only hide err.
	_ = c.Close(code, clipTo(reason, maxReason))
}

// maxReason is how much of a reason a close frame holds: 125 bytes less the
// code.
const maxReason = 123

// lost says that a connection failed, unless err says more than that.
func lost(err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return err
	}
	return fault.New(fault.Lost, "connection lost (%w): run again", err)
}

// Fault returns what an error of a Conn means for the run: what the peer said
// when it ended the session, otherwise that the connection was lost.
func Fault(err error) error {
	if err == nil || errors.Is(err, ErrProtocol) || errors.Is(err, ErrFraming) {
		return fault.With(fault.Protocol, err)
	}
	c := (*CloseError)(nil)
	if f := (*fault.Error)(nil); errors.As(err, &f) || !errors.As(err, &c) {
		return lost(err)
	}
	switch {
	case c.Code == closeBusy:
		return ErrBusy
	case c.Code == closeGone:
		return ErrGone
	case c.Failed() && fault.Code(c.Code-closeFault).Known():
		return fault.Peer(fault.Code(c.Code-closeFault), c.Reason)
	case c.Code == CloseProtocol || c.Code == CloseTooBig:
		return &fault.Error{Code: fault.Protocol, Err: err, Peer: true}
	}
	return fault.Peer(fault.Lost, "the other side closed the connection early")
}

// Breaks reports whether an error of a Conn is one of this connection alone, so
// that the session can go on over another: not what a peer says of the session, and
// not what it does against the rules.
func Breaks(err error) bool {
	if err == nil || errors.Is(err, ErrClosed) || errors.Is(err, ErrProtocol) || errors.Is(err, ErrFraming) {
		return false
	}
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		return false
	}
	c := (*CloseError)(nil)
	if !errors.As(err, &c) {
		return true
	}
	// A proxy that stops, or finds nobody behind it any more, says so itself.
	return c.Code < closeFault && c.Code != CloseNormal && c.Code != CloseProtocol && c.Code != CloseTooBig
}
