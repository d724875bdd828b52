package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// readBuffer holds headers and small messages; what is larger goes
	// straight into the message's own buffer. 64 KiB: one system call then
	// fetches hundreds of small messages, and 256 connections still take
	// only 16 MiB.
	readBuffer = 64 << 10

	// earlyLimit bounds a message until Admit is called.
	earlyLimit = 64 << 10

	// closeNoStatus stands for a close frame that named no code.
	closeNoStatus wire.CloseCode = 1005
)

// Options are the intervals of a connection over a WebSocket. The zero value
// of each means its default.
type Options struct {
	// PingAfter is how long nothing is written before a ping goes out.
	PingAfter time.Duration // default 10 s
	// SilenceLimit is how long Read waits for a single byte before it
	// declares the peer dead. It should be some pings long.
	SilenceLimit time.Duration // default 30 s
}

func (o Options) withDefaults() Options {
	if o.PingAfter == 0 {
		o.PingAfter = 10 * time.Second
	}
	if o.SilenceLimit == 0 {
		o.SilenceLimit = 30 * time.Second
	}
	return o
}

// socket is a wire.Conn over a WebSocket.
//
// Locks are channels of capacity one, so that waiting for them ends when the
// connection does. Read never waits for the writing lock: two ends that each
// waited to write a pong before reading on could wait for ever.
type socket struct {
	conn   net.Conn
	client bool // masks what it sends, accepts what is not masked
	opts   Options
	limit  atomic.Int64 // of a message that is read

	reading chan struct{} // held by Read and, to the end, by Close
	in      *bufio.Reader // reads from source; guarded by reading
	source  *source
	scratch [headerScratch]byte // guarded by reading
	left    int64               // of the payload of the frame; guarded by reading
	said    bool                // a close frame went out first from here; guarded by reading

	writing chan struct{} // held while a frame is written
	broken  bool          // a frame was written in part; guarded by writing
	wrote   atomic.Int64  // when the last frame was written, nanoseconds since born
	born    time.Time

	roundTrip time.Duration // that the upgrade took, where this end asked for it

	sent, received atomic.Int64

	mu   sync.Mutex    // guards err
	err  error         // why the connection ended
	dead chan struct{} // closed when err is set

	pongs   chan []byte   // the latest ping that wants an answer
	kept    chan struct{} // closed when keep has returned
	closing sync.Once
}

var (
	_ wire.Admitter = (*socket)(nil)
	_ wire.Timed    = (*socket)(nil)
)

// newSocket starts a connection on conn, whose handshake is done. early is
// what was read from conn beyond the handshake.
func newSocket(conn net.Conn, early []byte, client bool, opts Options) *socket {
	opts = opts.withDefaults()
	s := &socket{
		conn:    conn,
		client:  client,
		opts:    opts,
		reading: make(chan struct{}, 1),
		source:  &source{conn: conn, early: early, silence: opts.SilenceLimit},
		writing: make(chan struct{}, 1),
		born:    time.Now(),
		dead:    make(chan struct{}),
		pongs:   make(chan []byte, 1),
		kept:    make(chan struct{}),
	}
	s.in = bufio.NewReaderSize(s.source, readBuffer)
	s.limit.Store(earlyLimit)
	go s.keep()
	return s
}

// RoundTrip returns how long the answer to the request for the upgrade took: a
// round trip, and the little that a server has to do for it. It is 0 at a server.
func (s *socket) RoundTrip() time.Duration { return s.roundTrip }

// Admit raises the limit of a message from 64 KiB to wire.MaxMessage, and makes
// a server's connection one that does not have to go for others: the peer has
// shown who it is.
func (s *socket) Admit() {
	s.limit.Store(wire.MaxMessage)
	if v := visiting(s.conn); v != nil {
		v.admitted()
	}
}

// Counters returns the bytes of data frames. Pings do not count, so that a
// change means progress.
func (s *socket) Counters() (sent, received int64) {
	return s.sent.Load(), s.received.Load()
}

// Write seals b in place and sends it with one call. What it may have been masked
// with for another connection is taken off with the same stroke.
func (s *socket) Write(b *wire.Buffer) error {
	defer b.Free()
	length := len(b.Bytes())
	if length > wire.MaxMessage {
		panic("transport: message over wire.MaxMessage")
	}
	n := headerSize(length, s.client)
	frame := b.Framed(n)
	b.Mask = seal(frame, n, opBinary, s.client, b.Mask)
	sent, err := s.send(frame)
	s.sent.Add(int64(sent))
	return err
}

// send writes one whole frame, and waits as long as the peer does not read.
func (s *socket) send(frame []byte) (int, error) {
	if !s.lock(s.writing) {
		return 0, s.failure()
	}
	defer s.unlock(s.writing)
	n, err := s.conn.Write(frame)
	s.wrote.Store(int64(time.Since(s.born)))
	if err == nil {
		return n, nil
	}
	s.broken = true
	return n, s.explain(fmt.Errorf("write: %w", err))
}

// explain turns a write's failure into the connection's error. A peer that
// refused us sent its reason before it went: where Read is under way it is
// about to find it, or to fail by itself.
func (s *socket) explain(err error) error {
	t := time.NewTimer(farewell)
	defer t.Stop()
	select {
	case <-s.dead:
	case <-t.C:
	}
	return s.abort(err)
}

// lock takes a lock, unless the connection has ended.
func (s *socket) lock(l chan struct{}) bool {
	select {
	case l <- struct{}{}:
	case <-s.dead:
		return false
	}
	select {
	case <-s.dead:
		<-l
		return false
	default:
		return true
	}
}

func (s *socket) unlock(l chan struct{}) { <-l }

// fail records why the connection ended, and reports whether it is the first
// to do so.
func (s *socket) fail(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return false
	}
	s.err = err
	close(s.dead)
	return true
}

func (s *socket) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// abort ends the connection without a word, which frees every waiting call,
// and returns the connection's error.
func (s *socket) abort(err error) error {
	if s.fail(err) {
		hardClose(s.conn)
	}
	return s.failure()
}

// breach is a peer's frame against the rules.
type breach struct {
	code   wire.CloseCode
	reason string
}

func (b *breach) Error() string { return b.reason }

// Read returns the next message and serves control frames on the way.
func (s *socket) Read() (*wire.Buffer, error) {
	if !s.lock(s.reading) {
		return nil, s.failure()
	}
	defer s.unlock(s.reading)
	b, err := s.readMessage()
	if err != nil {
		return nil, s.endRead(err)
	}
	return b, nil
}

// endRead ends the connection after a failed read, the way that fits the
// cause, and returns the connection's error.
func (s *socket) endRead(err error) error {
	var broke *breach
	var closed *wire.CloseError
	switch {
	case errors.As(err, &broke):
		if s.fail(fmt.Errorf("%w: %w", wire.ErrFraming, err)) {
			s.said = s.sayClose(broke.code, broke.reason, time.Now().Add(farewell))
		}
	case errors.As(err, &closed):
		if s.fail(closed) {
			s.sayClose(closed.Code, "", time.Now().Add(farewell))
			hardClose(s.conn)
		}
	case errors.Is(err, io.EOF):
		return s.abort(fmt.Errorf("read: %w", io.ErrUnexpectedEOF))
	default:
		return s.abort(fmt.Errorf("read: %w", err))
	}
	return s.failure()
}
