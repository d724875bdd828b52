package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// ServeOptions say whom Serve lets in. The zero value of each field but Log
// means its default.
type ServeOptions struct {
	// Hosts are names that a request may name as its host, beside the
	// loopback names and literals and the address that it came to.
	Hosts []string
	// AnyHost accepts every host: for a listener that asks for a token.
	AnyHost bool
	// BasePath is the one path that upgrades, one that CheckBasePath accepts;
	// default "/".
	BasePath string
	// TLS makes the listeners ones of wss; nil of ws. TLS 1.3 and HTTP/1.1 are
	// asked for in any case.
	TLS *tls.Config
	// Inner is the configuration of TLS inside the WebSocket, for who asks for
	// it; nil refuses them.
	Inner *tls.Config
	// OnlyInner refuses who does not ask for it.
	OnlyInner bool
	// Most is how many connections there are at once; default 256.
	Most int
	// UpgradeWithin bounds the time from a connection's first moment to
	// its upgrade, TLS inside included, whatever it sends; default 10 s.
	UpgradeWithin time.Duration
	// Grace is what handlers get to end their connections after ctx is
	// done, before those are closed; default 0.5 s.
	Grace time.Duration
	// Conn holds the intervals of upgraded connections.
	Conn Options
	// Log gets what strays do, at debug level: it escapes and bounds what they say.
	Log *slog.Logger
}

func (o ServeOptions) withDefaults() ServeOptions {
	if o.Most == 0 {
		o.Most = 256
	}
	if o.UpgradeWithin == 0 {
		o.UpgradeWithin = 10 * time.Second
	}
	if o.Grace == 0 {
		o.Grace = 500 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Handler owns a connection until it returns; then the connection is closed,
// if it still is open.
type Handler func(conn wire.Conn, from Caller)

// Caller says who has a connection.
type Caller struct {
	Remote string // address, as the system says it
	Inner  bool   // TLS runs inside the WebSocket
}

// Serve upgrades the connections that come to the listeners and calls handle
// for each in a goroutine of its own. When ctx is done it stops listening,
// gives the handlers a grace, closes their connections with wire.CloseAway,
// and returns nil when all have returned: nothing that it started is left, and
// the port is free. It returns earlier, in the same way, with an error when a
// listener fails.
func Serve(ctx context.Context, listeners []net.Listener, opts ServeOptions, handle Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts = opts.withDefaults()
	s := &server{ctx: ctx, opts: opts, admission: newAdmission(&opts), handle: handle}
	web := s.web()

	g := &gate{most: opts.Most, within: opts.UpgradeWithin}
	failed := make(chan error, len(listeners))
	var loops sync.WaitGroup
	for _, l := range listeners {
		loops.Go(func() { failed <- web.Serve(secured(gateListener{l, g}, opts.TLS)) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		cancel()
	}
	_ = web.Close() // listeners that are closed already are no matter
	loops.Wait()
	s.running.Wait()
	return err
}

// secured is l, with TLS if there is a configuration for it.
func secured(l net.Listener, config *tls.Config) net.Listener {
	if config == nil {
		return l
	}
	return tls.NewListener(l, only13(config.Clone()))
}

type server struct {
	ctx       context.Context // of Serve, which outlives the server
	opts      ServeOptions
	admission *admission
	handle    Handler
	running   sync.WaitGroup // connections of net/http, and handlers
}

// web returns the HTTP server. Every limit is set: the zero values of
// net/http mean none.
func (s *server) web() *http.Server {
	only1 := new(http.Protocols)
	only1.SetHTTP1(true) // HTTP/2 cannot be upgraded
	return &http.Server{
		Handler:           s,
		Protocols:         only1,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ConnState:         s.count,
		ErrorLog:          log.New(debugWriter{s.opts.Log}, "", 0),

		DisableGeneralOptionsHandler: true,
	}
}

// count keeps Serve waiting for the goroutines of net/http, which its Close
// does not wait for.
func (s *server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.running.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.running.Done()
	}
}

// ServeHTTP answers every request there can be.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1) // the count of r's connection ends when it is upgraded
	defer s.running.Done()

	refused := s.admission.atDoor(r)
	if refused == nil && r.URL.Path == health {
		answerHealth(w, r)
		return
	}
	protocol := ""
	if refused == nil {
		protocol, refused = s.admission.forUpgrade(r)
	}
	if refused != nil {
		s.opts.Log.Debug("request refused", "remote", r.RemoteAddr,
			"status", refused.status, "because", refused.body)
		refused.answer(w)
		return
	}
	s.upgrade(w, r, protocol)
}

// health is the one path at which there is an answer for whoever asks.
const health = "/healthz"

func answerHealth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuseMethod.answer(w)
		return
	}
	answer(w, http.StatusOK, "ok")
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request, protocol string) {
	conn, early, err := upgradeServer(w, r, protocol)
	if err != nil {
		s.opts.Log.Debug("upgrade failed", "remote", r.RemoteAddr, "error", err)
		return
	}
	from := Caller{Remote: r.RemoteAddr, Inner: protocol == ProtocolTLS}
	// Not in this goroutine: net/http would catch a panic and go on.
	s.running.Go(func() {
		if from.Inner {
			secure := startTunnel(conn, early, false, s.opts.Inner)
			if err := secure.HandshakeContext(s.ctx); err != nil {
				s.opts.Log.Debug("TLS inside the WebSocket failed", "remote", from.Remote, "error", err)
				hardClose(conn)
				return
			}
			conn, early = secure, nil
		}
		visiting(conn).upgraded()
		s.serve(newSocket(conn, early, false, s.opts.Conn), from)
	})
}

// serve runs the handler, and a watch that closes the connection after the
// end of ctx.
func (s *server) serve(conn wire.Conn, from Caller) {
	done := make(chan struct{})
	s.running.Go(func() {
		select {
		case <-done:
			return
		case <-s.ctx.Done():
		}
		grace := time.NewTimer(s.opts.Grace)
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
			_ = conn.Close(wire.CloseAway, "stopping")
		}
	})
	defer close(done)
	s.handle(conn, from)
	_ = conn.Close(wire.CloseAway, "") // nothing if the handler has closed
}

// debugWriter logs the lines of net/http, which may quote a stranger's bytes.
type debugWriter struct{ log *slog.Logger }

func (d debugWriter) Write(p []byte) (int, error) {
	d.log.Debug("http", "message", string(bytes.TrimSpace(p)))
	return len(p), nil
}
