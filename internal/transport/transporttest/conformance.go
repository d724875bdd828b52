// Package transporttest holds what every wire.Conn must do, as one suite of
// tests for all transports.
//
// The one law: a test here knows nothing of the transport but wire.Conn. A
// transport that breaks a promise fails the subtest that is named after it.
package transporttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// Run tests the transport whose connections open makes. Each call of open
// returns the two ends of a new connection, which the suite closes; messages
// up to wire.MaxMessage must be let through.
func Run(t *testing.T, open func(t *testing.T) (a, b wire.Conn)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b wire.Conn)
	}{
		{"messages stay whole and in order", testSizes},
		{"both directions saturated", testSaturated},
		{"concurrent writers do not interleave", testWriters},
		{"close ends a read that waits", testCloseEndsRead},
		{"close ends a write that is stuck", testCloseEndsWrite},
		{"a message before close arrives", testCloseKeepsMessages},
		{"close on both sides at once", testCloseTogether},
		{"a write after the peer closed tells why", testWriteAfterClose},
		{"a close after the peer closed tells its failure", testCloseAfterFailure},
		{"an answer to a close tells nothing", testCloseAnswered},
		{"counters", testCounters},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := open(t)
			t.Run("forth", func(t *testing.T) { test.run(t, a, b) })
			shut(a, b)
			a, b = open(t)
			t.Run("back", func(t *testing.T) { test.run(t, b, a) })
			shut(a, b)
		})
	}
}

func shut(a, b wire.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() { _ = a.Close(wire.CloseNormal, "") })
	wg.Go(func() { _ = b.Close(wire.CloseNormal, "") })
	wg.Wait()
}

var sizes = []int{
	0, 1, 15, 16, 17, 124, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, 65537,
	1 << 20, 1<<20 + 1, 0, wire.MaxMessage - 1, wire.MaxMessage, 0, 0, 3,
}

func testSizes(t *testing.T, a, b wire.Conn) {
	all(t, func() error { return send(a, sizes) }, func() error { return receive(b, sizes) })
}

func testSaturated(t *testing.T, a, b wire.Conn) {
	load := make([]int, 0, 200)
	for i := range cap(load) {
		load = append(load, []int{7, 1000, 70_000, 300_000}[i%4])
	}
	all(t,
		func() error { return send(a, load) }, func() error { return receive(b, load) },
		func() error { return send(b, load) }, func() error { return receive(a, load) })
}

func testWriters(t *testing.T, a, b wire.Conn) {
	const writers, each = 8, 20
	work := make([]func() error, 0, writers+1)
	for w := range writers {
		work = append(work, func() error {
			for i := range each {
				m := Message(8+w*3000, w)
				binary.LittleEndian.PutUint32(m.Bytes(), uint32(w))
				binary.LittleEndian.PutUint32(m.Bytes()[4:], uint32(i))
				if err := a.Write(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	work = append(work, func() error { return receiveWriters(b, writers, each) })
	all(t, work...)
}

// receiveWriters checks that each writer's messages are whole and in order.
func receiveWriters(c wire.Conn, writers, each int) error {
	next := make([]uint32, writers)
	for range writers * each {
		m, err := c.Read()
		if err != nil {
			return err
		}
		w := binary.LittleEndian.Uint32(m.Bytes())
		i := binary.LittleEndian.Uint32(m.Bytes()[4:])
		if int(w) >= writers || i != next[w] {
			return fmt.Errorf("message %d of writer %d, want %d", i, w, next[w])
		}
		next[w]++
		fill(m.Bytes()[:8], int(w))
		if err := check(m, 8+int(w)*3000, int(w)); err != nil {
			return err
		}
	}
	return nil
}

func testCloseEndsRead(t *testing.T, a, b wire.Conn) {
	var errA, errB error
	within(t, patience, "reads", func() {
		var wg sync.WaitGroup
		wg.Go(func() { _, errA = a.Read() })
		wg.Go(func() { _, errB = b.Read() })
		time.Sleep(20 * time.Millisecond)
		_ = a.Close(wire.CloseInternal, "why")
		_ = a.Close(wire.CloseNormal, "not counted")
		wg.Wait()
	})
	wantClosed(t, "own read", errA)
	wantCode(t, "the peer's read", errB, wire.CloseInternal)
	var closed *wire.CloseError
	if errors.As(errB, &closed) && closed.Reason != "why" {
		t.Errorf("reason %q, want %q", closed.Reason, "why")
	}
	wantSticky(t, a, errA)
	wantSticky(t, b, errB)
	_ = b.Close(wire.CloseNormal, "")
	wantSticky(t, b, errB)
}

// flood writes until that fails.
func flood(c wire.Conn) error {
	for {
		if err := c.Write(Message(1<<20, 0)); err != nil {
			return err
		}
	}
}

func testCloseEndsWrite(t *testing.T, a, b wire.Conn) {
	var errA, errB error
	within(t, patience, "writes", func() {
		var wg sync.WaitGroup
		wg.Go(func() { errA = flood(a) })
		wg.Go(func() { errB = flood(b) })
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		_ = a.Close(wire.CloseAway, "")
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("close took %v", d)
		}
		wg.Wait()
	})
	wantClosed(t, "own write", errA)
	if errB == nil || errors.Is(errB, wire.ErrClosed) {
		t.Errorf("the peer's write: error %v", errB)
	}
}

func testCloseKeepsMessages(t *testing.T, a, b wire.Conn) {
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := send(a, []int{1 << 20, 1 << 20, 5}); err != nil {
			t.Error(err)
		}
		_ = a.Close(wire.CloseNormal, "done")
	})
	// What the peer still sends must not cost it what it has not read.
	wg.Go(func() { _ = b.Write(Message(5, 0)) })
	wg.Go(func() {
		time.Sleep(100 * time.Millisecond)
		if err := receive(b, []int{1 << 20, 1 << 20, 5}); err != nil {
			t.Error(err)
			return
		}
		_, err := b.Read()
		wantCode(t, "read after the last message", err, wire.CloseNormal)
	})
	// A pipe without depth hands over only to a reader.
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		if m, err := a.Read(); err == nil {
			m.Free()
		}
	}()
	within(t, patience, "last messages", wg.Wait)
	<-taken
}

func testCloseTogether(t *testing.T, a, b wire.Conn) {
	within(t, patience, "closing", func() {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = a.Close(wire.CloseNormal, "") })
			wg.Go(func() { _ = b.Close(wire.CloseNormal, "") })
			wg.Go(func() { _ = a.Write(Message(100, 0)) })
		}
		wg.Wait()
	})
	if _, err := a.Read(); err == nil {
		t.Error("read after close succeeded")
	}
}

// testWriteAfterClose: a peer that refuses says why, and the writer must
// learn it even if it notices first that nobody is there.
func testWriteAfterClose(t *testing.T, a, b wire.Conn) {
	var read, wrote error
	within(t, patience, "the refusal", func() {
		var wg sync.WaitGroup
		wg.Go(func() { wrote = flood(a) })
		wg.Go(func() {
			time.Sleep(20 * time.Millisecond)
			_ = b.Close(wire.CloseTooBig, "no")
		})
		wg.Go(func() { _, read = a.Read() })
		wg.Wait()
	})
	wantCode(t, "read", read, wire.CloseTooBig)
	wantCode(t, "write", wrote, wire.CloseTooBig)
}

// failed is what a peer closes with whose session has failed.
const failed wire.CloseCode = 4020

// testCloseAfterFailure: who has written all, and does not read any more, hears that the
// session has failed all the same.
func testCloseAfterFailure(t *testing.T, a, b wire.Conn) {
	closed := make(chan struct{})
	var errA error
	within(t, patience, "closing", func() {
		go func() {
			defer close(closed)
			_ = b.Close(failed, "why")
		}()
		time.Sleep(100 * time.Millisecond)
		errA = a.Close(wire.CloseNormal, "")
		<-closed
	})
	wantCode(t, "close", errA, failed)
	if err := a.Close(wire.CloseNormal, ""); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// testCloseAnswered: the code of a close comes back as it was, which is no failure of the
// other side.
func testCloseAnswered(t *testing.T, a, b wire.Conn) {
	var errA, errB error
	within(t, patience, "closing", func() {
		var wg sync.WaitGroup
		wg.Go(func() { _, errB = b.Read() })
		time.Sleep(20 * time.Millisecond)
		errA = a.Close(failed, "why")
		wg.Wait()
	})
	wantCode(t, "the peer's read", errB, failed)
	if errA != nil {
		t.Errorf("close: %v", errA)
	}
}

func testCounters(t *testing.T, a, b wire.Conn) {
	load := []int{0, 100, 5000, 70_000, 1 << 20}
	var payload int64
	for _, n := range load {
		payload += int64(n)
	}
	all(t, func() error { return send(a, load) }, func() error { return receive(b, load) })
	sent, none := a.Counters()
	_, received := b.Counters()
	if sent != received || none != 0 {
		t.Errorf("sent %d, received %d and %d, want equal and 0", sent, received, none)
	}
	if sent < payload || sent > payload+14*int64(len(load)) {
		t.Errorf("sent %d for %d bytes of messages", sent, payload)
	}
}
