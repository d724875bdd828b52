package transport_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"

	"github.com/sync-directory/sync-directory/internal/wire"
)

var benchSizes = []int{256 << 10, 1 << 20}

// BenchmarkWebSocketUpload sends messages from a client to a server: the
// direction that is masked.
func BenchmarkWebSocketUpload(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("ours/%dKiB", size>>10), func(b *testing.B) { uploadOurs(b, size, openPair) })
		b.Run(fmt.Sprintf("TLS inside/%dKiB", size>>10), func(b *testing.B) { uploadOurs(b, size, openSecret) })
		b.Run(fmt.Sprintf("coder/%dKiB", size>>10), func(b *testing.B) { uploadCoder(b, size) })
	}
}

func uploadOurs(b *testing.B, size int, open func(testing.TB, int) (a, b wire.Conn)) {
	from, to := open(b, 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := to.Read()
			if err != nil {
				return
			}
			m.Free()
		}
	}()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		m := wire.NewBuffer(size)
		m.Extend(size)
		if err := from.Write(m); err != nil {
			b.Fatal(err)
		}
	}
	_ = from.Close(wire.CloseNormal, "")
	<-done
}

func uploadCoder(b *testing.B, size int) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to, err := websocket.Accept(w, r, nil); err == nil {
			to.SetReadLimit(wire.MaxMessage)
			swallowCoder(to, size)
		}
	}))
	defer web.Close()
	c, _, err := websocket.Dial(b.Context(), web.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Write(b.Context(), websocket.MessageBinary, payload); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.CloseNow()
}

// swallowCoder reads messages of a size into one buffer until the end.
func swallowCoder(c *websocket.Conn, size int) {
	buf := make([]byte, size)
	for {
		_, r, err := c.Reader(context.Background())
		if err != nil {
			return
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			return
		}
		_, _ = r.Read(buf[:1]) // its end
	}
}
