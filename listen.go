package syncdirectory

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/sync-directory/sync-directory/internal/access"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/resume"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ListenOptions say where to listen and whom to let in.
type ListenOptions struct {
	// Port is where to listen; 0 takes a free one.
	Port int
	// Addresses are where to listen. Without any only this machine can
	// connect, over IPv4 and IPv6, or with a Token everybody.
	Addresses []string
	// Insecure lets everybody who reaches Addresses connect without a Token.
	Insecure bool
	// AllowHosts are names by which requests may address the listener,
	// beside localhost, loopback addresses and the address it listens on.
	// With a Token any name will do.
	AllowHosts []string
	// BasePath is the one path at which there are connections, such as "/sync" where a
	// proxy has a path for each of its services: letters, digits and -._~ between
	// slashes. A slash at its end makes no difference. Default "/". GET /healthz is
	// answered beside it.
	BasePath string
	// KeepRunning serves one session after the other until the context
	// ends.
	KeepRunning bool
	// OnListening is called with the address once connections are taken.
	OnListening func(net.Addr)
	// OnSession is called with the outcome of every session; nil for none.
	OnSession func(Result, error)

	Security

	// Tests shorten these.
	conn     transport.Options
	settling time.Duration
}

// resumeWithin is how long a listener whose peer is lost waits for it to come back,
// if nobody else comes: a laptop may have been closed for a while.
const resumeWithin = 10 * time.Minute

// unsure is how much memory a sender takes for what may have to be sent once more, but
// for content that is not compressed: that is read once more. Of the rest a message with
// more than 256 KiB counts as a megabyte.
const unsure = 8 << 20

// resuming says how the session that begins with l goes on when its connection is
// lost.
func resuming(e endpoint, l link, redial resume.Redial) resume.Options {
	o := resume.Options{Redial: redial, Patience: e.options().Timeout, Log: e.options().Log}
	if redial == nil && (o.Patience <= 0 || o.Patience > resumeWithin) {
		o.Patience = resumeWithin
	}
	if l.mine.Role == wire.Role_SENDER {
		// A receiver has none: it must be able to write while it does not read, and
		// most of what it writes is bounded by what it may have unanswered.
		o.Window = unsure
	}
	return o
}

// helloWithin is how long a connection may take to say what it wants.
const helloWithin = 10 * time.Second

// listen serves connections until a session has its verdict.
func listen(ctx context.Context, e endpoint, o ListenOptions) (Result, error) {
	log := e.options().Log
	token, err := o.token()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	if len(o.Addresses) == 0 && o.Exposed() {
		o.Addresses = []string{""} // all there are
	}
	listeners, err := transport.Listen(ctx, o.Addresses, o.Port, log)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fault.New(fault.Lost, "port %d is in use: %w", o.Port, err)
		}
		return Result{Code: fault.Of(err, fault.Lost)}, fault.With(fault.Lost, err)
	}
	if err := e.opened(); err != nil {
		for _, l := range listeners {
			_ = l.Close() // nobody was served
		}
		return Result{Code: CodeOf(err)}, err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	o.settling = cmp.Or(o.settling, settling)
	h := &host{endpoint: e, o: o, token: token, run: ctx, ctx: serving, stop: stop, slot: make(chan struct{}, 1)}
	if o.OnListening != nil {
		o.OnListening(listeners[0].Addr())
	}
	err = transport.Serve(serving, listeners, h.serving(), h.connection)
	switch {
	case h.over:
		return h.last.result, h.last.err
	case ctx.Err() != nil:
		err := fault.With(fault.Interrupted, context.Cause(ctx))
		return Result{Code: CodeOf(err)}, err
	}
	return Result{Code: fault.Lost}, fault.With(fault.Lost, err)
}

// serving says whom the transport lets in.
func (h *host) serving() transport.ServeOptions {
	o := transport.ServeOptions{Hosts: h.o.AllowHosts, BasePath: h.o.BasePath, TLS: h.o.TLS, Log: h.options().Log, Conn: h.o.conn}
	if h.token != nil {
		o.AnyHost, o.OnlyInner = true, h.o.EndToEnd
		o.Inner = h.token.Listen(func() { h.slow.Wait(h.ctx, time.Now()) })
	}
	return o
}

// host lets one connection after the other have a session.
type host struct {
	endpoint
	o     ListenOptions
	token *access.Token // nil for none
	slow  access.Slowdown
	run   context.Context // of sessions
	ctx   context.Context // of listening: ends with the last session
	stop  context.CancelFunc
	slot  chan struct{} // occupied while a session goes on

	mu   sync.Mutex // guards the rest
	over bool       // last is what listen returns
	last outcome
	live *live // the session that goes on, or nil
}

// live is a session that another connection may carry on.
type live struct {
	id   []byte // what the dialer's Hello said
	mine *wire.Hello
	conn *resume.Conn

	ends bool // for another one
}

// errTaken is told to whom comes while another one has the session.
var errTaken = fault.New(fault.Access, "busy: another session is going on, and after it this listener ends")

// settling is how long a newcomer is kept waiting, unless ListenOptions say
// otherwise, before it is told busy: it may be the same user, whose last attempt was
// cut off this very moment.
const settling = time.Second

// claim takes the session for a connection. One whose peer is lost, and does not come
// back in that time, yields to it.
func (h *host) claim() error {
	tick := time.NewTicker(h.o.settling / 20)
	defer tick.Stop()
	for start := time.Now(); ; {
		select {
		case h.slot <- struct{}{}:
			return nil
		case <-h.ctx.Done():
		case <-tick.C:
		}
		switch {
		case h.run.Err() != nil:
			return fault.With(fault.Interrupted, context.Cause(h.run))
		case h.ctx.Err() != nil:
			return errTaken
		}
		waited := time.Since(start)
		switch lost, ends := h.giveUpLost(); {
		case lost && waited < helloWithin/2, waited < h.o.settling:
		case h.o.KeepRunning || ends:
			return wire.ErrBusy
		default:
			return errTaken
		}
	}
}

// giveUpLost reports whether the peer of the session that goes on is lost, and whether
// the session ends for that, as it does when it has been so for long.
func (h *host) giveUpLost() (lost, ends bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live == nil {
		return false, false
	}
	// One that ended without a verdict is only clearing away.
	if err := h.live.conn.Over(); err != nil && !errors.Is(err, wire.ErrClosed) && CodeOf(wire.Fault(err)) == fault.Lost {
		h.live.ends = true
	}
	since := h.live.conn.Lost()
	if since > h.o.settling {
		h.live.ends = true
		h.live.conn.End(fault.New(fault.Lost, "connection lost, and the other side did not come back before another one came"))
	}
	return since > 0 || h.live.ends, h.live.ends
}

// resume finds the session that the peer goes on with, and takes it off its
// connection.
func (h *host) resume(peer *wire.Hello) (*resume.Handover, *wire.Hello, error) {
	h.mu.Lock()
	s := h.live
	h.mu.Unlock()
	if s == nil || subtle.ConstantTimeCompare(s.id, peer.Session) == 0 {
		return nil, nil, wire.ErrGone
	}
	over, err := s.conn.Detach()
	if err != nil {
		return nil, nil, wire.ErrGone
	}
	return &over, s.mine.Resuming(over.Received), nil
}

// arrival is a connection that was let in, for a session of its own or one that goes
// on.
type arrival struct {
	link
	claimed bool             // it has the session
	resumed *resume.Handover // the session that goes on over it, or nil
}

// connection handles one connection from its first message to its end.
func (h *host) connection(conn wire.Conn, from transport.Caller) {
	start := time.Now()
	late := time.AfterFunc(helloWithin, func() {
		wire.CloseWith(conn, fault.New(fault.Access, "no hello within %v", helloWithin))
	})
	a, err := h.admit(conn, from)
	late.Stop()
	if err != nil {
		if errors.Is(err, access.ErrRefused) {
			h.slow.Wait(h.ctx, start)
		}
		wire.CloseWith(conn, err)
		h.options().Log.Info("connection without a session", "remote", from.Remote, "cause", err)
		if a.claimed {
			h.settle(outcome{Result{Code: CodeOf(err)}, err})
		}
		return
	}
	if a.resumed != nil {
		a.resumed.Attach(conn, a.peer.Resume.Received)
		return
	}
	h.settle(h.carry(a.link))
}

// admit lets a connection in, if who has it knows the token and there is a session
// for it.
func (h *host) admit(conn wire.Conn, from transport.Caller) (a arrival, err error) {
	if h.token != nil && !from.Inner {
		if err := h.token.Check(conn, h.role()); err != nil {
			return a, err
		}
	}
	a.link, err = welcome(conn, func(peer *wire.Hello) (mine *wire.Hello, err error) {
		if err := wire.Fits(h.role(), peer); err != nil {
			return nil, err
		}
		if peer.Resume != nil {
			a.resumed, mine, err = h.resume(peer)
			return mine, err
		}
		if err := h.claim(); err != nil {
			return nil, err
		}
		a.claimed = true
		return h.hello()
	})
	return a, err
}

// carry leads the session that begins with l, which others may carry on.
func (h *host) carry(l link) outcome {
	conn := resume.New(l.conn, resuming(h, l, nil))
	l.conn = conn
	h.setLive(&live{id: l.peer.Session, mine: l.mine, conn: conn})
	defer h.setLive(nil)
	result, err := carry(h.run, h, l)
	return outcome{result, err}
}

func (h *host) setLive(s *live) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = s
}

// settle notes how a session went, and ends the listening when that was the
// last one.
func (h *host) settle(out outcome) {
	if h.o.OnSession != nil {
		h.o.OnSession(out.result, out.err)
	}
	if !h.o.KeepRunning && verdict(out) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.over, h.last = true, out
		h.stop()
		return // and keep the slot: there is no other session
	}
	if !h.o.KeepRunning && h.run.Err() == nil {
		h.options().Log.Warn("the session came to no end; waiting for another", "cause", out.err)
	}
	<-h.slot
}

// verdict reports whether a session ended the work of a listener: it came to
// a verdict, or something is wrong on this side. A peer that left, or should
// not have come, does not end it.
func verdict(out outcome) bool {
	switch out.result.Code {
	case fault.OK, fault.Disk, fault.Protocol, fault.Partial, fault.Vanished, fault.Guard:
		return true
	case fault.Path, fault.Timeout:
		f := (*fault.Error)(nil)
		return errors.As(out.err, &f) && !f.Peer
	}
	return false
}
