package transport_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/transport/transporttest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestSilence(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{Conn: transport.Options{SilenceLimit: 200 * time.Millisecond}})
	_, _ = upgradeRaw(t, s, nil)
	ours := s.accept(t)
	start := time.Now()
	_, err := ours.Read()
	if !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "no sign of life for 200ms") {
		t.Errorf("read: %v", err)
	}
	if d := time.Since(start); d < 150*time.Millisecond || d > 2*time.Second {
		t.Errorf("noticed after %v", d)
	}
	if again := ours.Write(transporttest.Message(1, 0)); again != err {
		t.Errorf("write: %v, want %v", again, err)
	}
}

// TestSilenceEndsWrite: a write that is stuck at a dead peer ends with the
// read that notices.
func TestSilenceEndsWrite(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{Conn: transport.Options{SilenceLimit: 300 * time.Millisecond}})
	_, _ = upgradeRaw(t, s, nil)
	ours := s.accept(t)
	wrote := make(chan error, 1)
	go func() {
		for {
			if err := ours.Write(transporttest.Message(1<<20, 0)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	_, err := ours.Read()
	select {
	case got := <-wrote:
		if got != err {
			t.Errorf("write: %v, read: %v", got, err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the write is still stuck")
	}
}

// TestPings: an idle connection, one end of which does not even read for
// longer than the limit, lives.
func TestPings(t *testing.T) {
	t.Parallel()
	opts := transport.Options{PingAfter: 100 * time.Millisecond, SilenceLimit: time.Second}
	s := serve(t, transport.ServeOptions{Conn: opts})
	a := dial(t, s.url(), transport.DialOptions{Conn: opts})
	b := s.accept(t)
	read := make(chan error, 1)
	go func() {
		_, err := b.Read()
		read <- err
	}()
	time.Sleep(2500 * time.Millisecond)
	if err := b.Write(transporttest.Message(3, 0)); err != nil {
		t.Fatal(err)
	}
	if m, err := a.Read(); err != nil {
		t.Errorf("the first read, late: %v", err)
	} else {
		m.Free()
	}
	if sent, received := a.Counters(); sent != 0 || received != 5 {
		t.Errorf("counters %d and %d: pings must not count", sent, received)
	}
	_ = a.Close(wire.CloseNormal, "")
	var closed *wire.CloseError
	if err := <-read; !errors.As(err, &closed) {
		t.Errorf("the read that waited: %v", err)
	}
}

// TestTrickle: a message that arrives slowly is no silence.
func TestTrickle(t *testing.T) {
	t.Parallel()
	s := serve(t, transport.ServeOptions{Conn: transport.Options{SilenceLimit: time.Second}})
	c, _ := upgradeRaw(t, s, nil)
	ours := s.accept(t)
	go func() {
		for _, b := range masked(0x82, "slowly") {
			time.Sleep(150 * time.Millisecond)
			_, _ = c.Write([]byte{b})
		}
	}()
	m, err := ours.Read()
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Bytes()) != "slowly" {
		t.Errorf("message %q", m.Bytes())
	}
	m.Free()
}

// TestPingsDoNotBlockReads: neither end of a connection both of whose writes
// are stuck may stop reading in order to answer a ping.
func TestPingsDoNotBlockReads(t *testing.T) {
	t.Parallel()
	opts := transport.Options{PingAfter: time.Millisecond}
	s := serve(t, transport.ServeOptions{Conn: opts})
	c, _ := upgradeRaw(t, s, nil)
	ours := s.accept(t)
	stuck := make(chan error, 1)
	go func() {
		for {
			if err := ours.Write(transporttest.Message(1<<20, 0)); err != nil {
				stuck <- err
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond) // the peer does not read: it is stuck
	for range 100 {
		if _, err := c.Write(masked(0x89, "ping")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write(masked(0x82, "still here")); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		m, err := ours.Read()
		m.Free()
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the read waits behind a write")
	}
	_ = ours.Close(wire.CloseNormal, "")
	<-stuck
}

// refusing is a connection whose peer is gone, and whose last word is still
// on the way.
type refusing struct{ stream }

func (r *refusing) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func (r *refusing) Read(p []byte) (int, error) {
	time.Sleep(100 * time.Millisecond)
	return r.stream.Read(p)
}

// TestRefusalBeforeBrokenPipe: a write that fails first returns the reason
// that the peer gave.
func TestRefusalBeforeBrokenPipe(t *testing.T) {
	t.Parallel()
	c := transport.NewSocket(&refusing{stream{Reader: strings.NewReader("\x88\x04\x03\xf3no")}}, nil, true, transport.Options{})
	read := make(chan error, 1)
	go func() {
		_, err := c.Read()
		read <- err
	}()
	err := c.Write(transporttest.Message(1, 0))
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != wire.CloseInternal || closed.Reason != "no" {
		t.Errorf("write: %v", err)
	}
	if got := <-read; got != err {
		t.Errorf("read: %v, write: %v", got, err)
	}
	_ = c.Close(wire.CloseNormal, "")
}
