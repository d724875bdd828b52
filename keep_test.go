package syncdirectory

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/linksim"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

var many = flag.Bool("many", false, "a thousand sessions for one receiver, not 150, and a cut after every byte of one")

// TestNothingGrows has one receiver serve session after session, a third of which
// break in one way or another: neither handles nor goroutines nor memory grow, and no
// file is left that is not the source's.
func TestNothingGrows(t *testing.T) {
	sessions := 150
	if *many {
		sessions = 1000
	}
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	grow(t, from, "a=x", "d/b=y", "d/e/c=z")
	write(t, filepath.Join(from, "large"), 3<<20)
	ctx, stop := context.WithCancel(t.Context())
	addresses, done := make(chan string, 1), make(chan error, 1)
	var ended atomic.Int64
	r := &Receiver{Dir: to, NoFsync: true}
	go func() {
		_, err := r.Listen(ctx, ListenOptions{
			KeepRunning: true,
			OnListening: func(a net.Addr) { addresses <- a.String() },
			OnSession:   func(Result, error) { ended.Add(1) },
			conn:        intervals,
			settling:    20 * time.Millisecond,
		})
		done <- err
	}()
	address := <-addresses
	var base usage
	for i := range sessions {
		if err := os.WriteFile(filepath.Join(from, "changes"), fmt.Append(nil, i), 0o644); err != nil {
			t.Fatal(err)
		}
		if i%3 != 2 {
			s := &Sender{Dir: from, Options: Options{Compression: "none"}}
			if _, err := s.Dial(ctx, "ws://"+address, DialOptions{conn: intervals}); err != nil {
				t.Fatalf("session %d: %v", i, err)
			}
		} else {
			write(t, filepath.Join(from, fmt.Sprint("large", i)), 3<<20)
			breakSession(t, i/3, from, address)
			if err := os.Remove(filepath.Join(from, fmt.Sprint("large", i))); err != nil {
				t.Fatal(err)
			}
		}
		if i == 30 {
			base = settled(nil)
		}
	}
	now := settled(&base)
	t.Logf("after 31 sessions %+v, after %d %+v", base, sessions, now)
	if now.handles > base.handles || now.goroutines > base.goroutines || now.heap > base.heap+4<<20 {
		t.Error("that has grown")
	}
	if got := ended.Load(); got < int64(sessions*3/4) {
		t.Errorf("%d sessions were reported", got)
	}
	if s := (&Sender{Dir: from}); true { // what the last one has left
		if _, err := s.Dial(ctx, "ws://"+address, DialOptions{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(to, ".sync-directory")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the working directory is left: %v", err)
	}
	if want, got := read(t, from), read(t, to); len(want) != len(got) {
		t.Errorf("%d entries, want %d", len(got), len(want))
	}
	stop()
	if err := <-done; CodeOf(err) != Interrupted {
		t.Error(err)
	}
}

// usage is what a process has of what could leak.
type usage struct {
	handles, goroutines int
	heap                uint64
}

// settled returns what is in use when what is about to end has ended, if that is no
// more than before.
func settled(before *usage) (u usage) {
	for range 50 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		open, _ := os.ReadDir("/proc/self/fd") // elsewhere nothing is counted
		u = usage{len(open), runtime.NumGoroutine(), m.HeapAlloc}
		if before != nil && u.handles <= before.handles && u.goroutines <= before.goroutines {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return u
}

// breakSession begins a session that comes to no good end.
func breakSession(t *testing.T, way int, from, address string) {
	t.Helper()
	s := &Sender{Dir: from, Options: Options{Compression: "none"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	switch way % 5 {
	case 0: // lost, and given up
		p, err := linksim.Start(address, linksim.Link{Cut: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if _, err := s.Dial(ctx, "ws://"+p.Addr(), DialOptions{Retries: -1}); CodeOf(err) != Lost {
			t.Errorf("lost: %v", err)
		}
	case 1: // stopped in the middle
		p, err := linksim.Start(address, linksim.Link{Rate: 20 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		time.AfterFunc(80*time.Millisecond, cancel)
		if _, err := s.Dial(ctx, "ws://"+p.Addr(), DialOptions{}); CodeOf(err) != Interrupted {
			t.Errorf("stopped: %v", err)
		}
	case 2: // a plain connection that says nothing
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	case 3: // a hello, and then nothing that makes sense
		strange(t, address, &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: make([]byte, 16)}, true)
	case 4: // who goes on with what never was
		strange(t, address, &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: make([]byte, 16), Resume: &wire.Resume{Received: 7}}, false)
	}
}

// strange says hello, which is answered or not, and then a message that nobody may
// send.
func strange(t *testing.T, address string, hello *wire.Hello, answered bool) {
	t.Helper()
	c, err := transport.Dial(t.Context(), "ws://"+address, transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer wire.CloseWith(c, nil)
	_, err = wire.Greet(c, hello)
	if answered != (err == nil) || !answered && !errors.Is(err, wire.ErrGone) {
		t.Errorf("hello: %v", err)
	}
	if err == nil {
		_ = c.Write(wire.Encode(&wire.Ack{Received: 1 << 40})) // what comes of it is read
		for err == nil {
			_, err = c.Read()
		}
	}
}
