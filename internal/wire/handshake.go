package wire

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// Greet opens a session as the dialer: it sends mine and returns the
// listener's Hello.
func Greet(c Conn, mine *Hello) (*Hello, error) {
	if err := c.Write(Encode(mine)); err != nil {
		// The reason for which the listener closed is in what it sent.
		if _, rerr := readHello(c); rerr != nil && !errors.Is(rerr, ErrClosed) {
			return nil, rerr
		}
		return nil, Fault(err)
	}
	peer, err := readHello(c)
	if err != nil {
		return nil, err
	}
	if err := fits(mine, peer); err != nil {
		return nil, err
	}
	admit(c)
	return peer, nil
}

// Welcome opens a session as the listener: it reads the dialer's Hello, which
// answer answers or refuses with an error that the dialer is told.
func Welcome(c Conn, answer func(peer *Hello) (*Hello, error)) (*Hello, error) {
	peer, err := readHello(c)
	if err != nil {
		return nil, err
	}
	mine, err := answer(peer)
	if err != nil {
		return nil, err
	}
	if err := fits(mine, peer); err != nil {
		return nil, err
	}
	if err := c.Write(Encode(mine)); err != nil {
		return nil, Fault(err)
	}
	admit(c)
	return peer, nil
}

// Resuming returns m as it goes over another connection of the same session, on which
// so many messages were received.
func (m *Hello) Resuming(received uint64) *Hello {
	again := proto.CloneOf(m)
	again.Resume = &Resume{Received: received}
	return again
}

// admit lets long messages come.
func admit(c Conn) {
	if a, ok := c.(Admitter); ok {
		a.Admit()
	}
}

func readHello(c Conn) (*Hello, error) {
	b, err := c.Read()
	if err != nil {
		return nil, Fault(err)
	}
	defer b.Free()
	t, body, err := Split(b.Bytes())
	if err != nil {
		return nil, Fault(err)
	}
	if t == TypeKnock {
		return nil, fault.New(fault.Access, "the dialer asks for proof of a token, and this listener has none")
	}
	if t != TypeHello {
		return nil, Fault(Errorf("message type %d before hello", t))
	}
	m, err := Decode(t, body)
	if err != nil {
		return nil, Fault(err)
	}
	return m.(*Hello), nil
}

// Fits reports why this version cannot work, in a role, with a peer.
func Fits(role Role, peer *Hello) error {
	return fits(&Hello{Version: Version, VersionMin: Version, Role: role}, peer)
}

// fits reports why two sides cannot work together.
func fits(a, b *Hello) error {
	switch {
	case a.Version < b.VersionMin || b.Version < a.VersionMin:
		return fault.New(fault.Version, "protocol versions do not fit: %d to %d here, %d to %d there; use the same release on both sides",
			a.VersionMin, a.Version, b.VersionMin, b.Version)
	case a.Role == b.Role && a.Role == Role_SENDER:
		return fault.New(fault.Usage, "both sides are senders: one of them needs --output-dir instead of --from")
	case a.Role == b.Role:
		return fault.New(fault.Usage, "both sides are receivers: one of them needs --from instead of --output-dir")
	}
	return nil
}
