package syncdirectory

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sync-directory/sync-directory/internal/access"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/resume"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// DialOptions say how to connect.
type DialOptions struct {
	// ConnectTimeout is how long the other side may take to be reachable;
	// default 10 s.
	ConnectTimeout time.Duration
	// BusyTimeout is how long to wait for one's turn while another session
	// is going on, at a listener that keeps running; 0 waits for ever.
	BusyTimeout time.Duration
	// Retries is how often to connect again, after the connection was lost,
	// without a single message getting through before the run fails; default 15,
	// which takes two thirds of a minute where nobody answers; negative for none.
	Retries int
	// Header holds fields to send with the request for the connection, such as what a
	// proxy before the listener asks for: none of those that make the handshake, as
	// Host, Origin, Upgrade and Sec-WebSocket-Protocol do. They are never logged.
	Header http.Header
	// Proxy returns the HTTP proxy through which to connect, by CONNECT, or nil for
	// none: a URL that begins with http:// or https:// and may hold a user and a
	// password for the proxy. It is asked with the scheme http for ws and https for wss,
	// and http.ProxyURL returns such a function. Default: http.ProxyFromEnvironment,
	// which goes by HTTP_PROXY, HTTPS_PROXY and NO_PROXY, and knows none for localhost
	// and loopback addresses.
	Proxy func(*http.Request) (*url.URL, error)

	Security

	conn transport.Options // shorter intervals in tests
}

// transport returns what the transport is told, each time anew.
func (o DialOptions) transport() transport.DialOptions {
	return transport.DialOptions{Header: o.Header, Proxy: o.Proxy, Within: o.ConnectTimeout, TLS: o.TLS, Conn: o.conn}
}

// check reports what no waiting mends, before anything is made for the run.
func (o DialOptions) check(url string) error {
	return fault.With(fault.Usage, transport.CheckDial(url, o.transport()))
}

// dialer carries out a session with whom it dials.
type dialer struct {
	endpoint
	url   string
	o     DialOptions
	token *access.Token // nil for none
	inner *tls.Config   // of TLS inside the WebSocket, or nil
}

// dial connects, again and again while the other side is not up or busy, and
// carries out a session.
func dial(ctx context.Context, e endpoint, url string, o DialOptions) (Result, error) {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.Retries == 0 {
		o.Retries = 15
	}
	if err := e.opened(); err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	d := &dialer{endpoint: e, url: url, o: o}
	var err error
	if d.token, err = o.token(); err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	if o.inner(url) {
		d.inner = d.token.Dial()
	}
	for begun := 1; ; begun++ {
		l, err := d.begin(ctx, begun > 1)
		if err != nil {
			if begun > 1 && ctx.Err() == nil {
				err = &fault.Error{Code: fault.Lost, Err: fmt.Errorf("%w, and no other one can begin: %w", wire.ErrGone, err)}
			}
			return Result{Code: CodeOf(err)}, o.hint(err)
		}
		l.conn = resume.New(l.conn, resuming(e, l, d.redial(l)))
		result, err := carry(ctx, e, l)
		if !errors.Is(err, wire.ErrGone) || begun > o.Retries {
			return result, fault.With(fault.Lost, err)
		}
		e.options().Log.Warn("the session cannot go on: beginning another; what was staged is not sent again", "cause", err)
	}
}

// clearing is how long another session waits at most for the other side to be through
// with the one before, which could not go on.
const clearing = time.Minute

// begin connects and opens a session, as soon as the other side is there and has
// time for it. Again says that it has let this side in before.
func (d *dialer) begin(ctx context.Context, again bool) (link, error) {
	start := time.Now()
	pause := newPause(time.Second)
	for {
		conn, err := d.connect(ctx)
		if err != nil {
			return link{}, err
		}
		l, err := greet(ctx, d, conn)
		switch {
		case err == nil:
			return l, nil
		case errors.Is(err, wire.ErrBusy):
			if d.o.BusyTimeout > 0 && time.Since(start) > d.o.BusyTimeout {
				return l, fault.New(fault.Access, "%w, and was so for %v", wire.ErrBusy, d.o.BusyTimeout)
			}
			d.options().Log.Info("waiting: the other side is busy with another session")
		case again && CodeOf(err) == fault.Access && time.Since(start) < clearing:
			d.options().Log.Info("waiting: the other side is not through with the session before")
		case lasting(err) || d.o.Retries < 0 || time.Since(start) > d.o.ConnectTimeout:
			return l, err
		}
		if err := sleep(ctx, pause.NextBackOff()); err != nil {
			return l, err
		}
	}
}

// lasting reports whether an error of connecting will be the same the next time.
func lasting(err error) bool {
	f := (*fault.Error)(nil)
	return errors.Is(err, wire.ErrGone) || errors.As(err, &f) && f.Code != fault.Lost
}

// redial returns what connects again for the session that began with l, as often as
// DialOptions.Retries says before it goes on by a single message.
func (d *dialer) redial(l link) resume.Redial {
	pause := newPause(5 * time.Second)
	var last [2]uint64 // messages here and there when it went on before
	tries := 0
	failed := errors.New("nothing gets through")
	return func(ctx context.Context, received uint64, cause error) (wire.Conn, uint64, error) {
		if d.o.Retries < 0 {
			return nil, 0, fault.New(fault.Lost, "connection lost (%v): run again; what was staged is not sent again", cause)
		}
		for {
			if tries >= d.o.Retries {
				return nil, 0, fault.New(fault.Lost, "connection lost (%v), and not regained in %d attempts (%v): run again; what was staged is not sent again", cause, tries, failed)
			}
			if tries > 0 {
				if err := sleep(ctx, pause.NextBackOff()); err != nil {
					return nil, 0, err
				}
			}
			tries++
			conn, peer, err := d.again(ctx, l, received)
			if err == nil {
				if now := [2]uint64{received, peer}; now != last {
					last, tries = now, 0
					pause.Reset()
				}
				return conn, peer, nil
			}
			if ctx.Err() != nil || errors.Is(err, wire.ErrGone) || CodeOf(err) == fault.Version {
				return nil, 0, err
			}
			failed = err
			d.options().Log.Info("not connected again yet", "attempt", tries, "cause", err)
		}
	}
}

// again connects once, and opens the connection for the session that began with l.
func (d *dialer) again(ctx context.Context, l link, received uint64) (wire.Conn, uint64, error) {
	conn, err := d.open(ctx)
	if err != nil {
		// Whatever it is: on the way to a place where the other side was there may be
		// a proxy that starts, or a network that asks who one is.
		return nil, 0, err
	}
	now, err := greetAs(ctx, conn, l.mine.Resuming(received))
	if err != nil {
		return nil, 0, err
	}
	if now.peer.Resume == nil || !bytes.Equal(now.peer.Session, l.peer.Session) {
		wire.CloseWith(conn, wire.ErrGone)
		return nil, 0, wire.ErrGone
	}
	return conn, now.peer.Resume.Received, nil
}

// newPause returns growing times to wait, of which each is up to half longer or
// shorter, so that many that were lost at once do not come back at once.
func newPause(most time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 50 * time.Millisecond
	b.MaxInterval = most
	b.Multiplier = 2
	b.RandomizationFactor = 0.5
	return b
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fault.With(fault.Interrupted, context.Cause(ctx))
	}
}

// open makes one attempt at a connection over which both sides have proved the token,
// if there is one.
func (d *dialer) open(ctx context.Context) (wire.Conn, error) {
	o := d.o.transport()
	o.Inner = d.inner
	conn, err := transport.Dial(ctx, d.url, o)
	if err != nil || d.token == nil || d.inner != nil {
		return conn, err
	}
	err = promptly(ctx, conn, func() error { return d.token.Prove(conn, d.role()) })
	return conn, err
}

// connect returns a connection, waiting a while for the other side to be up.
func (d *dialer) connect(ctx context.Context) (wire.Conn, error) {
	within, cancel := context.WithTimeout(ctx, d.o.ConnectTimeout)
	defer cancel()
	pause := newPause(time.Second)
	var why error // what the last attempt says that came to an answer
	for {
		conn, err := d.open(within)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, fault.With(fault.Interrupted, context.Cause(ctx))
		}
		if why == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			why = err
		}
		if final := refused(place(d.url), err); final != nil {
			return nil, final
		}
		d.options().Log.Debug("not connected yet", "url", place(d.url), "error", err)
		if sleep(within, pause.NextBackOff()) != nil {
			if ctx.Err() != nil {
				return nil, fault.With(fault.Interrupted, context.Cause(ctx))
			}
			return nil, fault.New(fault.Connect, "no connection to %s within %v: %w; is the other side running?", place(d.url), d.o.ConnectTimeout, why)
		}
	}
}
