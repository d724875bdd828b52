// Package transport carries whole messages between two processes, over a
// WebSocket or in memory. Dial and Serve give connections over the network,
// Pipe gives both ends of one in this process; all are a wire.Conn.
//
// The one law: a stranger costs little. Before a message's length is known to
// be within the limit nothing is allocated for it; before a connection is
// upgraded it has ten seconds; web pages are refused; and a peer that is gone
// is noticed by its silence, while one that is merely slow is waited for.
//
// A connection fails once and for all: the first error is the one that every
// later call returns. A peer's close frame is a *wire.CloseError, a peer that
// breaks the rules of RFC 6455 an error that is wire.ErrFraming, silence one
// that is os.ErrDeadlineExceeded.
//
// # The library
//
// Only websocket.go imports it: gobwas/ws, for handshakes, frame headers and
// masks; what is between them is here, because it allows one write call per
// message and no copy. Measured for an upload over loopback, both ends in one
// process on two cores, messages of 256 KiB and 1 MiB:
//
//	                             MB/s          CPU s/GiB      allocations
//	gobwas/ws, frame level       5500  4950    0.28  0.28     0
//	gorilla/websocket v1.5.3     4000  3600    0.36  0.37     2
//	coder/websocket v1.8.15      1130  1170    1.3   1.25     0
//
// Of that nothing measurable is lost here, with pooled buffers and deadlines
// (BenchmarkWebSocketUpload: 4000 to 5500 MB/s, no allocations).
//
// gorilla copies each payload before it masks it (its write buffer was set to
// the message's size here), coder writes in pieces of 4 KiB.
//
// # Goroutines
//
// Each socket has one, keep, which ends with Close. Each upgraded connection
// of Serve has two more, its handler and a watch; Serve returns after them.
package transport
