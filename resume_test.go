package syncdirectory

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/linksim"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// trouble is a session over a link on which something happens.
type trouble struct {
	t       *testing.T
	link    *linksim.Proxy
	address string       // of the listener itself
	lists   atomic.Int64 // directories read by both sides
	said    lines
	retries int
	stalls  *pace // at the source
	slow    *pace // at the destination
	settles time.Duration
}

// lines are what both sides log.
type lines struct{ text atomic.Pointer[string] }

func (l *lines) Write(p []byte) (int, error) {
	for {
		old := l.text.Load()
		text := string(p)
		if old != nil {
			text = *old + text
		}
		if l.text.CompareAndSwap(old, &text) {
			return len(p), nil
		}
	}
}

func (l *lines) String() string {
	if p := l.text.Load(); p != nil {
		return *p
	}
	return ""
}

func (x *trouble) counts(c dirfs.Call) error {
	if c.Op == "List" {
		x.lists.Add(1)
	}
	return nil
}

// intervals make a dead connection noticed after two seconds.
var intervals = transport.Options{PingAfter: 600 * time.Millisecond, SilenceLimit: 2 * time.Second}

// mirror mirrors over a link, while meanwhile does something to it, with the sender
// dialling or the receiver. It returns what the ends returned.
func (x *trouble) mirror(from, to string, link linksim.Link, senderDials bool, meanwhile func()) (sent, received error) {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(io.MultiWriter(&x.said), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := (&Sender{Dir: from, Options: Options{Compression: "none", Log: log.With("side", "sender")}}).open()
	if err != nil {
		x.t.Fatal(err)
	}
	defer s.close()
	s.root = dirfs.Inject(s.root, func(c dirfs.Call) error {
		if err := x.stalls.before(c); err != nil {
			return err
		}
		return x.counts(c)
	})
	r := injected(x.t, Receiver{Dir: to, NoFsync: true, Options: Options{Log: log.With("side", "receiver")}}, func(c dirfs.Call) error {
		if err := x.slow.before(c); err != nil {
			return err
		}
		return x.counts(c)
	})
	listener, dialer := endpoint(r), endpoint(s)
	if !senderDials {
		listener, dialer = s, r
	}
	addresses, done := make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := listen(ctx, listener, ListenOptions{OnListening: func(a net.Addr) { addresses <- a.String() }, conn: intervals, settling: x.settles})
		done <- err
	}()
	x.address = <-addresses
	if x.link, err = linksim.Start(x.address, link); err != nil {
		x.t.Fatal(err)
	}
	defer x.link.Close()
	over := make(chan struct{})
	if meanwhile != nil {
		go func() { defer close(over); meanwhile() }()
		defer func() { <-over }()
	}
	_, dialled := dial(ctx, dialer, "ws://"+x.link.Addr(), DialOptions{Retries: x.retries, conn: intervals})
	if dialled != nil {
		cancel() // it would listen on
	}
	listened := <-done
	if cerr := r.close(); cerr != nil {
		x.t.Error(cerr)
	}
	if senderDials {
		return dialled, listened
	}
	return listened, dialled
}

// passed waits until so many bytes went over the link.
func (x *trouble) passed(n int64) {
	for x.t.Context().Err() == nil {
		if up, down, _ := x.link.Counts(); up+down >= n {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestResume has a session go on over another connection, whatever became of the
// one before: nothing is scanned again, and nothing sent again but what was under way.
func TestResume(t *testing.T) {
	t.Parallel()
	const size, directories = 48 << 20, 20
	const underWay = 4 << 20 // buffers of the system and of the link, and what is not acknowledged yet
	for _, c := range []struct {
		name      string
		link      linksim.Link
		meanwhile func(x *trouble)
		stalls    *pace
		breaks    int // at least
	}{
		{"resets", linksim.Link{Rate: 60 << 20, Cut: 18 << 20}, nil, nil, 2},
		{"a reset now and then", linksim.Link{Rate: 60 << 20}, func(x *trouble) {
			for i := range int64(4) {
				x.passed(10 << 20 * (i + 1))
				x.link.Reset()
			}
		}, nil, 3},
		{"a black hole", linksim.Link{Rate: 60 << 20}, func(x *trouble) { x.passed(20 << 20); x.link.Freeze() }, nil, 1},
		{"a proxy that is restarted", linksim.Link{Rate: 60 << 20}, func(x *trouble) {
			x.passed(20 << 20)
			x.link.Down()
			time.Sleep(time.Second)
			if err := x.link.Up(); err != nil {
				x.t.Error(err)
			}
		}, nil, 1},
		{"a proxy that ends what is idle", linksim.Link{Rate: 60 << 20, Idle: 400 * time.Millisecond}, nil,
			&pace{op: "File.ReadAt", at: 30, stall: 1200 * time.Millisecond}, 1},
		{"the very beginning", linksim.Link{Rate: 60 << 20}, func(x *trouble) { x.passed(900); x.link.Reset() }, nil, 0},
	} {
		for _, senderDials := range []bool{true, false} {
			for _, empty := range []bool{true, false} {
				name := fmt.Sprintf("%s/sender dials %v/empty %v", c.name, senderDials, empty)
				t.Run(name, func(t *testing.T) {
					t.Parallel() // they mostly wait
					dir := t.TempDir()
					from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
					for i := range directories {
						grow(t, from, fmt.Sprintf("d%d/f=%s", i, strings.Repeat("small", 1000)))
					}
					write(t, filepath.Join(from, "large"), size)
					grow(t, to)
					if !empty {
						grow(t, to, "extra/x=x", "d1/f=old")
					}
					x := &trouble{t: t, stalls: c.stalls}
					if c.stalls != nil {
						x.stalls = &pace{op: c.stalls.op, at: c.stalls.at, stall: c.stalls.stall}
					}
					var meanwhile func()
					if c.meanwhile != nil {
						meanwhile = func() { c.meanwhile(x) }
					}
					sent, received := x.mirror(from, to, c.link, senderDials, meanwhile)
					if sent != nil || received != nil {
						t.Fatalf("sender: %v, receiver: %v\n%s", sent, received, x.said.String())
					}
					if !maps.Equal(read(t, from), read(t, to)) {
						t.Error("the directories differ")
					}
					lists := int64(directories + 1)
					if !empty {
						lists += 3
					}
					if got := x.lists.Load(); got > lists+3 { // and those of the working directory
						t.Errorf("%d directories were read, of %d\n%s", got, lists, x.said.String())
					}
					breaks := strings.Count(x.said.String(), "connected again") / 2
					up, down, _ := x.link.Counts()
					t.Logf("broke %d times, %d bytes", breaks, up+down)
					if breaks < c.breaks {
						t.Errorf("it broke %d times only", breaks)
					}
					if most := int64(size+1<<20) + int64(breaks)*underWay; up+down > most {
						t.Errorf("%d bytes went over the link, want at most %d", up+down, most)
					}
				})
			}
		}
	}
}

// beganAnew fails unless another session has made the directories equal.
func (x *trouble) beganAnew(sent, received error, from, to string) {
	x.t.Helper()
	if sent != nil || received != nil || !strings.Contains(x.said.String(), "beginning another") {
		x.t.Errorf("sender: %v, receiver: %v\n%s", sent, received, x.said.String())
	}
	if !maps.Equal(read(x.t, from), read(x.t, to)) {
		x.t.Error("the directories differ")
	}
}

// TestSourceChangesWhileLost changes what was sent and did not arrive, while there is no
// connection: it cannot be sent once more, so another session begins and compares anew,
// also where the receiver takes long to clear away the first one.
func TestSourceChangesWhileLost(t *testing.T) {
	t.Parallel()
	for _, senderDials := range []bool{true, false} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		large := filepath.Join(from, "large")
		grow(t, from, "small=x")
		write(t, large, 48<<20)
		x := &trouble{t: t, settles: 50 * time.Millisecond, slow: &pace{op: "File.WriteAt", at: 8, stall: time.Second}}
		sent, received := x.mirror(from, to, linksim.Link{Rate: 40 << 20}, senderDials, func() {
			x.passed(8 << 20)
			x.link.Down()
			b, err := os.ReadFile(large)
			if err != nil {
				t.Error(err)
			}
			for i := range b {
				b[i] ^= 1
			}
			if err := os.WriteFile(large, b, 0o644); err != nil {
				t.Error(err)
			}
			if err := x.link.Up(); err != nil {
				t.Error(err)
			}
		})
		x.beganAnew(sent, received, from, to)
	}
}

// TestAllSentWhileLost changes the only file while it is under way and there is no
// connection: both sides wait for messages when it turns out that it cannot be sent once
// more.
func TestAllSentWhileLost(t *testing.T) {
	t.Parallel()
	for _, senderDials := range []bool{true, false} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		file := filepath.Join(from, "file")
		grow(t, from)
		write(t, file, 200<<10)
		grow(t, to, "extra=x")
		x := &trouble{t: t}
		sent, received := x.mirror(from, to, linksim.Link{Rate: 100 << 10}, senderDials, func() {
			x.passed(8 << 10)
			time.Sleep(100 * time.Millisecond) // all is in the buffers of the system
			x.link.Down()
			if err := os.WriteFile(file, []byte("other"), 0o644); err != nil {
				t.Error(err)
			}
			if err := x.link.Up(); err != nil {
				t.Error(err)
			}
		})
		x.beganAnew(sent, received, from, to)
	}
}

// TestBrokenAtAnyByte cuts the connection after every number of bytes, but for those
// between the ones that it tries: in the middle of a frame, after Done, in the Verdict.
// Both sides are through all the same, whichever of them dials.
func TestBrokenAtAnyByte(t *testing.T) {
	t.Parallel()
	for _, senderDials := range []bool{true, false} {
		session := func(t *testing.T, cut int64) int64 {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			grow(t, from, "changed=new", "d/new="+long, "same=x")
			grow(t, to, "changed=old!", "extra=x", "same=x")
			x := &trouble{t: t}
			sent, received := x.mirror(from, to, linksim.Link{Cut: cut, Once: true}, senderDials, nil)
			if sent != nil || received != nil {
				t.Errorf("after %d bytes: sender: %v, receiver: %v\n%s", cut, sent, received, x.said.String())
			}
			if !maps.Equal(read(t, from), read(t, to)) {
				t.Errorf("after %d bytes: the directories differ", cut)
			}
			up, down, _ := x.link.Counts()
			return up + down
		}
		all := session(t, 0)
		step := max(1, all/40)
		switch {
		case *many:
			step = 1
		case testing.Short() || raceDetector:
			step = all / 8
		}
		t.Logf("%d bytes, the sender dials: %v", all, senderDials)
		for cut := 1 + time.Now().UnixNano()%step; cut <= all+step; cut += step {
			t.Run(fmt.Sprintf("sender dials %v, cut after %d", senderDials, cut), func(t *testing.T) {
				t.Parallel() // they mostly wait
				session(t, cut)
			})
		}
	}
}

func write(t *testing.T, path string, size int) {
	t.Helper()
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*i>>7 + i)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLostUnderTimeout has a listener with a timeout lose its sender: it goes on
// listening, and takes the next one.
func TestLostUnderTimeout(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	grow(t, from, "small=x")
	write(t, filepath.Join(from, "large"), 16<<20)
	addresses, done := make(chan string, 1), make(chan error, 1)
	go func() {
		r := &Receiver{Dir: to, NoFsync: true, Options: Options{Timeout: time.Second}}
		_, err := r.Listen(t.Context(), ListenOptions{OnListening: func(a net.Addr) { addresses <- a.String() }, conn: intervals})
		done <- err
	}()
	address := <-addresses
	p, err := linksim.Start(address, linksim.Link{Cut: 4 << 20, Rate: 40 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &Sender{Dir: from, Options: Options{Compression: "none"}}
	if _, err := s.Dial(t.Context(), "ws://"+p.Addr(), DialOptions{Retries: -1}); CodeOf(err) != Lost {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // longer than the timeout
	if _, err := s.Dial(t.Context(), "ws://"+address, DialOptions{}); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestStrangersDoNotEndASession that waits for its peer: who has the wrong role or
// names a session that never was.
func TestStrangersDoNotEndASession(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	grow(t, from, "small=x")
	write(t, filepath.Join(from, "large"), 24<<20)
	x := &trouble{t: t}
	sent, received := x.mirror(from, to, linksim.Link{Rate: 40 << 20}, true, func() {
		x.passed(8 << 20)
		x.link.Down()
		time.Sleep(1200 * time.Millisecond) // a session that is lost for as long yields
		r := &Receiver{Dir: filepath.Join(dir, "other")}
		if _, err := r.Dial(t.Context(), "ws://"+x.address, DialOptions{Retries: -1}); CodeOf(err) != Usage {
			t.Errorf("another receiver: %v", err)
		}
		strange(t, x.address, &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Session: make([]byte, 16), Resume: &wire.Resume{Received: 7}}, false)
		if err := x.link.Up(); err != nil {
			t.Error(err)
		}
	})
	if sent != nil || received != nil || strings.Contains(x.said.String(), "beginning another") {
		t.Errorf("sender: %v, receiver: %v\n%s", sent, received, x.said.String())
	}
}

// TestNotRegained ends both sides when nobody comes back, the dialer after its
// retries.
func TestNotRegained(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	grow(t, from, "small=x")
	write(t, filepath.Join(from, "large"), 32<<20)
	grow(t, to, "extra=x")
	x := &trouble{t: t, retries: 2}
	sent, received := x.mirror(from, to, linksim.Link{Rate: 40 << 20}, true, func() { x.passed(8 << 20); x.link.Down() })
	if CodeOf(sent) != Lost || !strings.Contains(fmt.Sprint(sent), "2 attempts") {
		t.Errorf("sender: %v", sent)
	}
	if CodeOf(received) != Interrupted { // by the test: it would wait
		t.Errorf("receiver: %v", received)
	}
	if got := read(t, to); len(got) != 2 || got["extra"] != "file x" { // and the root itself
		t.Errorf("the destination has changed: %d entries", len(got))
	}
}
