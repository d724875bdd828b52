package wire_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func hello(role wire.Role, low, high uint32) *wire.Hello {
	id := []byte("0123456789abcdef")
	h := &wire.Hello{Version: high, VersionMin: low, Role: role, Session: id}
	if role == wire.Role_RECEIVER {
		h.Destination = &wire.Destination{Id: id, Canon: &wire.Canon{Granularity: 1}}
	}
	return h
}

// greeting lets both sides of a handshake run; each closes with its error.
func greeting(mine, theirs *wire.Hello, refusal error) (dialer, listener error) {
	a, b := transport.Pipe(1)
	done := make(chan error)
	go func() {
		_, err := wire.Welcome(b, func(*wire.Hello) (*wire.Hello, error) { return theirs, refusal })
		if err != nil {
			wire.CloseWith(b, err)
		}
		done <- err
	}()
	_, dialer = wire.Greet(a, mine)
	if dialer != nil {
		wire.CloseWith(a, dialer)
	}
	return dialer, <-done
}

func TestHandshake(t *testing.T) {
	const s, r = wire.Role_SENDER, wire.Role_RECEIVER
	for _, c := range []struct {
		name             string
		mine, theirs     *wire.Hello
		refusal          error
		dialer, listener fault.Code
		words            string // in the dialer's error
	}{
		{"sender dials", hello(s, 1, 1), hello(r, 1, 1), nil, 0, 0, ""},
		{"receiver dials", hello(r, 1, 1), hello(s, 1, 1), nil, 0, 0, ""},
		{"versions overlap", hello(s, 1, 2), hello(r, 2, 3), nil, 0, 0, ""},
		{"dialer too old", hello(s, 1, 1), hello(r, 2, 3), nil, fault.Version, fault.Version, "same release"},
		{"dialer too new", hello(s, 4, 5), hello(r, 2, 3), nil, fault.Version, fault.Version, "same release"},
		{"two senders", hello(s, 1, 1), hello(s, 1, 1), nil, fault.Usage, fault.Usage, "--output-dir"},
		{"two receivers", hello(r, 1, 1), hello(r, 1, 1), nil, fault.Usage, fault.Usage, "--from"},
		{"refused", hello(s, 1, 1), hello(r, 1, 1), fault.New(fault.Path, "no room"), fault.Path, fault.Path, "no room"},
	} {
		dialer, listener := greeting(c.mine, c.theirs, c.refusal)
		if fault.Of(dialer, 99) != c.dialer || fault.Of(listener, 99) != c.listener {
			t.Errorf("%s: dialer %v, listener %v", c.name, dialer, listener)
		}
		if c.words != "" && !strings.Contains(fmt.Sprint(dialer), c.words) {
			t.Errorf("%s: the dialer hears %q", c.name, dialer)
		}
	}
	if dialer, _ := greeting(hello(s, 1, 1), hello(r, 1, 1), wire.ErrBusy); !errors.Is(dialer, wire.ErrBusy) {
		t.Errorf("busy: %v", dialer)
	}
}

func message(b ...byte) *wire.Buffer {
	m := wire.NewBuffer(len(b))
	m.Append(b...)
	return m
}

func TestHandshakeGarbage(t *testing.T) {
	for name, m := range map[string][]byte{
		"nothing":            {},
		"flags":              {1, 1},
		"another message":    {5, 0},
		"no protobuf":        {1, 0, 0xff},
		"an empty hello":     {1, 0},
		"an unknown message": {200, 0, 1, 2, 3},
	} {
		for _, dials := range []bool{true, false} {
			a, b := transport.Pipe(2)
			var err error
			if dials {
				if err := b.Write(message(m...)); err != nil {
					t.Fatal(err)
				}
				_, err = wire.Greet(a, hello(wire.Role_SENDER, 1, 1))
			} else {
				if err := a.Write(message(m...)); err != nil {
					t.Fatal(err)
				}
				_, err = wire.Welcome(b, func(*wire.Hello) (*wire.Hello, error) {
					t.Errorf("%s was taken for a hello", name)
					return hello(wire.Role_RECEIVER, 1, 1), nil
				})
			}
			if !errors.Is(err, wire.ErrProtocol) || fault.Of(err, 99) != fault.Protocol {
				t.Errorf("%s, dialing %v: %v", name, dials, err)
			}
			wire.CloseWith(a, nil)
			wire.CloseWith(b, nil)
		}
	}
}

// A peer that says nothing is waited for until somebody closes.
func TestHandshakeSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := transport.Pipe(1)
		errs := make(chan error, 2)
		go func() { _, err := wire.Greet(a, hello(wire.Role_SENDER, 1, 1)); errs <- err }()
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(errs) != 0 {
			t.Fatalf("gave up by itself: %v", <-errs)
		}
		wire.CloseWith(a, fault.New(fault.Timeout, "silence"))
		if err := <-errs; !errors.Is(err, wire.ErrClosed) {
			t.Errorf("dialer: %v", err)
		}
		if _, err := b.Read(); err != nil {
			t.Errorf("the hello: %v", err)
		}
		if _, err := b.Read(); fault.Of(wire.Fault(err), 99) != fault.Timeout {
			t.Errorf("the peer hears %v", err)
		}
	})
}

// The listener's reason reaches a dialer that could not even say hello.
func TestGreetClosed(t *testing.T) {
	a, b := transport.Pipe(0)
	wire.CloseWith(b, fault.New(fault.Access, "not you"))
	if _, err := wire.Greet(a, hello(wire.Role_SENDER, 1, 1)); fault.Of(err, 99) != fault.Access {
		t.Errorf("got %v", err)
	}
	a, b = transport.Pipe(0)
	wire.CloseWith(a, nil)
	if _, err := wire.Greet(a, hello(wire.Role_SENDER, 1, 1)); !errors.Is(err, wire.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := wire.Welcome(b, nil); fault.Of(err, 99) != fault.Lost {
		t.Errorf("got %v", err)
	}
}

func TestCloseCodes(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code fault.Code
		text string
	}{
		{"success", nil, fault.Lost, "the other side closed the connection early"},
		{"a fault", fault.New(fault.Guard, "too much"), fault.Guard, "too much"},
		{"a protocol error", wire.Fault(wire.Errorf("bad")), fault.Protocol, "protocol broken: bad"},
		{"an error without code", errors.New("odd"), fault.Lost, "connection lost"},
		{"a long reason", fault.New(fault.Path, "%s", fault.Told(strings.Repeat("ü", 100))), fault.Path, strings.Repeat("ü", 60) + "..."},
		{"a reason that is no text", fault.New(fault.Path, "\xff"), fault.Path, "\uFFFD"},
		{"no reason", fault.New(fault.Path, ""), fault.Path, "source or destination cannot be used"},
		{"a path of this side", fault.New(fault.Path, "destination %s: %w", "/home/me", fs.ErrPermission), fault.Path, "destination: permission denied"},
	} {
		a, b := transport.Pipe(0)
		wire.CloseWith(a, c.err)
		_, err := b.Read()
		got := wire.Fault(err)
		if fault.Of(got, 99) != c.code || got.Error() != c.text {
			t.Errorf("%s: %d %q", c.name, fault.Of(got, 99), got)
		}
		if e := (*fault.Error)(nil); !errors.As(got, &e) || !e.Peer {
			t.Errorf("%s: not said to be the peer's", c.name)
		}
	}
	for code, want := range map[wire.CloseCode]fault.Code{
		wire.CloseNormal: fault.Lost, wire.CloseAway: fault.Lost, wire.CloseInternal: fault.Lost,
		wire.CloseProtocol: fault.Protocol, wire.CloseTooBig: fault.Protocol,
		4000: fault.Lost, 4001: fault.Usage, 4012: fault.Protocol, 4023: fault.Partial, 4102: fault.Lost, 1006: fault.Lost,
	} {
		if got := fault.Of(wire.Fault(&wire.CloseError{Code: code}), 99); got != want {
			t.Errorf("close code %d is fault %d, want %d", code, got, want)
		}
	}
	if err := wire.Fault(&wire.CloseError{Code: 4100}); !errors.Is(err, wire.ErrBusy) {
		t.Errorf("4100 is %v", err)
	}
	if err := wire.Fault(&wire.CloseError{Code: 4101}); !errors.Is(err, wire.ErrGone) {
		t.Errorf("4101 is %v", err)
	}
	if wire.Fault(nil) != nil {
		t.Error("no error is one")
	}
	if got := fault.Of(wire.Fault(fmt.Errorf("frame: %w", wire.ErrFraming)), 99); got != fault.Protocol {
		t.Errorf("broken framing is fault %d", got)
	}
	if err := (&wire.CloseError{Code: 4012, Reason: "\x1b[31m"}).Error(); strings.Contains(err, "\x1b") {
		t.Errorf("%q", err)
	}
}

// TestBreaks tells what ends a connection from what ends a session.
func TestBreaks(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"a reset", syscall.ECONNRESET, true},
		{"the end of the stream", io.ErrUnexpectedEOF, true},
		{"a proxy that stops", &wire.CloseError{Code: wire.CloseAway}, true},
		{"a proxy without anybody behind it", &wire.CloseError{Code: wire.CloseInternal}, true},
		{"a close without a code", &wire.CloseError{Code: 1005}, true},
		{"a proxy that restarts", &wire.CloseError{Code: 1012}, true},
		{"the verdict", &wire.CloseError{Code: wire.CloseNormal}, false},
		{"a fault", &wire.CloseError{Code: 4011}, false},
		{"busy", &wire.CloseError{Code: 4100}, false},
		{"a session that is over", &wire.CloseError{Code: 4101}, false},
		{"rules that we broke", &wire.CloseError{Code: wire.CloseProtocol}, false},
		{"a message that was too long", &wire.CloseError{Code: wire.CloseTooBig}, false},
		{"rules of WebSocket that the peer broke", fmt.Errorf("frame: %w", wire.ErrFraming), false},
		{"rules of ours that the peer broke", wire.Errorf("bad"), false},
		{"our own end", wire.ErrClosed, false},
		{"what has a code", fault.New(fault.Timeout, "too long"), false},
	} {
		if got := wire.Breaks(c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
