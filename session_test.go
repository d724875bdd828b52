package syncdirectory

import (
	"context"
	"sync"
	"testing"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// TestBarrierAfterFailedSession: what a session has written that failed may not
// be durable, so the next one ends with a barrier even if it finds nothing to
// do. A working directory that was there at the start makes it do that.
func TestBarrierAfterFailedSession(t *testing.T) {
	r, err := (&Receiver{Dir: t.TempDir()}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	if r.area.Leftover {
		t.Fatal("a fresh directory has leftovers")
	}
	mine, err := r.hello()
	if err != nil {
		t.Fatal(err)
	}
	here, there := newPipe()
	wire.CloseWith(there, nil)
	err = r.session(t.Context(), link{conn: here, mine: mine, peer: &wire.Hello{Role: wire.Role_SENDER}}, &run{Options: r.options(), problems: report.NewProblems(nil)})
	if CodeOf(err) != Lost {
		t.Errorf("a session whose sender leaves ends with %v", err)
	}
	if r.area == nil || !r.area.Leftover {
		t.Error("the next session would not end with a barrier")
	}
}

// Who is interrupted while the other side has not said hello yet is interrupted,
// and has not lost a connection.
func TestInterruptedBeforeHello(t *testing.T) {
	s, err := (&Sender{Dir: t.TempDir()}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	here, there := newPipe()
	defer wire.CloseWith(there, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if _, err := there.Read(); err != nil { // our hello
			t.Error(err)
		}
		cancel(fault.New(Interrupted, "enough"))
	}()
	if _, err := greet(ctx, s, here); CodeOf(err) != Interrupted {
		t.Errorf("got %v", err)
	}
}

// cutIn is a connection on which a verdict arrives in the moment in which the run is
// interrupted.
type cutIn struct {
	wire.Conn
	interrupt func()
	once      sync.Once
	closed    chan struct{}
	said      wire.CloseCode
}

func (d *cutIn) Read() (*wire.Buffer, error) {
	b, err := d.Conn.Read()
	if err != nil {
		return b, err
	}
	if t, err := wire.TypeOf(b.Bytes()); err == nil && t == wire.TypeVerdict {
		d.interrupt()
		<-d.closed
	}
	return b, nil
}

func (d *cutIn) Close(code wire.CloseCode, reason string) error {
	d.once.Do(func() {
		d.said = code
		close(d.closed)
	})
	return d.Conn.Close(code, reason)
}

// TestInterruptedWithTheVerdict: a receiver that has told its sender that it was interrupted
// ends so, even if everything is there.
func TestInterruptedWithTheVerdict(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	grow(t, from, "a=x")
	s, err := (&Sender{Dir: from}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r, err := (&Receiver{Dir: to, NoFsync: true}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	ctx, cancel := context.WithCancelCause(t.Context())
	a, b := newPipe()
	d := &cutIn{Conn: b, interrupt: func() { cancel(fault.New(Interrupted, "enough")) }, closed: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if l, err := greet(t.Context(), s, a); err == nil {
			_, _ = carry(t.Context(), s, l) // it hears of it or not: a pipe does not wait
		}
	}()
	l, err := welcome(d, func(*wire.Hello) (*wire.Hello, error) { return r.hello() })
	if err != nil {
		t.Fatal(err)
	}
	if _, err = carry(ctx, r, l); CodeOf(err) != Interrupted || d.said != 4020 {
		t.Errorf("ends with %v, and says %d", err, d.said)
	}
	<-ended
}
