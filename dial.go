package syncdirectory

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
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
}

// dial connects, again and again while the other side is not up or busy, and
// carries out a session.
func dial(ctx context.Context, e endpoint, url string, o DialOptions) (Result, error) {
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	start := time.Now()
	pause := newPause()
	for {
		conn, err := connect(ctx, e, url, o)
		if err != nil {
			return Result{Code: CodeOf(err)}, err
		}
		result, err := dialed(ctx, e, conn)
		if !errors.Is(err, wire.ErrBusy) {
			return result, fault.With(fault.Lost, err)
		}
		if o.BusyTimeout > 0 && time.Since(start) > o.BusyTimeout {
			return result, fault.New(fault.Access, "%w, and was so for %v", wire.ErrBusy, o.BusyTimeout)
		}
		e.options().Log.Info("waiting: the other side is busy with another session")
		if err := sleep(ctx, pause.NextBackOff()); err != nil {
			return result, err
		}
	}
}

func newPause() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 50 * time.Millisecond
	b.MaxInterval = time.Second
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

// connect returns a connection to url, waiting a while for it to be up.
func connect(ctx context.Context, e endpoint, url string, o DialOptions) (wire.Conn, error) {
	within, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	pause := newPause()
	for {
		conn, err := transport.Dial(within, url, transport.DialOptions{Within: o.ConnectTimeout})
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, fault.With(fault.Interrupted, context.Cause(ctx))
		}
		if final := refused(url, err); final != nil {
			return nil, final
		}
		e.options().Log.Debug("not connected yet", "url", url, "error", report.Clip(err.Error(), 200))
		if sleep(within, pause.NextBackOff()) != nil {
			if ctx.Err() != nil {
				return nil, fault.With(fault.Interrupted, context.Cause(ctx))
			}
			return nil, fault.New(fault.Connect, "no connection to %s within %v: %w; is the other side running?", url, o.ConnectTimeout, err)
		}
	}
}

// refused returns the error for a refusal that waiting does not mend, or nil.
func refused(url string, err error) error {
	if s := (*transport.StatusError)(nil); errors.As(err, &s) {
		said := report.Clip(s.Body, 200)
		switch s.Code {
		case http.StatusForbidden:
			return fault.New(fault.Access, "%s refused this host name or origin (403): connect to localhost, or give the listener --allow-host with the name in the URL: %s", url, said)
		case http.StatusUnauthorized, http.StatusProxyAuthRequired:
			return fault.New(fault.Access, "%s or a proxy before it asks for credentials (%d): %s", url, s.Code, said)
		case http.StatusBadRequest:
			if strings.Contains(s.Body, "subprotocol") { // our own listener's words
				return fault.New(fault.Version, "%s speaks another version of the protocol (400): %s", url, said)
			}
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return nil // a proxy before a listener that is not up yet
		}
		return fault.New(fault.Connect, "%s is no sync-directory: it answered %d to the upgrade: %s", url, s.Code, said)
	}
	if d := (*net.DNSError)(nil); errors.As(err, &d) && d.IsNotFound {
		return fault.New(fault.Connect, "no connection to %s: %w", url, err)
	}
	if t := (*tls.CertificateVerificationError)(nil); errors.As(err, &t) {
		return fault.New(fault.Access, "%s: its certificate is not trusted: %w", url, t.Err)
	}
	if h := (tls.RecordHeaderError{}); errors.As(err, &h) {
		return fault.New(fault.Access, "%s does not speak TLS: should it be ws:// instead of wss://?", url)
	}
	if errors.Is(err, transport.ErrURL) {
		return fault.With(fault.Usage, err)
	}
	return nil
}
