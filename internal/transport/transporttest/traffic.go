package transporttest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/wire"
)

// patience bounds every wait for something that should happen.
const patience = 20 * time.Second

// Message returns a message of a length whose bytes depend on seed.
func Message(length, seed int) *wire.Buffer {
	b := wire.NewBuffer(length)
	fill(b.Extend(length), seed)
	return b
}

func fill(p []byte, seed int) {
	for i := range p {
		p[i] = byte(i*31 + i>>8 + seed)
	}
}

// check fails if b is not Message(length, seed), and frees it.
func check(b *wire.Buffer, length, seed int) error {
	defer b.Free()
	p := b.Bytes()
	if len(p) != length {
		return fmt.Errorf("message of %d bytes, want %d", len(p), length)
	}
	for i := range p {
		if p[i] != byte(i*31+i>>8+seed) {
			return fmt.Errorf("message of %d bytes differs at %d", length, i)
		}
	}
	return nil
}

// within runs f and fails the test if it takes too long.
func within(t *testing.T, d time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s: still waiting after %v", what, d)
	}
}

// send writes messages of the sizes, seeded by their position.
func send(c wire.Conn, sizes []int) error {
	for i, n := range sizes {
		if err := c.Write(Message(n, i)); err != nil {
			return fmt.Errorf("write message %d: %w", i, err)
		}
	}
	return nil
}

// receive reads what send wrote.
func receive(c wire.Conn, sizes []int) error {
	for i, n := range sizes {
		b, err := c.Read()
		if err != nil {
			return fmt.Errorf("read message %d: %w", i, err)
		}
		if err := check(b, n, i); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

// all runs functions at once and fails the test with their errors.
func all(t *testing.T, fs ...func() error) {
	t.Helper()
	errs := make([]error, len(fs))
	within(t, patience, "traffic", func() {
		var wg sync.WaitGroup
		for i, f := range fs {
			wg.Go(func() { errs[i] = f() })
		}
		wg.Wait()
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// wantClosed fails unless err says that this side closed.
func wantClosed(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, wire.ErrClosed) {
		t.Errorf("%s: error %v, want %v", what, err, wire.ErrClosed)
	}
}

// wantCode fails unless err says that the peer closed with code.
func wantCode(t *testing.T, what string, err error, code wire.CloseCode) {
	t.Helper()
	var closed *wire.CloseError
	if !errors.As(err, &closed) {
		t.Errorf("%s: error %v, want that the peer closed", what, err)
	} else if closed.Code != code {
		t.Errorf("%s: close code %d, want %d", what, closed.Code, code)
	}
}

// wantSticky fails unless a connection that failed returns the same error.
func wantSticky(t *testing.T, c wire.Conn, want error) {
	t.Helper()
	for range 2 {
		if _, err := c.Read(); err != want {
			t.Errorf("later read: error %v, want %v", err, want)
		}
		if err := c.Write(Message(5, 0)); err != want {
			t.Errorf("later write: error %v, want %v", err, want)
		}
	}
}
