package resume_test

import (
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/resume"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// far is the hostile side of FuzzConn: what comes is read, and passed over.
type far struct {
	t     *testing.T
	conn  wire.Conn
	calls *sync.WaitGroup
}

// connect returns this end of a connection whose other end is c's peer.
func (f *far) connect() (near wire.Conn) {
	near, f.conn = transport.Pipe(4)
	conn := f.conn
	f.calls.Go(func() {
		for {
			b, err := conn.Read()
			if err != nil {
				return
			}
			b.Free()
		}
	})
	return near
}

// FuzzConn has the other side acknowledge anything, go on with anything over one
// connection after the other, and leave in between: the session ends when it is closed, at
// the latest.
func FuzzConn(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		var calls sync.WaitGroup
		peer := &far{t, nil, &calls}
		c := resume.New(peer.connect(), resume.Options{Window: 1 << 16, Patience: time.Second, Log: slog.New(slog.DiscardHandler)})
		read := make(chan int, 1)
		go func() {
			n := 0
			for ; ; n++ {
				b, err := c.Read()
				if err != nil {
					break
				}
				b.Free()
			}
			_ = c.Close(wire.CloseNormal, "") // as a session does
			read <- n
		}()
		sent := 0
		send := func(b *wire.Buffer) { _ = peer.conn.Write(b) } // it may be over
		for steps := 0; len(data) >= 2 && steps < 200; steps++ {
			what, n := data[0], data[1]
			data = data[2:]
			number := uint64(n)
			if n > 250 {
				number = -uint64(n - 250)
			}
			switch what % 7 {
			case 0:
				send(wire.Encode(&wire.Ack{Received: number}))
			case 1:
				sent++
				send(wire.Encode(new(wire.Progress)))
			case 2: // short, so that it never waits for an acknowledgement
				_ = c.Write(wire.Encode(&wire.Problem{Path: make([]byte, int(n))}))
			case 3:
				wire.Abort(peer.conn)
			case 4:
				over, err := c.Detach()
				if err != nil {
					continue
				}
				near := peer.connect()
				calls.Go(func() { over.Attach(near, number) })
			case 5: // no Ack, so that it is for the session
				sent++
				b := wire.NewBuffer(3)
				b.Append(byte(wire.TypeAck), n&1, n)
				send(b)
			case 6:
				c.SetPatience(time.Duration(n) * time.Millisecond)
			}
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = c.Close(wire.CloseNormal, "") // whatever has become of it
			wire.CloseWith(peer.conn, nil)
			calls.Wait()
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the session does not end")
		}
		if n := <-read; n > sent {
			t.Errorf("%d messages came, of %d", n, sent)
		}
	})
}
