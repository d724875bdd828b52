package sender_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// asker is a receiver that does what a test says.
type asker struct {
	t     *testing.T
	conn  wire.Conn
	dir   string
	ended chan fault.Code
}

// asking begins a session about d/f and d/s/g, which are entries 2 and 4, with 1
// and 3 the directories.
func asking(t *testing.T, before func(dirfs.Call) error) *asker {
	t.Helper()
	a := &asker{t: t, dir: t.TempDir(), ended: make(chan fault.Code, 1)}
	treetest.Make(t, a.dir, "./ @5\nd/f @6 =one\nd/s/g @7 =two")
	h := handles(t, a.dir, before)
	mine, theirs := transport.Pipe(4)
	a.conn = theirs
	o := options()
	go func() {
		_, err := sender.Run(t.Context(), mine, receiverHello(false), h, o)
		a.ended <- fault.Worse(fault.Of(err, 99), o.Problems.Code())
	}()
	t.Cleanup(func() { wire.CloseWith(theirs, nil) })
	return a
}

func (a *asker) send(messages ...*wire.Buffer) {
	a.t.Helper()
	for _, b := range messages {
		if err := a.conn.Write(b); err != nil {
			a.t.Fatal(err)
		}
	}
}

// await returns the body of the next message, which is of that type.
func (a *asker) await(want wire.Type) []byte {
	a.t.Helper()
	b, err := a.conn.Read()
	if err != nil {
		a.t.Fatal(err)
	}
	typ, body, err := wire.Split(b.Bytes())
	if err != nil || typ != want {
		a.t.Fatalf("type %d, %v, want %d", typ, err, want)
	}
	return body
}

func (a *asker) describe() {
	a.t.Helper()
	a.await(wire.TypeSeal)
	a.send(wire.EncodeAsk([]wire.Question{{}})...)
	a.await(wire.TypeListing)
}

func (a *asker) prove(id uint64) wire.Proof {
	a.t.Helper()
	a.send(wire.EncodeProve([]uint64{id})...)
	p, err := wire.DecodeProof(a.await(wire.TypeProof))
	if err != nil || p.ID != id {
		a.t.Fatalf("%+v, %v", p, err)
	}
	return p
}

// TestProofOfWhatIsNot has a directory below which something can not be read, or
// is not any more what was described: there is no proof, and no problem either,
// since nobody has asked for a file.
func TestProofOfWhatIsNot(t *testing.T) {
	type call struct{ op, name string }
	for _, c := range []struct {
		name   string
		denied call
		change func(dir string) error
	}{
		{"a file that cannot be opened", call{"Open", "g"}, nil},
		{"a file that cannot be read", call{"File.ReadAt", "g"}, nil},
		{"a file that is gone", call{}, func(dir string) error { return os.Remove(dir + "/d/s/g") }},
		{"a directory that is gone", call{}, func(dir string) error { return os.RemoveAll(dir + "/d/s") }},
		{"a file of another size", call{}, func(dir string) error { return os.WriteFile(dir+"/d/s/g", []byte("three"), 0o644) }},
		{"a file of another time", call{}, func(dir string) error { return os.WriteFile(dir+"/d/s/g", []byte("TWO"), 0o644) }},
		{"a link in place of a file", call{}, func(dir string) error {
			return errors.Join(os.Rename(dir+"/d/f", dir+"/f"), os.Symlink("../f", dir+"/d/f"))
		}},
		{"nothing of this", call{}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var described atomic.Bool
			a := asking(t, func(made dirfs.Call) error {
				if described.Load() && (call{made.Op, made.Name}) == c.denied {
					return os.ErrPermission
				}
				return nil
			})
			a.describe()
			described.Store(true)
			if c.change != nil {
				if err := c.change(a.dir); err != nil {
					t.Fatal(err)
				}
			}
			p := a.prove(1)
			if want := c.denied == (call{}) && c.change == nil; p.Known != want {
				t.Errorf("%+v", p)
			}
			a.send(wire.Encode(&wire.Done{Digest: make([]byte, 32), Changes: new(wire.Changes), Code: 23}))
			a.await(wire.TypeVerdict)
			if code := <-a.ended; code != fault.Partial {
				t.Errorf("code %d", code)
			}
		})
	}
}

// TestVanishesAfterProof removes a file between the proof and what comes later:
// that tells.
func TestVanishesAfterProof(t *testing.T) {
	a := asking(t, nil)
	a.describe()
	if p := a.prove(1); !p.Known {
		t.Fatalf("%+v", p)
	}
	if err := os.Remove(filepath.Join(a.dir, "d/f")); err != nil {
		t.Fatal(err)
	}
	a.send(wire.EncodeWant(wire.WantContent, []uint64{2})...)
	m, err := wire.Decode(wire.TypeProblem, a.await(wire.TypeProblem))
	if err != nil {
		t.Fatal(err)
	}
	if p := m.(*wire.Problem); string(p.Path) != "d/f" || !p.Vanished || p.Answers != 2 {
		t.Errorf("%+v", p)
	}
}

// TestProveBeforeTheSeal asks while the source is still scanned.
func TestProveBeforeTheSeal(t *testing.T) {
	scanning, goOn := make(chan struct{}, 9), make(chan struct{})
	a := asking(t, func(c dirfs.Call) error {
		if c.Op == "List" {
			scanning <- struct{}{}
			<-goOn
		}
		return nil
	})
	<-scanning
	a.send(wire.EncodeProve([]uint64{0})...)
	_, err := a.conn.Read()
	if e := (*wire.CloseError)(nil); !errors.As(err, &e) || !strings.Contains(e.Reason, "out of phase") {
		t.Errorf("%v", err)
	}
	close(goOn)
	if code := <-a.ended; code != fault.Protocol {
		t.Errorf("code %d", code)
	}
}

// TestDoneOverContents confirms by a digest over contents that nobody compared.
func TestDoneOverContents(t *testing.T) {
	a := asking(t, nil)
	a.describe()
	a.send(wire.Encode(&wire.Done{Digest: make([]byte, 32), Changes: new(wire.Changes), Contents: true}))
	_, err := a.conn.Read()
	if e := (*wire.CloseError)(nil); !errors.As(err, &e) || !strings.Contains(e.Reason, "not compared") {
		t.Errorf("%v", err)
	}
	if code := <-a.ended; code != fault.Protocol {
		t.Errorf("code %d", code)
	}
}
