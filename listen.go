package syncdirectory

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ListenOptions say where to listen and whom to let in.
type ListenOptions struct {
	// Port is where to listen; 0 takes a free one.
	Port int
	// Addresses are where to listen. Without any only this machine can
	// connect, over IPv4 and IPv6.
	Addresses []string
	// AllowHosts are names by which requests may address the listener,
	// beside localhost, loopback addresses and the address it listens on.
	AllowHosts []string
	// KeepRunning serves one session after the other until the context
	// ends.
	KeepRunning bool
	// OnListening is called with the address once connections are taken.
	OnListening func(net.Addr)
	// OnSession is called with the outcome of every session; nil for none.
	OnSession func(Result, error)
}

// helloWithin is how long a connection may take to say what it wants.
const helloWithin = 10 * time.Second

// listen serves connections until a session has its verdict.
func listen(ctx context.Context, e endpoint, o ListenOptions) (Result, error) {
	log := e.options().Log
	listeners, err := transport.Listen(ctx, o.Addresses, o.Port, log)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fault.New(fault.Lost, "port %d is in use: %w", o.Port, err)
		}
		return Result{Code: fault.Of(err, fault.Lost)}, fault.With(fault.Lost, err)
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	h := &host{endpoint: e, o: o, run: ctx, ctx: serving, stop: stop, slot: make(chan struct{}, 1)}
	if o.OnListening != nil {
		o.OnListening(listeners[0].Addr())
	}
	err = transport.Serve(serving, listeners, transport.ServeOptions{Hosts: o.AllowHosts, Log: log}, h.connection)
	switch {
	case h.over:
		return h.last.result, h.last.err
	case ctx.Err() != nil:
		err := fault.With(fault.Interrupted, context.Cause(ctx))
		return Result{Code: CodeOf(err)}, err
	}
	return Result{Code: fault.Lost}, fault.With(fault.Lost, err)
}

// host lets one connection after the other have a session.
type host struct {
	endpoint
	o    ListenOptions
	run  context.Context // of sessions
	ctx  context.Context // of listening: ends with the last session
	stop context.CancelFunc
	slot chan struct{} // holds a token while a session goes on

	mu   sync.Mutex // guards the rest
	over bool       // last is what listen returns
	last outcome
}

// errTaken is told to whom comes while another one has the session.
var errTaken = fault.New(fault.Access, "busy: another session is going on, and after it this listener ends")

// settling is how long a newcomer is kept waiting before it is told busy: it
// may be the same user, whose last attempt was cut off this very moment.
const settling = time.Second

// claim takes the session for a connection.
func (h *host) claim() error {
	select {
	case h.slot <- struct{}{}:
		return nil
	case <-time.After(settling):
	case <-h.ctx.Done():
	}
	if h.o.KeepRunning {
		return wire.ErrBusy
	}
	return errTaken
}

// connection handles one connection from its first message to its end.
func (h *host) connection(conn wire.Conn, remote string) {
	log := h.options().Log
	claimed := false
	late := time.AfterFunc(helloWithin, func() {
		wire.CloseWith(conn, fault.New(fault.Access, "no hello within %v", helloWithin))
	})
	l, err := welcome(h, conn, func() error {
		err := h.claim()
		claimed = err == nil
		return err
	})
	late.Stop()
	if err != nil {
		wire.CloseWith(conn, err)
		log.Info("connection without a session", "remote", remote, "cause", report.Clip(err.Error(), 200))
		if claimed {
			h.settle(outcome{Result{Code: CodeOf(err)}, err})
		}
		return
	}
	result, err := carry(h.run, h, l)
	h.settle(outcome{result, err})
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
