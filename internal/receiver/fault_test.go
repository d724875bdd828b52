package receiver_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
	"github.com/sync-directory/sync-directory/internal/wire/wiretest"
)

// A disk that is full ends the session, and every file that was made is
// closed.
func TestDiskFull(t *testing.T) {
	var armed atomic.Bool
	var mu sync.Mutex
	open := map[string]int{}
	p := destination(t, "./ @4\nbig =old", func(c dirfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		switch c.Op {
		case "Create":
			open[c.Name]++
		case "File.Close":
			open[c.Name]--
		case "File.WriteAt":
			if armed.Load() {
				return syscall.ENOSPC
			}
		}
		return nil
	})
	armed.Store(true)
	s := wiretest.Read(t, "testdata/large.txt")
	mine, theirs := transport.Pipe(4)
	ended := make(chan string)
	go func() { ended <- run(t.Context(), t, p, mine, false, options()) }()
	go func() {
		for {
			b, err := theirs.Read()
			if err != nil {
				return
			}
			b.Free()
		}
	}()
	for _, b := range s.Messages("seal", "listing 1 0=.", "chunk 1=big 0", "chunk 1=big 1") {
		_ = theirs.Write(b) // the session may be over
		time.Sleep(5 * time.Millisecond)
	}
	got := <-ended
	if !strings.HasPrefix(got, "11\n") || !strings.HasSuffix(got, "big 644 @1000 =old\n") {
		t.Errorf("got %s", got)
	}
	wire.CloseWith(theirs, nil)
	for name, n := range open {
		if n > 0 {
			t.Errorf("%s was left open", name)
		}
	}
}

// TestVerdictCounts has the sender close right after a verdict that is no success: it is
// the verdict that counts, and not that the connection is lost.
func TestVerdictCounts(t *testing.T) {
	s := wiretest.Read(t, "testdata/noop.txt")
	for range 200 {
		p := destination(t, s.Part("have"), nil)
		mine, theirs := transport.Pipe(4)
		ended := make(chan string)
		go func() { ended <- run(t.Context(), t, p, mine, false, options()) }()
		for _, b := range s.Messages("seal") {
			_ = theirs.Write(b) // the test fails below
		}
		if b, err := theirs.Read(); err == nil {
			b.Free()
		}
		_ = theirs.Write(wire.Encode(&wire.Verdict{Code: 12, Digest: make([]byte, 32)}))
		wire.CloseWith(theirs, nil)
		if got := <-ended; !strings.HasPrefix(got, "12\n") {
			t.Fatalf("got %s", got)
		}
	}
}
