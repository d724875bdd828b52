package transport

import (
	"sync"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// Pipe returns the two ends of a connection in memory. Up to depth messages
// wait in each direction; with 0 a Write waits for its Read.
func Pipe(depth int) (a, b wire.Conn) {
	ab := make(chan *wire.Buffer, depth)
	ba := make(chan *wire.Buffer, depth)
	x := &pipeEnd{in: ba, out: ab, closed: make(chan struct{})}
	y := &pipeEnd{in: ab, out: ba, closed: make(chan struct{})}
	x.peer, y.peer = y, x
	return x, y
}

type pipeEnd struct {
	in, out chan *wire.Buffer // never closed: closed and peer.closed end them
	peer    *pipeEnd

	once   sync.Once
	closed chan struct{}    // closed by Close
	said   *wire.CloseError // what the peer gets; set before closed is
	err    error            // what calls here get; set before closed is
	told   atomic.Bool      // a call returned that the peer has closed

	sent, received atomic.Int64
}

// Read prefers a message to the end: what was sent before Close arrives.
func (p *pipeEnd) Read() (*wire.Buffer, error) {
	if p.isClosed() {
		return nil, p.err
	}
	select {
	case b := <-p.in:
		return p.took(b), nil
	case <-p.closed:
		return nil, p.err
	case <-p.peer.closed:
	}
	select {
	case b := <-p.in:
		return p.took(b), nil
	default:
		return nil, p.ended()
	}
}

func (p *pipeEnd) took(b *wire.Buffer) *wire.Buffer {
	p.received.Add(int64(len(b.Bytes())))
	return b
}

func (p *pipeEnd) Write(b *wire.Buffer) error {
	if err := p.ended(); err != nil {
		b.Free()
		return err
	}
	n := int64(len(b.Bytes()))
	select {
	case p.out <- b: // the peer's from here on
		p.sent.Add(n)
		return nil
	case <-p.closed:
	case <-p.peer.closed:
	}
	b.Free()
	return p.ended()
}

// ended returns what a call fails with, nil while it may go on.
func (p *pipeEnd) ended() error {
	if p.isClosed() {
		return p.err
	}
	if p.peer.isClosed() {
		p.told.Store(true)
		return p.peer.said
	}
	return nil
}

func (p *pipeEnd) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

func (p *pipeEnd) Close(code wire.CloseCode, reason string) (err error) {
	p.once.Do(func() {
		p.said = &wire.CloseError{Code: code, Reason: reason}
		p.err = wire.ErrClosed
		if p.told.Load() { // a connection that failed stays failed
			p.err = p.peer.said
		}
		close(p.closed)
		if p.peer.isClosed() {
			err = beyond(code, p.peer.said)
		}
	})
	return err
}

func (p *pipeEnd) Counters() (sent, received int64) {
	return p.sent.Load(), p.received.Load()
}
