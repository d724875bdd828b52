package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ErrRefused is what a listener says to who has not proved the token, whatever was
// wrong with the proof.
var ErrRefused = fault.New(fault.Access, "not let in: the token is missing, or not the one here")

// ErrImpostor says that the listener has not proved the token.
var ErrImpostor = fault.New(fault.Access, "the listener does not have the token that is given here: it has another one, or is somebody else")

// end says which end of a connection proves something: a proof of one is none of the
// other, so that nobody can be answered with what it said.
type end byte

const (
	listener end = 1
	dialer   end = 2
)

// mac proves that e, in a session of these roles, knows the token and has seen both
// nonces, which are never used twice.
func (t *Token) mac(e end, k *wire.Knock, c *wire.Challenge) (sum [wire.SecretSize]byte) {
	h := hmac.New(sha256.New, t.key("challenge"))
	h.Write([]byte("sync-directory challenge"))
	h.Write(binary.BigEndian.AppendUint32(nil, wire.Version))
	h.Write([]byte{byte(e), byte(k.Role), byte(c.Role)})
	h.Write(k.Nonce[:])
	h.Write(c.Nonce[:])
	h.Sum(sum[:0])
	return sum
}

// Prove proves to the listener on conn, and has it prove, that both know the token.
// The dialer's own proof goes out last, and is not waited for: what the listener says
// next is its Hello, or why not.
func (t *Token) Prove(conn wire.Conn, role wire.Role) error {
	k := wire.Knock{Role: role}
	rand.Read(k.Nonce[:])
	if err := conn.Write(wire.EncodeKnock(&k)); err != nil {
		return wire.Fault(err)
	}
	c, err := receive(conn, wire.TypeChallenge, wire.DecodeChallenge)
	if err != nil {
		return err
	}
	if want := t.mac(listener, &k, &c); !hmac.Equal(c.MAC[:], want[:]) {
		return ErrImpostor
	}
	if err := conn.Write(wire.EncodeResponse(&wire.Response{MAC: t.mac(dialer, &k, &c)})); err != nil {
		return wire.Fault(err)
	}
	return nil
}

// Check has the dialer on conn prove that it knows the token, and proves it to it. All
// that is wrong with what the dialer says is ErrRefused.
func (t *Token) Check(conn wire.Conn, role wire.Role) error {
	err := t.check(conn, role)
	if errors.Is(err, wire.ErrProtocol) {
		return ErrRefused
	}
	return err
}

func (t *Token) check(conn wire.Conn, role wire.Role) error {
	k, err := receive(conn, wire.TypeKnock, wire.DecodeKnock)
	if err != nil {
		return err
	}
	c := wire.Challenge{Role: role}
	rand.Read(c.Nonce[:])
	c.MAC = t.mac(listener, &k, &c)
	if err := conn.Write(wire.EncodeChallenge(&c)); err != nil {
		return wire.Fault(err)
	}
	p, err := receive(conn, wire.TypeResponse, wire.DecodeResponse)
	if want := t.mac(dialer, &k, &c); err == nil && !hmac.Equal(p.MAC[:], want[:]) {
		return ErrRefused
	}
	return err
}

// receive returns the next message, which is to be of type want.
func receive[M any](conn wire.Conn, want wire.Type, decode func([]byte) (M, error)) (m M, err error) {
	b, err := conn.Read()
	if err != nil {
		return m, wire.Fault(err)
	}
	defer b.Free()
	t, body, err := wire.Split(b.Bytes())
	if err == nil && t != want {
		err = wire.Errorf("message type %d, not %d", t, want)
	}
	if err == nil {
		m, err = decode(body)
	}
	if err != nil {
		err = wire.Fault(err)
	}
	return m, err
}
