package linksim_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers with what it gets.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // ends with the connection
			}()
		}
	}()
	return l.Addr().String()
}

func connect(t *testing.T, link linksim.Link) (*linksim.Proxy, net.Conn) {
	t.Helper()
	p, err := linksim.Start(echo(t), link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return p, c
}

func TestDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	p, c := connect(t, linksim.Link{Delay: delay})
	for range 3 {
		start := time.Now()
		b := []byte("hello")
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
			t.Fatalf("%q, %v", b, err)
		}
		if took := time.Since(start); took < 2*delay {
			t.Errorf("a round trip of %v", took)
		}
	}
	if up, down, trips := p.Counts(); up != 15 || down != 15 || trips != 3 {
		t.Errorf("%d bytes, %d back, %d round trips", up, down, trips)
	}
}

func TestRate(t *testing.T) {
	const rate, n = 4e6, 1 << 20
	_, c := connect(t, linksim.Link{Rate: rate})
	content := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	start := time.Now()
	go func() {
		_, _ = c.Write(content) // what is missing is seen by who reads
	}()
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("other bytes, %v", err)
	}
	if took := time.Since(start).Seconds(); took < n/rate*0.9 {
		t.Errorf("%d bytes in %.3f s", n, took)
	}
}

func TestCut(t *testing.T) {
	_, c := connect(t, linksim.Link{Cut: 100 << 10})
	written := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, 1<<20))
		written <- err
	}()
	n, err := io.Copy(io.Discard, c)
	err = errors.Join(err, <-written) // the system tells one of the two
	if err == nil || n >= 1<<20 {
		t.Errorf("%d bytes came back, %v", n, err)
	}
}

// What a link carries before it is cut is exactly as much as it says, and only the first
// connection that gets so far is cut, if that is asked for.
func TestCutOnce(t *testing.T) {
	p, c := connect(t, linksim.Link{Cut: 10, Once: true})
	if _, err := c.Write([]byte("0123456")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c) // until it is cut
	if up, down, _ := p.Counts(); up != 7 || down != 7 {
		t.Errorf("%d bytes arrive, %d are sent back", up, down)
	}
	again, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	b := []byte("0123456789abcdef")
	if _, err := again.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(again, b); err != nil {
		t.Errorf("the second one is cut: %v", err)
	}
}

func TestReset(t *testing.T) {
	p, c := connect(t, linksim.Link{})
	b := []byte("x")
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	p.Reset()
	if _, err := c.Read(b); err == nil {
		t.Error("goes on")
	}
}
