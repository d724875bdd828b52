package wire

import "errors"

// Conn carries whole messages, in order, both ways at once. Package transport
// satisfies it; sessions know nothing else of a network.
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
	// going out whole, and waits while the peer does not read.
	Write(b *Buffer) error
	// Close tells the peer the code and the reason, frees everything and
	// ends calls that wait, at once where the peer does not answer. It may
	// be called more than once, from any goroutine; the first call counts.
	Close(code CloseCode, reason string) error
	// Counters returns the bytes of messages and their framing so far.
	Counters() (sent, received int64)
}

// CloseCode says why a connection ended: the status codes of RFC 6455.
type CloseCode uint16

// The codes that are used.
const (
	CloseNormal   CloseCode = 1000 // the session reached its verdict
	CloseAway     CloseCode = 1001 // this process is stopping
	CloseProtocol CloseCode = 1002 // the peer broke the protocol
	CloseTooBig   CloseCode = 1009 // a message over MaxMessage
	CloseInternal CloseCode = 1011 // this side cannot go on
)

// CloseError is what Read and Write return after an orderly close.
type CloseError struct {
	Code   CloseCode
	Reason string // the peer's words: escape them before showing them
}

func (e *CloseError) Error() string { return "connection closed by the peer" }

// Admitter is a Conn that keeps messages small, 64 KiB at most, until Admit is
// called: a stranger does not get a megabyte of memory. A session calls it
// when the peer's Hello was accepted and before larger messages may come.
type Admitter interface {
	Admit()
}

// ErrFraming is what the error of Read wraps when the peer broke the rules of
// the transport itself, or sent a message over the limit.
var ErrFraming = errors.New("the peer broke the rules of WebSocket")

// ErrClosed is what Read and Write return after this side closed.
var ErrClosed = errors.New("connection closed")
