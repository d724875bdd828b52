package syncdirectory

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// pace slows the calls of one kind down: each by every, and one of them, the
// at-th, by stall.
type pace struct {
	op    string
	every time.Duration
	at    int64
	stall time.Duration
	calls atomic.Int64
}

func (p *pace) before(c dirfs.Call) error {
	if p == nil || c.Op != p.op {
		return nil
	}
	if p.calls.Add(1) == p.at {
		time.Sleep(p.stall)
	}
	if p.every > 0 {
		time.Sleep(p.every)
	}
	return nil
}

// injected opens a receiver with calls ahead of those on its disk.
func injected(t *testing.T, receiver Receiver, before func(dirfs.Call) error) *taker {
	t.Helper()
	path, err := receiver.prepare()
	if err != nil {
		t.Fatal(err)
	}
	r := &taker{Receiver: receiver, path: path}
	r.Options = r.withDefaults(2)
	if r.root, err = dirfs.OpenRoot(path, dirfs.Options{}); err != nil {
		t.Fatal(err)
	}
	r.root = dirfs.Inject(r.root, before)
	if err := r.enter(path); err != nil {
		t.Fatal(err)
	}
	return r
}

// mirrorInjected mirrors over a real socket, with calls ahead of those on
// either disk.
func mirrorInjected(t *testing.T, from, to string, source, destination func(dirfs.Call) error) (sent, received error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := (&Sender{Dir: from}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.root = dirfs.Inject(s.root, source)
	r := injected(t, Receiver{Dir: to, NoFsync: true}, destination)
	urls, done := make(chan string, 1), make(chan error, 1)
	go func() {
		result, err := listen(ctx, r, ListenOptions{OnListening: func(a net.Addr) { urls <- "ws://" + a.String() }})
		_, err = closing(r, result, err)
		done <- err
	}()
	_, sent = dial(ctx, s, <-urls, DialOptions{})
	return sent, <-done
}

// mirrorPaced mirrors with either disk slowed down.
func mirrorPaced(t *testing.T, from, to string, source, destination *pace) {
	t.Helper()
	sent, received := mirrorInjected(t, from, to, source.before, destination.before)
	if sent != nil {
		t.Errorf("sender: %v", sent)
	}
	if received != nil {
		t.Errorf("receiver: %v", received)
	}
}

// heap is how many bytes of objects there are.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// peak calls f and returns by how much the heap grew meanwhile at most.
func peak(f func()) uint64 {
	runtime.GC()
	base, most := heap(), uint64(0)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most = max(most, heap())
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	f()
	close(done)
	<-ended
	return most - min(base, most)
}

// TestFlow has one side wait for the other in all ways: what is under way stays
// bounded, nothing hangs, and after a stall it goes on as fast as before.
func TestFlow(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	for i := range 600 {
		grow(t, from, fmt.Sprintf("d%d/%d=%s", i%20, i, make([]byte, 40_000)))
	}
	for i := range 4 {
		if err := os.WriteFile(filepath.Join(from, fmt.Sprint("large", i)), make([]byte, 20<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stall := 3 * time.Second
	if testing.Short() {
		stall = 500 * time.Millisecond
	}
	const bound = 48 << 20 // of both sides, for content of 104 MB
	usual := time.Duration(0)
	for i, c := range []struct {
		name                string
		source, destination *pace
		longer              time.Duration
	}{
		{name: "undisturbed"},
		{name: "a slow receiver", destination: &pace{op: "File.WriteAt", every: time.Millisecond}, longer: 700 * time.Millisecond},
		{name: "a slow sender", source: &pace{op: "File.ReadAt", every: time.Millisecond}, longer: 1400 * time.Millisecond},
		{name: "both slow", source: &pace{op: "File.ReadAt", every: time.Millisecond}, destination: &pace{op: "File.WriteAt", every: time.Millisecond}, longer: 1400 * time.Millisecond},
		{name: "the receiver's disk stalls", destination: &pace{op: "File.WriteAt", at: 100, stall: stall}, longer: stall},
		{name: "it stalls while files are made", destination: &pace{op: "Create", at: 300, stall: stall}, longer: stall},
		{name: "the sender's disk stalls", source: &pace{op: "File.ReadAt", at: 100, stall: stall}, longer: stall},
		{name: "the sender stalls while it scans", source: &pace{op: "OpenDir", at: 10, stall: stall}, longer: stall},
	} {
		to := filepath.Join(dir, fmt.Sprint("to", i))
		start := time.Now()
		most := peak(func() { mirrorPaced(t, from, to, c.source, c.destination) })
		took := time.Since(start)
		if i == 0 {
			usual = took
		}
		t.Logf("%s: %v, %d MiB at most", c.name, took.Round(time.Millisecond), most>>20)
		if most > bound && !raceDetector { // which lets pools lose what they hold
			t.Errorf("%s: the heap grew by %d MiB", c.name, most>>20)
		}
		if limit := c.longer + 3*usual + time.Second; took > limit && !raceDetector {
			t.Errorf("%s: took %v, more than %v", c.name, took, limit)
		}
		if want, got := read(t, from), read(t, to); !maps.Equal(want, got) {
			t.Errorf("%s: the directories differ: %d entries, want %d", c.name, len(got), len(want))
		}
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
	}
}
