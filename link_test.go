package syncdirectory

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/linksim"
)

// across mirrors from into to over a link, and returns what passed and how
// both ends ended. The receiver stops listening when the sender has.
func across(t *testing.T, from, to string, link linksim.Link) (bytes, roundTrips int64, sent, received error) {
	t.Helper()
	_, bytes, roundTrips, sent, received = acrossTo(t, from, &Receiver{Dir: to, NoFsync: true}, link)
	return bytes, roundTrips, sent, received
}

// acrossTo is across to a receiver with options, whose result it returns too.
func acrossTo(t *testing.T, from string, r *Receiver, link linksim.Link) (result Result, bytes, roundTrips int64, sent, received error) {
	t.Helper()
	urls, done := make(chan string, 1), make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		var err error
		result, err = r.Listen(ctx, ListenOptions{OnListening: func(a net.Addr) { urls <- a.String() }})
		done <- err
	}()
	p, err := linksim.Start(<-urls, link)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &Sender{Dir: from, Options: Options{Compression: "none"}}
	_, sent = s.Dial(ctx, "ws://"+p.Addr(), DialOptions{Retries: -1})
	if sent != nil {
		stop() // it would listen on
	}
	received = <-done
	up, down, roundTrips := p.Counts()
	return result, up + down, roundTrips, sent, received
}

// TestRoundTrips counts what a distance multiplies: one round trip for the
// upgrade, and three for the session where nothing has changed, or nothing was
// there.
func TestRoundTrips(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	old := time.Unix(1e9, 0)
	for i := range 2000 {
		path := filepath.Join(from, fmt.Sprint(i%7), fmt.Sprint(i%50), fmt.Sprint(i))
		grow(t, from, strings.TrimPrefix(path, from+"/")+"=content")
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	link := linksim.Link{Delay: 5 * time.Millisecond}
	for _, c := range []struct {
		name   string
		before func() error
		bytes  int64
		trips  int64
	}{
		{"into nothing", func() error { return os.RemoveAll(to) }, 1 << 20, 4},
		{"nothing changed", func() error { time.Sleep(2 * time.Second); return nil }, 1300, 4},
		{"one file changed", func() error {
			return os.WriteFile(filepath.Join(from, "3/17/17"), fmt.Append(nil, time.Now().UnixNano()), 0o644)
		}, 16 << 10, 7},
	} {
		// A machine that is busy with something else sends apart what belongs
		// together: the fewest of some attempts are what it takes.
		for attempt := 1; ; attempt++ {
			if err := c.before(); err != nil {
				t.Fatal(err)
			}
			bytes, trips, sent, received := across(t, from, to, link)
			t.Logf("%s: %d bytes, %d round trips", c.name, bytes, trips)
			if sent != nil || received != nil || bytes > c.bytes || trips > c.trips && attempt == 5 {
				t.Errorf("%s: %d bytes, %d round trips, %v, %v", c.name, bytes, trips, sent, received)
			}
			if trips <= c.trips || attempt == 5 {
				break
			}
		}
	}
}

// TestCutLink cuts the connection in the middle of the content: both sides say
// so, the old content stands, and the next run makes up for it.
func TestCutLink(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	grow(t, from, "large=LARGE", "small=new")
	grow(t, to, "large=old", "small=old", "extra=x")
	before := read(t, to)
	_, _, sent, received := across(t, from, to, linksim.Link{Cut: 1 << 20})
	if CodeOf(sent) != Lost || CodeOf(received) != Interrupted {
		t.Errorf("sender %v, receiver %v", sent, received)
	}
	for path, content := range read(t, to) {
		if content != before[path] {
			t.Errorf("%s has changed", path)
		}
	}
	if _, _, sent, received := across(t, from, to, linksim.Link{}); sent != nil || received != nil {
		t.Errorf("again: %v, %v", sent, received)
	}
}
