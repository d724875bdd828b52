package syncdirectory

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// opening is where a run with OnOpen takes place.
type opening struct {
	*testing.T
	from, to, saved, cache string
	port                   int // of somebody who waits, or who is to listen
	calls                  atomic.Int32
	err                    error // what OnOpen returns
}

// opened is an OnOpen. Everything that this side works in is there then.
func (o *opening) opened(dirs ...string) func() error {
	return func() error {
		o.calls.Add(1)
		for _, dir := range append(dirs, o.cache) {
			if info, err := os.Stat(dir); err != nil || !info.IsDir() {
				o.Errorf("when all is open %s is not: %v", dir, err)
			}
		}
		return o.err
	}
}

func (o *opening) sender() *Sender {
	return &Sender{Dir: o.from, Options: Options{Cache: o.cache, OnOpen: o.opened(o.from)}}
}

func (o *opening) receiver() *Receiver {
	working := filepath.Join(o.to, ".sync-directory")
	return &Receiver{Dir: o.to, BackupDir: o.saved, Options: Options{Cache: o.cache, OnOpen: o.opened(o.to, o.saved, working)}}
}

// url is where somebody waits who says nothing; whoever dials it has been told before that
// all is open.
func (o *opening) url() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if n := o.calls.Load(); n != 1 {
				o.Errorf("connected after %d calls", n)
			}
			conn.Close()
		}
	}()
	return "ws://" + l.Addr().String()
}

// listens returns options of a listener that is interrupted when it listens.
func (o *opening) listens(stop context.CancelCauseFunc) ListenOptions {
	return ListenOptions{Port: o.port, OnListening: func(net.Addr) {
		if n := o.calls.Load(); n != 1 {
			o.Errorf("listens after %d calls", n)
		}
		stop(fault.New(Interrupted, "enough"))
	}}
}

// runs are the ways to run, with the code that each comes to where OnOpen does not fail:
// nobody is on the other side.
var runs = []struct {
	name string
	run  func(ctx context.Context, o *opening, stop context.CancelCauseFunc) (Result, error)
	code Code
}{
	{"a sender dials", func(ctx context.Context, o *opening, _ context.CancelCauseFunc) (Result, error) {
		return o.sender().Dial(ctx, o.url(), DialOptions{ConnectTimeout: 50 * time.Millisecond})
	}, Connect},
	{"a receiver dials", func(ctx context.Context, o *opening, _ context.CancelCauseFunc) (Result, error) {
		return o.receiver().Dial(ctx, o.url(), DialOptions{ConnectTimeout: 50 * time.Millisecond})
	}, Connect},
	{"a sender listens", func(ctx context.Context, o *opening, stop context.CancelCauseFunc) (Result, error) {
		return o.sender().Listen(ctx, o.listens(stop))
	}, Interrupted},
	{"a receiver listens", func(ctx context.Context, o *opening, stop context.CancelCauseFunc) (Result, error) {
		return o.receiver().Listen(ctx, o.listens(stop))
	}, Interrupted},
	{"local, told to the sender", func(ctx context.Context, o *opening, _ context.CancelCauseFunc) (Result, error) {
		s, r := o.sender(), o.receiver()
		r.Cache = o.cache + "-of-the-receiver"
		s.OnOpen = o.opened(o.from, o.to, o.saved, r.Cache)
		return Local(ctx, s, r)
	}, OK},
	{"local, told to the receiver", func(ctx context.Context, o *opening, _ context.CancelCauseFunc) (Result, error) {
		s := o.sender()
		s.OnOpen = nil
		return Local(ctx, s, o.receiver())
	}, OK},
}

// newOpening makes a source, and nothing else.
func newOpening(t *testing.T, err error) *opening {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	grow(t, from, "a=x")
	return &opening{T: t, from: from, to: filepath.Join(dir, "new/to"), saved: filepath.Join(dir, "saved"), cache: filepath.Join(dir, "state/cache"), err: err}
}

// run runs one of them.
func (o *opening) run(i int) (Result, error) {
	o.Helper()
	t := o.T
	l, lerr := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if lerr != nil {
		t.Fatal(lerr)
	}
	o.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	result, err := runs[i].run(ctx, o, stop)
	if n := o.calls.Load(); n != 1 {
		t.Errorf("called %d times", n)
	}
	if result.Code != CodeOf(err) {
		t.Errorf("the result has code %d, the error %v", result.Code, err)
	}
	return result, err
}

// OnOpen is called once, when all is open, before anybody is connected or can connect.
func TestOnOpen(t *testing.T) {
	for i, r := range runs {
		t.Run(r.name, func(t *testing.T) {
			if result, err := newOpening(t, nil).run(i); result.Code != r.code {
				t.Errorf("got %d, %v, want %d", result.Code, err, r.code)
			}
		})
	}
}

// An error of OnOpen ends the run before anything else happens, and leaves what there was.
func TestOnOpenFails(t *testing.T) {
	refused := errors.New("not this way")
	for i, r := range runs {
		for _, c := range []struct {
			err  error
			code Code
		}{{refused, BadPath}, {fault.With(Guard, refused), Guard}} {
			t.Run(r.name, func(t *testing.T) {
				o := newOpening(t, c.err)
				result, err := o.run(i)
				if result.Code != c.code || !errors.Is(err, refused) {
					t.Errorf("got %d, %v", result.Code, err)
				}
				if left, err := os.ReadDir(o.to); len(left) != 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("in the destination there is %v, %v", left, err)
				}
				l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: o.port})
				if err != nil {
					t.Fatalf("the port is not free: %v", err)
				}
				l.Close()
				after, err := (&Receiver{Dir: o.to}).open()
				if err != nil {
					t.Fatalf("the destination is not: %v", err)
				}
				if err := after.close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// A cache that would lie in one of the directories is not made there.
func TestOnOpenMakesNoCacheInside(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	grow(t, from, "a=x")
	for _, cache := range []string{filepath.Join(from, "state"), filepath.Join(to, "state")} {
		o := Options{Cache: cache, OnOpen: func() error {
			if _, err := os.Lstat(cache); err == nil {
				t.Errorf("%s was made", cache)
			}
			return nil
		}}
		if _, err := Local(t.Context(), &Sender{Dir: from, Options: o}, &Receiver{Dir: to, Options: Options{Cache: cache}}); err != nil {
			t.Error(err)
		}
	}
}
