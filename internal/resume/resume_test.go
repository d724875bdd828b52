package resume_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/resume"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// net is a network between a dialer and a listener whose connections break after
// some messages, of which the last few are lost.
type net struct {
	t       *testing.T
	rand    *rand.Rand
	mu      sync.Mutex // guards rand, newest and broken
	between int        // messages, about, until a connection breaks; 0 for never
	after   int        // messages until the next connection breaks, or 0
	newest  *fragile
	far     *resume.Conn
	calls   sync.WaitGroup // of Attach
	broken  int            // how often
}

// errCut is how a connection breaks.
var errCut = errors.New("cut")

// fragile is an end of a connection that breaks.
type fragile struct {
	wire.Conn
	left *int // messages that both ends still send
	mu   *sync.Mutex
	both []wire.Conn
}

func (f *fragile) Write(b *wire.Buffer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *f.left--; *f.left < 0 {
		b.Free()
		f.cut()
		return errCut
	}
	// As a socket does it: what is handed on is another buffer, and this one is
	// spoilt and given back.
	c := wire.NewBuffer(len(b.Bytes()))
	c.Append(b.Bytes()...)
	if t, err := wire.TypeOf(b.Bytes()); err != nil || t == 0 {
		return fmt.Errorf("a message of type %d, %w", t, err)
	}
	b.Free()
	return broken(f.Conn.Write(c))
}

func (f *fragile) Read() (*wire.Buffer, error) {
	b, err := f.Conn.Read()
	return b, broken(err)
}

// broken returns what a call on a connection says that is cut.
func broken(err error) error {
	if c := (*wire.CloseError)(nil); errors.As(err, &c) && c.Reason == errCut.Error() || errors.Is(err, wire.ErrClosed) {
		return errCut
	}
	return err
}

// cut breaks both ends; what is under way is lost.
func (f *fragile) cut() {
	for _, c := range f.both {
		_ = c.Close(wire.CloseAway, errCut.Error())
	}
}

// connect returns the ends of another connection.
func (n *net) connect() (near, far wire.Conn) {
	a, b := transport.Pipe(1 << 10)
	n.mu.Lock()
	defer n.mu.Unlock()
	left := 1 << 30
	if n.between > 0 {
		left = n.rand.IntN(2 * n.between)
	}
	if n.after > 0 {
		left = n.after
	}
	mu := new(sync.Mutex)
	n.newest = &fragile{a, &left, mu, []wire.Conn{a, b}}
	return n.newest, &fragile{b, &left, mu, []wire.Conn{a, b}}
}

// cut breaks the connection, and waits until the session goes on over another one.
func (n *net) cut() {
	n.mu.Lock()
	newest := n.newest
	n.mu.Unlock()
	newest.cut()
	synctest.Wait()
}

// redial takes the part of the dialer and of the listener's host.
func (n *net) redial(ctx context.Context, received uint64, cause error) (wire.Conn, uint64, error) {
	n.mu.Lock()
	n.broken++
	n.mu.Unlock()
	near, far := n.connect()
	h, err := n.far.Detach()
	if err != nil {
		return nil, 0, wire.ErrGone
	}
	n.calls.Go(func() { h.Attach(far, received) })
	return near, h.Received, nil
}

// session begins one between two ends.
func (n *net) session(o resume.Options) (near, far *resume.Conn) {
	a, b := n.connect()
	o.Log = slog.New(slog.DiscardHandler)
	n.far = resume.New(b, o)
	o.Redial = n.redial
	near = resume.New(a, o)
	n.t.Cleanup(func() {
		wire.CloseWith(near, nil)
		wire.CloseWith(n.far, nil)
		n.calls.Wait()
	})
	return near, n.far
}

// message returns the i-th message, of some length.
func message(i, length int) *wire.Buffer {
	b := wire.NewBuffer(10 + length)
	b.Append(byte(wire.TypePack), 0)
	binary.LittleEndian.PutUint64(b.Extend(8), uint64(i))
	p := b.Extend(length)
	for j := range p {
		p[j] = byte(i + j)
	}
	return b
}

// remade returns the i-th message, which can be made once more; made counts how often it
// is, and refuse says that it cannot.
func remade(i, length int, made *atomic.Int64, refuse error) *wire.Buffer {
	b := message(i, length)
	b.Remake = func() (*wire.Buffer, error) {
		made.Add(1)
		if refuse != nil {
			return nil, refuse
		}
		return message(i, length), nil
	}
	return b
}

// check holds a message to what the i-th one is.
func check(t *testing.T, b *wire.Buffer, i int) {
	t.Helper()
	defer b.Free()
	m := b.Bytes()
	if got := binary.LittleEndian.Uint64(m[2:10]); got != uint64(i) {
		t.Errorf("message %d comes in place of %d", got, i)
	}
	for j, x := range m[10:] {
		if x != byte(i+j) {
			t.Fatalf("message %d differs at %d", i, j)
		}
	}
}

// TestBreaking has both sides send while connections break all the time: every
// message arrives once, in order.
func TestBreaking(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, between := range []int{3, 7, 100} {
		t.Run(fmt.Sprint(between), func(t *testing.T) {
			n := &net{t: t, rand: rand.New(rand.NewPCG(seed, 0)), between: between}
			near, far := n.session(resume.Options{Window: 4 << 20})
			const messages = 2000
			var made atomic.Int64
			var wg, ends sync.WaitGroup
			defer ends.Wait()
			defer wire.CloseWith(near, nil)
			defer wire.CloseWith(far, nil)
			for k, c := range []wire.Conn{near, far} {
				r := rand.New(rand.NewPCG(seed, uint64(k+1)))
				wg.Go(func() {
					for i := range messages {
						length, again := r.IntN(1<<r.IntN(18)), r.IntN(2) == 0
						b := message(i, length)
						if again {
							b.Free()
							b = remade(i, length, &made, nil)
						}
						if err := c.Write(b); err != nil {
							t.Error(err)
							return
						}
					}
				})
				wg.Go(func() {
					for i := range messages {
						b, err := c.Read()
						if err != nil {
							t.Error(err)
							return
						}
						check(t, b, i)
					}
					ends.Go(func() { // a session reads to its end, and acknowledgements with it
						if b, err := c.Read(); err == nil {
							t.Errorf("%d bytes more", len(b.Bytes()))
						}
					})
				})
			}
			wg.Wait()
			if n.broken == 0 {
				t.Error("nothing broke")
			}
			t.Logf("broken %d times", n.broken)
		})
	}
}

// TestWindow lets a writer go no further ahead than the window, over a break too,
// and lets it go on when what it has written is taken.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &net{t: t}
		near, far := n.session(resume.Options{Window: 4 << 20})
		written := 0
		go func() {
			for written < 20 && near.Write(message(written, 1<<20)) == nil {
				written++
			}
		}()
		synctest.Wait()
		if written != 3 { // they have room for what describes them too
			t.Errorf("%d messages of a megabyte were written", written)
		}
		go func() { _, _ = near.Read() }() // acknowledgements, to the end
		for i := range 20 {
			if i == 7 {
				n.cut()
			}
			b, err := far.Read()
			if err != nil {
				t.Fatal(err)
			}
			check(t, b, i)
			synctest.Wait()
		}
		if written != 20 {
			t.Errorf("%d were written in the end", written)
		}
	})
}

// TestRemade does not keep what can be made once more: it does not count for the window,
// and is made when it is to be sent again.
func TestRemade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &net{t: t}
		near, far := n.session(resume.Options{Window: 4 << 20})
		var made atomic.Int64
		for i := range 20 {
			if err := near.Write(remade(i, 1<<20, &made, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if made.Load() != 0 {
			t.Errorf("%d of 20 are made once more", made.Load())
		}
		go func() { _, _ = near.Read() }() // acknowledgements, to the end
		for i := range 20 {
			if i == 7 {
				n.cut()
			}
			b, err := far.Read()
			if err != nil {
				t.Fatal(err)
			}
			check(t, b, i)
		}
		if made.Load() != 13 {
			t.Errorf("%d of 13 that were lost are made once more", made.Load())
		}
	})
}

// TestRemadeWhileLost makes nothing far ahead of a connection, also what need not be kept.
func TestRemadeWhileLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(1)
		c := resume.New(a, resume.Options{Window: 4 << 20, Log: slog.New(slog.DiscardHandler)})
		_ = b.Close(wire.CloseAway, "")
		var made atomic.Int64
		written := 0
		go func() {
			for written < 20 && c.Write(remade(written, 1<<20, &made, nil)) == nil {
				written++
			}
		}()
		synctest.Wait()
		if written < 3 || written > 5 {
			t.Errorf("%d messages are made while there is no connection", written)
		}
		wire.CloseWith(c, nil)
		synctest.Wait()
	})
}

// TestNotRemade ends a session in which something cannot be sent once more, so that
// another one begins.
func TestNotRemade(t *testing.T) {
	n := &net{t: t}
	near, far := n.session(resume.Options{Window: 4 << 20})
	var made atomic.Int64
	refuse := errors.New("it has changed")
	for i := range 3 {
		if err := near.Write(remade(i, 1<<20, &made, refuse)); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan error) // of who waits for messages as it happens
	go func() {
		_, err := near.Read()
		read <- err
	}()
	if _, err := far.Detach(); err != nil { // what was sent is lost
		t.Fatal(err)
	}
	err := <-read
	if !errors.Is(err, wire.ErrGone) || !errors.Is(err, refuse) {
		t.Errorf("the session ends with %v", err)
	}
	if made.Load() != 1 {
		t.Errorf("it was tried %d times", made.Load())
	}
	if _, err := far.Read(); !errors.Is(wire.Fault(err), wire.ErrGone) {
		t.Errorf("the peer hears %v", err)
	}
}

// TestPatience ends a session to which nobody comes back.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(1)
		c := resume.New(a, resume.Options{Patience: time.Minute, Log: slog.New(slog.DiscardHandler)})
		defer wire.CloseWith(c, nil)
		_ = b.Close(wire.CloseAway, "")
		start := time.Now()
		_, err := c.Read()
		if took := time.Since(start); err == nil || took != time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		if err := c.Write(message(0, 1)); err == nil {
			t.Error("a write after the end")
		}
		if c.Lost() != 0 {
			t.Error("what has ended still waits")
		}
	})
}

// TestLessPatience shortens the time while it runs.
func TestLessPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(1)
		c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
		defer wire.CloseWith(c, nil)
		_ = b.Close(wire.CloseAway, "")
		start := time.Now()
		time.AfterFunc(time.Second, func() { c.SetPatience(10 * time.Second) })
		if _, err := c.Read(); err == nil || time.Since(start) != 11*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestRedialFails ends the session with what it fails with.
func TestRedialFails(t *testing.T) {
	a, b := transport.Pipe(1)
	why := errors.New("nobody there")
	c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler), Redial: func(context.Context, uint64, error) (wire.Conn, uint64, error) { return nil, 0, why }})
	defer wire.CloseWith(c, nil)
	_ = b.Close(wire.CloseAway, "")
	if _, err := c.Read(); !errors.Is(err, why) {
		t.Error(err)
	}
}

// TestCloseWhileLost does not wait for a connection.
func TestCloseWhileLost(t *testing.T) {
	a, b := transport.Pipe(1)
	c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler), Redial: func(ctx context.Context, _ uint64, _ error) (wire.Conn, uint64, error) {
		<-ctx.Done()
		return nil, 0, context.Cause(ctx)
	}})
	_ = b.Close(wire.CloseAway, "")
	ended := make(chan error)
	go func() {
		_, err := c.Read()
		ended <- err
	}()
	if err := c.Write(message(0, 1)); err != nil {
		t.Error(err)
	}
	wire.CloseWith(c, nil)
	if err := <-ended; !errors.Is(err, wire.ErrClosed) {
		t.Error(err)
	}
}

// TestPeerEnds passes on what ends the session.
func TestPeerEnds(t *testing.T) {
	a, b := transport.Pipe(1)
	c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
	defer wire.CloseWith(c, nil)
	_ = b.Close(4011, "disk full")
	_, err := c.Read()
	if e := (*wire.CloseError)(nil); !errors.As(err, &e) || e.Code != 4011 {
		t.Error(err)
	}
	if again := c.Write(message(0, 1)); !errors.Is(again, err) {
		t.Errorf("%v, then %v", err, again)
	}
}

// TestHostileAck acknowledges what was never sent, or too little.
func TestHostileAck(t *testing.T) {
	for _, received := range []uint64{2, 1 << 63} {
		a, b := transport.Pipe(9)
		c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
		if err := c.Write(message(0, 1)); err != nil {
			t.Fatal(err)
		}
		if err := b.Write(wire.Encode(&wire.Ack{Received: received})); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(); !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%d: %v", received, err)
		}
		wire.CloseWith(c, nil)
		wire.CloseWith(b, nil)
	}
}

// TestHostileResume says it has received what was never sent, or less than what it
// has acknowledged.
func TestHostileResume(t *testing.T) {
	for _, received := range []uint64{0, 2} {
		a, b := transport.Pipe(9)
		c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
		if err := c.Write(message(0, 1)); err != nil {
			t.Fatal(err)
		}
		for _, m := range []*wire.Buffer{wire.Encode(&wire.Ack{Received: 1}), message(0, 1)} {
			if err := b.Write(m); err != nil {
				t.Fatal(err)
			}
		}
		if m, err := c.Read(); err != nil {
			t.Fatal(err)
		} else {
			m.Free()
		}
		h, err := c.Detach()
		if h.Received != 1 || err != nil {
			t.Fatal(h.Received, err)
		}
		other, far := transport.Pipe(9)
		h.Attach(other, received)
		if _, err := c.Read(); !errors.Is(err, wire.ErrProtocol) {
			t.Errorf("%d: %v", received, err)
		}
		if _, err := far.Read(); err == nil || errors.Is(err, io.EOF) {
			t.Error("the other connection stays open")
		}
		wire.CloseWith(c, nil)
	}
}

// TestLateHandover attaches a connection after another one has taken the session.
func TestLateHandover(t *testing.T) {
	a, _ := transport.Pipe(9)
	c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
	defer wire.CloseWith(c, nil)
	late, err := c.Detach()
	if err != nil {
		t.Fatal(err)
	}
	now, err := c.Detach()
	if err != nil {
		t.Fatal(err)
	}
	b, far := transport.Pipe(9)
	var attached sync.WaitGroup
	attached.Go(func() { now.Attach(b, 0) })
	defer attached.Wait()
	defer wire.CloseWith(c, nil)
	x, y := transport.Pipe(9)
	late.Attach(x, 0)
	if _, err := y.Read(); !wire.Breaks(err) {
		t.Errorf("the late one ends with %v", err)
	}
	if err := far.Write(message(3, 3)); err != nil {
		t.Fatal(err)
	}
	m, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	check(t, m, 3)
}

// TestWriteWhileLost writes ahead while there is no connection, but not for ever, and
// goes on when there is one, before anything is acknowledged.
func TestWriteWhileLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(1)
		c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
		_ = b.Close(wire.CloseAway, "")
		if err := c.Write(message(0, 1<<20)); err != nil { // it finds out
			t.Fatal(err)
		}
		written := 1
		go func() {
			for written < 30 && c.Write(message(written, 1<<20)) == nil {
				written++
			}
		}()
		synctest.Wait()
		if written != 16 {
			t.Errorf("%d messages of a megabyte are written while there is no connection", written)
		}
		h, err := c.Detach()
		if err != nil {
			t.Fatal(err)
		}
		x, y := transport.Pipe(40)
		go h.Attach(x, 0)
		synctest.Wait()
		if written != 30 {
			t.Errorf("%d are written then", written)
		}
		for i := range written {
			m, err := y.Read()
			if err != nil {
				t.Fatal(err)
			}
			check(t, m, i)
		}
		wire.CloseWith(c, nil)
		synctest.Wait()
	})
}

// TestPeerThatNeverAcknowledges is ended before it fills the memory.
func TestPeerThatNeverAcknowledges(t *testing.T) {
	a, b := transport.Pipe(1)
	defer wire.CloseWith(b, nil)
	c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
	defer wire.CloseWith(c, nil)
	go func() {
		for {
			m, err := b.Read()
			if err != nil {
				return
			}
			m.Free()
		}
	}()
	for i := range 200 {
		if err := c.Write(message(i, 1<<20)); err != nil {
			if !errors.Is(err, wire.ErrProtocol) || i < 120 {
				t.Errorf("after %d megabytes: %v", i, err)
			}
			return
		}
	}
	t.Error("it may")
}

// Close of a connection that broke is not answered.
func (f *fragile) Close(code wire.CloseCode, reason string) error {
	f.mu.Lock()
	broken := *f.left < 0
	f.mu.Unlock()
	_ = f.Conn.Close(code, reason)
	if broken {
		return wire.ErrUnheard
	}
	return nil
}

// TestFinish delivers the last message over another connection, and says so where it
// cannot.
func TestFinish(t *testing.T) {
	n := &net{t: t}
	n.after = 1
	near, far := n.session(resume.Options{Window: 4 << 20})
	n.after = 0
	for i := range 2 { // the second one is lost
		if err := near.Write(message(i, 5)); err != nil {
			t.Fatal(err)
		}
	}
	finished := make(chan error)
	go func() { finished <- near.Finish(10 * time.Second) }()
	for i := range 2 {
		b, err := far.Read()
		if err != nil {
			t.Fatal(err)
		}
		check(t, b, i)
	}
	if _, err := far.Read(); wire.Breaks(err) {
		t.Errorf("then %v", err)
	}
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

func TestFinishInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(1)
		c := resume.New(a, resume.Options{Log: slog.New(slog.DiscardHandler)})
		_ = b.Close(wire.CloseAway, "")
		if err := c.Write(message(0, 1)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := c.Finish(10 * time.Second); err == nil || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}
