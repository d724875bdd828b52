//go:build unix

package syncdirectory

import (
	"errors"
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// foul is what a hostile sender does, and what must become of it.
type foul struct {
	name  string
	empty bool                 // the destination holds nothing, and is streamed to
	want  string               // what the sender says that it has; after unless it is given
	hello func(h *wire.Hello)  // changes the sender's Hello
	first string               // the first message instead of it, if any
	asks  func(r *Receiver)    // changes the receiver
	about func(*ground, *foul) // changes what needs to know where the two meet

	// play is what the sender does after the Hellos: lines as wiretest has them, and
	// ?TYPE waits for a message of a type.
	play []string

	code Code           // of the session, and what the peer is told
	says string         // a pattern for why
	told wire.CloseCode // where the peer is told another code than that of the session
	// stays says that the receiver listens on, since this is no verdict.
	stays bool
	// gets says that the destination is, or may be, what the sender says that it has.
	gets bool
}

// begin opens a session as the sender, as f has it. It returns nil where there can be none.
func (f *foul) begin(t testing.TB, conn wire.Conn, dials bool) *player {
	h := &wire.Hello{Version: 1, VersionMin: 1, Role: wire.Role_SENDER, Program: "hostile", Session: []byte("0123456789abcdef")}
	if f.hello != nil {
		f.hello(h)
	}
	if !dials {
		if b, err := conn.Read(); err == nil {
			b.Free()
		}
	}
	if f.first != "" {
		for _, b := range messages(f.first) {
			_ = conn.Write(b) // which it may refuse before it has it all
		}
	} else {
		_ = conn.Write(wire.Encode(h))
	}
	if f.first == "" && f.play != nil && dials {
		b, err := conn.Read()
		if err != nil {
			t.Fatal(err)
		}
		b.Free()
	}
	if a, ok := conn.(wire.Admitter); ok {
		a.Admit()
	}
	return newPlayer(conn)
}

// does has the peer do what it does, and returns why the connection has ended.
func (f *foul) does(t testing.TB, conn wire.Conn, dials bool) error {
	t.Helper()
	p := f.begin(t, conn, dials)
	f.plays(t, p, f.play...)
	return p.over(t)
}

// plays has p do what lines say.
func (f *foul) plays(t testing.TB, p *player, lines ...string) {
	t.Helper()
	p.plays(t, f.wanting(), lines, nil)
}

func (f *foul) wanting() string {
	if f.want == "" {
		return after
	}
	return f.want
}

// isTold fails unless the peer is told what it has done.
func (f *foul) isTold(t testing.TB, err error) {
	t.Helper()
	want := f.told
	if want == 0 {
		want = 4000 + wire.CloseCode(f.code)
	}
	c := (*wire.CloseError)(nil)
	if !errors.As(err, &c) || c.Code != want {
		t.Errorf("the peer is told %v, %+v, want %d", err, c, want)
	} else if want == 4000+wire.CloseCode(f.code) {
		f.fits(t, c.Reason)
	}
}

// fits fails unless a reason is the one.
func (f *foul) fits(t testing.TB, reason string) {
	t.Helper()
	if ok, err := regexp.MatchString(f.says, reason); !ok || err != nil {
		t.Errorf("it says %q, not %q, %v", reason, f.says, err)
	}
}

// ends fails unless a session of the receiver ended as it should.
func (f *foul) ends(t testing.TB, out outcome) {
	t.Helper()
	if out.result.Code != f.code || CodeOf(out.err) != f.code && out.err != nil {
		t.Errorf("the receiver ends with %d, %v, not %d", out.result.Code, out.err, f.code)
	}
	if out.err != nil {
		f.fits(t, out.err.Error())
	}
}

// let reports whether the peer is let into a session.
func (f *foul) let() bool { return f.play != nil }

// receiver returns the receiver that is to be harmed.
func (f *foul) receiver(g *ground) *Receiver {
	r := &Receiver{Dir: g.to, NoFsync: true}
	if f.asks != nil {
		f.asks(r)
	}
	if f.about != nil {
		f.about(g, f)
	}
	return r
}

// left fails unless all is what it was, or what the sender said where it may be.
func (f *foul) left(g *ground) {
	g.Helper()
	g.same("outside", g.outside, g.canary)
	if !f.gets {
		g.same("the destination", g.to, g.was)
		return
	}
	want := g.TempDir()
	treetest.Make(g, want, f.wanting())
	if got, want := treetest.Read(g, g.to), treetest.Read(g, want); got != want {
		g.Errorf("there is\n%swant\n%s", got, want)
	}
}

// Each hostile sender alone meets a receiver that listens: it is refused for what it does,
// and told so, nothing is changed, and either the receiver listens on and an honest sender
// gets through, or the run ends with the reason, and the next one heals what there is to heal.
func TestHostileSenders(t *testing.T) {
	all := fouls()
	if len(all) < 120 {
		t.Errorf("%d cases are too few", len(all))
	}
	t.Logf("%d cases", len(all))
	for _, f := range some(all) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t, f.empty)
			l := listens(t, f.receiver(g), ListenOptions{settling: 100 * time.Millisecond})
			f.isTold(t, f.does(t, dialRaw(t, l.url), true))
			if f.let() {
				f.ends(t, l.session(t))
			}
			if !f.stays {
				f.ends(t, l.end(t))
				f.left(g)
				g.recovers()
				return
			}
			f.left(g)
			g.heals(l.url)
			if out := l.end(t); out.err != nil {
				t.Errorf("after the honest sender: %v", out.err)
			}
		})
	}
}

// A receiver that keeps running meets all of them, one after the other, and then an honest
// sender.
func TestHostileSendersInTurn(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		g := newGround(t, empty)
		l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{KeepRunning: true})
		for _, f := range fouls() {
			if f.empty != empty || f.gets || f.asks != nil || f.about != nil {
				continue
			}
			ok := t.Run(f.name, func(t *testing.T) {
				f.isTold(t, f.does(t, dialRaw(t, l.url), true))
				if f.let() {
					f.ends(t, l.session(t))
				}
				g.untouched()
				g.forgets() // what is staged would be wanted otherwise the next time
			})
			if !ok {
				return
			}
		}
		g.heals(l.url)
		l.stop()
		if out := l.end(t); CodeOf(out.err) != Interrupted {
			t.Error(out.err)
		}
	}
}

// A receiver that dials fares no worse.
func TestHostileSendersThatListen(t *testing.T) {
	for _, f := range some(fouls()) {
		if f.hello != nil && f.play == nil {
			continue // of who dials, or told otherwise
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t, f.empty)
			url := serveRaw(t, func(conn wire.Conn) { _ = f.does(t, conn, false) })
			result, err := f.receiver(g).Dial(t.Context(), url, DialOptions{Retries: -1, ConnectTimeout: patience})
			if f.first == "" {
				f.ends(t, outcome{result, err})
			} else if CodeOf(err) != Protocol {
				t.Errorf("ends with %v", err)
			}
			f.left(g)
			g.recovers()
		})
	}
}

// foulResumes are Hellos that go on with a session which the peer has, or not, and what
// becomes of them and of that session.
var foulResumes = []struct {
	name    string
	session string
	came    uint64 // messages, as it says
	told    wire.CloseCode
	ends    bool // the session does
}{
	{"another session", "0123456789abcdeF", 0, 4101, false},
	{"another session, with all there can be", "fedcba9876543210", 1<<64 - 1, 4101, false},
	{"a part of its name", "0123456789", 0, 4012, false},
	{"more than its name", "0123456789abcdef0", 0, 4012, false},
	{"no name", "", 0, 4012, false},
	{"the session, with more than was sent", "0123456789abcdef", 99, 4012, true},
	{"the session, with all there can be", "0123456789abcdef", 1<<64 - 1, 4012, true},
}

// Who goes on with a session that is not his is told that there is none, and the session
// goes on with whose it is. Who knows its name, and says of it what cannot be, ends it.
func TestHostileResumes(t *testing.T) {
	for _, c := range foulResumes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := newGround(t, false)
			l := listens(t, &Receiver{Dir: g.to, NoFsync: true}, ListenOptions{})
			honest := &foul{want: little, gets: true, play: confirmed}
			p := honest.begin(t, dialRaw(t, l.url), true)
			honest.plays(t, p, asked...)
			f := &foul{code: Protocol, told: c.told, stays: true, hello: func(h *wire.Hello) {
				h.Session, h.Resume = []byte(c.session), &wire.Resume{Received: c.came}
			}}
			if !c.ends {
				f.isTold(t, f.does(t, dialRaw(t, l.url), true))
				honest.plays(t, p, confirmed[len(asked):]...)
				honest.plays(t, p, "verdict 0")
				if out := l.end(t); out.err != nil {
					t.Error(out.err)
				}
				honest.left(g)
				return
			}
			conn := dialRaw(t, l.url)
			other := f.begin(t, conn, true)
			f.isTold(t, other.over(t))
			f.ends(t, l.end(t))
			g.untouched()
			g.recovers()
		})
	}
}

// some returns all cases, or a few of each kind where everything takes its time.
func some[C any](all []C) (few []C) {
	if !raceDetector {
		return all
	}
	for i := 0; i < len(all); i += 7 {
		few = append(few, all[i])
	}
	return few
}

// dialRaw connects to a listener, without a word.
func dialRaw(t testing.TB, url string) wire.Conn {
	t.Helper()
	conn, err := transport.Dial(t.Context(), url, transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { wire.Abort(conn) })
	return conn
}

// serveRaw listens, and has every connection handled.
func serveRaw(t testing.TB, handle func(wire.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, done := t.Context(), make(chan struct{})
	go func() {
		defer close(done)
		if err := transport.Serve(ctx, []net.Listener{l}, transport.ServeOptions{}, func(c wire.Conn, _ transport.Caller) { handle(c) }); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { <-done })
	return "ws://" + l.Addr().String()
}
