package transport

import (
	"net"
	"net/http"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// NewSocket starts a connection without a handshake.
func NewSocket(conn net.Conn, early []byte, client bool, opts Options) wire.Conn {
	return newSocket(conn, early, client, opts)
}

// AllowsHost reports whether a request may name a host where none are allowed beside
// loopback.
func AllowsHost(host string) bool {
	return newAdmission(&ServeOptions{}).allowsHost(&http.Request{Host: host})
}
