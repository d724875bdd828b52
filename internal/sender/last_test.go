package sender_test

import (
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// slow is a connection that says the verdict, or closes, when its peer has closed.
type slow struct {
	wire.Conn
	verdict bool
	closed  chan struct{}
}

func (s *slow) Write(b *wire.Buffer) error {
	if t, _, err := wire.Split(b.Bytes()); s.verdict && err == nil && t == wire.TypeVerdict {
		<-s.closed
	}
	return s.Conn.Write(b)
}

func (s *slow) Close(code wire.CloseCode, reason string) error {
	<-s.closed
	return s.Conn.Close(code, reason)
}

// TestInterruptedAtLast: a receiver that confirms everything, and is interrupted before it
// has heard the verdict, has the sender end as it does. One that is merely gone does not: what
// it confirmed is so.
func TestInterruptedAtLast(t *testing.T) {
	for _, c := range []struct {
		name    string
		verdict bool // is said after the receiver has ended
		with    error
		code    fault.Code
	}{
		{"the verdict is late", true, fault.New(fault.Interrupted, "enough"), fault.Interrupted},
		{"the farewell is late", false, fault.New(fault.Interrupted, "enough"), fault.Interrupted},
		{"gone before the verdict", true, nil, fault.OK},
		{"gone after the verdict", false, nil, fault.OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			mine, theirs := transport.Pipe(4)
			a := &asker{t: t, conn: theirs, ended: make(chan fault.Code, 1)}
			late := &slow{Conn: mine, verdict: c.verdict, closed: make(chan struct{})}
			o := options()
			go func() {
				_, err := sender.Run(t.Context(), late, receiverHello(false), source(t, "./ @5\nf @6 =one", nil), o)
				a.ended <- fault.Worse(fault.Of(err, 99), o.Problems.Code())
			}()
			m, err := wire.Decode(wire.TypeSeal, a.await(wire.TypeSeal))
			if err != nil {
				t.Fatal(err)
			}
			d := confirmed(m.(*wire.Seal))
			a.send(wire.Encode(&wire.Done{Digest: d[:], Changes: new(wire.Changes)}))
			if !c.verdict {
				a.await(wire.TypeVerdict)
			}
			wire.CloseWith(theirs, c.with)
			close(late.closed)
			if code := <-a.ended; code != c.code {
				t.Errorf("ends with %v, want %v", code, c.code)
			}
		})
	}
}

// confirmed returns the digest of a destination that is what a seal says.
func confirmed(seal *wire.Seal) digest.Digest {
	root := tree.Entry{Type: tree.Directory, Perm: uint16(seal.Perm), Dir: &tree.Dir{Digest: digest.Digest(seal.Digest)}}
	root.SetMTime(tree.Time{Sec: seal.Sec, Nsec: seal.Nsec})
	return tree.NewSummer(tree.Exact).Root(&root)
}
