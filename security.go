package syncdirectory

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/sync-directory/sync-directory/internal/access"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Security says how the two ends of a connection know each other, and what others
// see of what they say. It is local: nothing of it comes from the other side.
type Security struct {
	// Token is a secret that both sides have, as NewToken makes it: both prove that
	// they know it, and over ws, where anybody on the way could listen, the session
	// runs in TLS inside the WebSocket, with keys that are derived from it. "" is
	// none.
	Token string
	// EndToEnd runs it so over wss too, so that a proxy at which TLS ends sees
	// nothing. A listener then takes nothing else. It needs a Token.
	EndToEnd bool
	// TLS is the configuration of wss: of a dialer by default the system's
	// authorities, a listener without one listens for ws. Below TLS 1.3 nothing is
	// spoken.
	TLS *tls.Config
}

// NewToken returns a new token, 256 random bits in 43 characters.
func NewToken() string { return access.New() }

// token returns the token, or nil for none.
func (s *Security) token() (*access.Token, error) {
	switch {
	case s.Token == "" && s.EndToEnd:
		return nil, fault.New(fault.Usage, "end to end there are no keys without a token")
	case s.Token == "":
		return nil, nil
	}
	t, err := access.Parse(s.Token)
	return t, fault.With(fault.Usage, err)
}

// inner reports whether a dialer to url asks for TLS inside the WebSocket.
func (s *Security) inner(url string) bool {
	secure := len(url) >= 4 && strings.EqualFold(url[:4], "wss:")
	return s.Token != "" && (s.EndToEnd || !secure)
}

// Exposed reports whether others than this machine can connect: with a token they
// can unless Addresses say otherwise.
func (o *ListenOptions) Exposed() bool {
	if len(o.Addresses) == 0 {
		return o.Token != ""
	}
	for _, addr := range o.Addresses {
		if ip, err := netip.ParseAddr(addr); addr != "localhost" && (err != nil || !ip.IsLoopback()) {
			return true
		}
	}
	return false
}

// check refuses, before anything is made for the run, what makes no sense, and to listen
// for others where nobody has to prove anything.
func (o *ListenOptions) check() error {
	if err := transport.CheckBasePath(o.BasePath); err != nil {
		return fault.With(fault.Usage, err)
	}
	if o.Exposed() && o.Token == "" && !o.Insecure {
		return fault.New(fault.Usage, `--listen %s lets other machines connect, and nothing tells friend from foe; either
  make a token, and give it to both sides:  sync-directory token FILE, then --token-file FILE
  or leave --listen out and forward a port: ssh -L 8080:localhost:%d HOST
  or mean it, on a network of your own:     --listen %s --insecure`, o.Addresses[0], o.Port, o.Addresses[0])
	}
	_, err := o.token()
	return err
}

// promptly carries out the opening of a session on a connection that this end has
// dialled, which ends with ctx, and where the other side says nothing for long.
func promptly(ctx context.Context, conn wire.Conn, opening func() error) error {
	stop := context.AfterFunc(ctx, func() { wire.CloseWith(conn, fault.With(fault.Interrupted, context.Cause(ctx))) })
	late := time.AfterFunc(helloWithin, func() {
		wire.CloseWith(conn, fault.New(fault.Connect, "no hello within %v", helloWithin))
	})
	err := opening()
	stop()
	switch stopped := !late.Stop(); {
	case err != nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.DeadlineExceeded): // which closed the connection
		err = fault.With(fault.Interrupted, context.Cause(ctx))
	case err != nil && (stopped || ctx.Err() != nil):
		err = fault.New(fault.Connect, "the other side connected, and then said nothing for long")
	}
	if err != nil {
		wire.CloseWith(conn, err)
	}
	return err
}

// hint adds to an error of a dialer what may help.
func (s *Security) hint(err error) error {
	f := (*fault.Error)(nil)
	if s.Token == "" && errors.As(err, &f) && f.Peer && f.Err.Error() == access.ErrRefused.Error() {
		return &fault.Error{Code: f.Code, Peer: true, Err: errors.New(f.Err.Error() + "; give its token here by --token-file FILE or SYNC_DIRECTORY_TOKEN")}
	}
	return err
}
