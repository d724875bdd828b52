package syncdirectory

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sync-directory/sync-directory/internal/access"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
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

	Security

	conn transport.Options // shorter intervals in tests
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
			if begun > 1 && CodeOf(err) != Interrupted {
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
	conn, err := transport.Dial(ctx, d.url, transport.DialOptions{Within: d.o.ConnectTimeout, TLS: d.o.TLS, Inner: d.inner, Conn: d.o.conn})
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
	for {
		conn, err := d.open(within)
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, fault.With(fault.Interrupted, context.Cause(ctx))
		}
		if final := refused(d.url, err); final != nil {
			return nil, final
		}
		d.options().Log.Debug("not connected yet", "url", place(d.url), "error", err)
		if sleep(within, pause.NextBackOff()) != nil {
			if ctx.Err() != nil {
				return nil, fault.With(fault.Interrupted, context.Cause(ctx))
			}
			return nil, fault.New(fault.Connect, "no connection to %s within %v: %w; is the other side running?", place(d.url), d.o.ConnectTimeout, err)
		}
	}
}

// place returns url without its query, which may be a secret of a gateway's.
func place(url string) string {
	at, _, _ := strings.Cut(url, "?")
	return at
}

// refused returns the error for a refusal that waiting does not mend, or nil.
func refused(url string, err error) error {
	if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code != fault.Lost {
		return f
	}
	at := place(url)
	if s := (*transport.StatusError)(nil); errors.As(err, &s) {
		said := report.Clip(strings.Join(strings.Fields(s.Body), " "), 200)
		switch s.Code {
		case http.StatusForbidden:
			if strings.Contains(s.Body, "token") { // our own listener's words
				return fault.New(fault.Access, "%s: %s", at, said)
			}
			return fault.New(fault.Access, "%s refused this host name or origin (403): connect to localhost, or give the listener --allow-host with the name in the URL: %s", at, said)
		case http.StatusUnauthorized, http.StatusProxyAuthRequired:
			return fault.New(fault.Access, "%s or a proxy before it asks for credentials (%d): %s", at, s.Code, said)
		case http.StatusBadRequest:
			if strings.Contains(s.Body, "subprotocol") { // our own listener's words
				return fault.New(fault.Version, "%s speaks another version of the protocol (400): %s", at, said)
			}
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return nil // a proxy before a listener that is not up yet
		}
		return fault.New(fault.Connect, "%s is no sync-directory: it answered %d to the upgrade: %s", at, s.Code, said)
	}
	if d := (*net.DNSError)(nil); errors.As(err, &d) && d.IsNotFound {
		return fault.New(fault.Connect, "no connection to %s: %w", at, err)
	}
	if t := (*tls.CertificateVerificationError)(nil); errors.As(err, &t) {
		return fault.New(fault.Access, "%s: its certificate is not trusted: %w", at, t.Err)
	}
	if o := (*net.OpError)(nil); errors.As(err, &o) && o.Op == "remote error" { // an alert of TLS
		return fault.New(fault.Access, "%s refused this side's part of TLS (%w): does it ask for a certificate (--cert, --key), or a newer TLS?", at, o.Err)
	}
	if h := (tls.RecordHeaderError{}); errors.As(err, &h) {
		return fault.New(fault.Access, "%s does not speak TLS: should it be ws:// instead of wss://?", at)
	}
	if errors.Is(err, transport.ErrOldHTTP) {
		return fault.New(fault.Access, "%s answers, but not as HTTP/1.1: should it be wss:// instead of ws://?", at)
	}
	if errors.Is(err, transport.ErrURL) {
		return fault.With(fault.Usage, err)
	}
	return nil
}
