package syncdirectory

import (
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// newPipe returns the two ends of a connection within this process. A few
// messages fit in, so that both sides work at once.
func newPipe() (a, b wire.Conn) { return transport.Pipe(4) }
