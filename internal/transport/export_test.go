package transport

import (
	"net"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// NewSocket starts a connection without a handshake.
func NewSocket(conn net.Conn, early []byte, client bool, opts Options) wire.Conn {
	return newSocket(conn, early, client, opts)
}
