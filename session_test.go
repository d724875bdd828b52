package syncdirectory

import (
	"context"
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
