//go:build unix

package cli_test

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// cmdPeer is a peer that is no other release of this program, or a broken one:
//
//	peer VERSION listens PORT    a receiver that speaks only that version
//	peer broken listens PORT     a receiver that says hello, and then nonsense
//	peer broken dials PORT       a sender that says hello, and then nonsense
func cmdPeer(ts *testscript.TestScript, _ bool, args []string) {
	version := uint32(wire.Version)
	if args[0] != "broken" {
		v, err := strconv.Atoi(args[0])
		ts.Check(err)
		version = uint32(v)
	}
	port, err := strconv.Atoi(args[2])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	if args[1] == "dials" {
		defer cancel()
		conn, err := transport.Dial(ctx, "ws://localhost:"+args[2], transport.DialOptions{})
		ts.Check(err)
		_, err = wire.Greet(conn, peerHello(wire.Role_SENDER, version))
		ts.Check(err)
		nonsense(conn)
		return
	}
	listeners, err := transport.Listen(ctx, nil, port, discard)
	ts.Check(err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = transport.Serve(ctx, listeners, transport.ServeOptions{}, func(conn wire.Conn, _ transport.Caller) {
			_, err := wire.Welcome(conn, func(*wire.Hello) (*wire.Hello, error) { return peerHello(wire.Role_RECEIVER, version), nil })
			if err != nil {
				wire.CloseWith(conn, err)
				return
			}
			nonsense(conn)
		})
	}()
	w := worldOf(ts)
	w.closers = append(w.closers, func() { cancel(); <-ended })
}

func peerHello(role wire.Role, version uint32) *wire.Hello {
	h := &wire.Hello{Version: version, VersionMin: version, Role: role, Program: "peer", Session: make([]byte, 16)}
	if role == wire.Role_RECEIVER {
		h.Destination = &wire.Destination{Id: make([]byte, 16), Canon: wire.NewCanon(tree.Canon{Granularity: 1})}
	}
	return h
}

// nonsense sends a message of no known type and waits for the end.
func nonsense(conn wire.Conn) {
	b := wire.NewBuffer(2)
	b.Append(77, 0)
	_ = conn.Write(b)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		b, err := conn.Read()
		if err != nil {
			return
		}
		b.Free()
	}
}

var discard = slog.New(slog.DiscardHandler)
