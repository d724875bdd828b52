//go:build unix

package syncdirectory

import (
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// TestInterruptedWhileOneWaits: who waits for the session while the listener is
// interrupted is told just that, and not that the listener goes on with another one.
func TestInterruptedWhileOneWaits(t *testing.T) {
	l := listens(t, &Receiver{Dir: t.TempDir(), NoFsync: true}, ListenOptions{settling: time.Minute})
	hello := func() (told chan error) {
		c, err := transport.Dial(t.Context(), l.url, transport.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { wire.CloseWith(c, nil) })
		told = make(chan error, 1)
		go func() {
			_, err := wire.Greet(c, &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: make([]byte, 16)})
			told <- err
		}()
		return told
	}
	if err := <-hello(); err != nil {
		t.Fatal(err)
	}
	told := hello()
	select {
	case err := <-told:
		t.Fatalf("does not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	l.stop()
	select {
	case err := <-told:
		if CodeOf(err) != Interrupted {
			t.Errorf("told %v", err)
		}
	case <-time.After(patience):
		t.Error("told nothing")
	}
	if out := l.end(t); out.result.Code != Interrupted {
		t.Errorf("ended with %+v", out)
	}
}
