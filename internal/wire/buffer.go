package wire

import (
	"sync"
	"sync/atomic"
)

const (
	// MaxMessage is the length in bytes of the longest message: content of
	// one chunk (digest.ChunkSize) and a kilobyte for what describes it.
	MaxMessage = 1<<20 + 1<<10

	// Headroom is how many bytes are kept free before a message, so that a
	// transport can put its own header there and send both in one write.
	Headroom = 16
)

// Buffer holds one message, with room before it for a transport's header.
// Buffers are pooled: one owner at a time, who hands it on or frees it. An owner
// that holds it keeps it beside the one it was handed on to.
type Buffer struct {
	b    []byte // Headroom bytes, then the message
	size int    // without Headroom, when it was made
	pool *sync.Pool
	held atomic.Int32 // owners beside the first

	// Remake, unless nil, makes the same message once more, so that who may have to
	// send it again need not keep it. It is called while the session goes on, by any
	// goroutine, and fails where what the message was made of has changed.
	Remake func() (*Buffer, error)
	Recipe int // about how many bytes Remake keeps in memory

	// Mask is what a transport that has sent the message has left it masked
	// with, which it must know to send it once more: RFC 6455, 5.3. Zero is
	// not masked.
	Mask [4]byte
}

// The pools hold buffers of five capacities: a few numbers, control messages,
// descriptions, content that is compressed or little, content.
var pools = [...]struct {
	size int
	pool *sync.Pool
}{
	{256, new(sync.Pool)},
	{4 << 10, new(sync.Pool)},
	{64 << 10, new(sync.Pool)},
	{256 << 10, new(sync.Pool)},
	{MaxMessage, new(sync.Pool)},
}

// NewBuffer returns an empty buffer that holds up to capacity bytes without
// growing. A capacity over MaxMessage is a mistake of the caller: it panics.
func NewBuffer(capacity int) *Buffer {
	for i := range pools {
		p := &pools[i]
		if capacity > p.size {
			continue
		}
		if b, ok := p.pool.Get().(*Buffer); ok {
			b.b = b.b[:Headroom]
			return b
		}
		return &Buffer{b: make([]byte, Headroom, Headroom+p.size), size: p.size, pool: p.pool}
	}
	panic("wire: buffer over MaxMessage")
}

// Bytes returns the message.
func (b *Buffer) Bytes() []byte { return b.b[Headroom:] }

// Framed returns the message with the n bytes before it, n ≤ Headroom.
func (b *Buffer) Framed(n int) []byte { return b.b[Headroom-n:] }

// Room returns how many bytes can still be added without growing.
func (b *Buffer) Room() int { return cap(b.b) - len(b.b) }

// Extend lengthens the message by n bytes, n ≤ Room, and returns them. What
// they hold is not defined.
func (b *Buffer) Extend(n int) []byte {
	old := len(b.b)
	b.b = b.b[:old+n]
	return b.b[old:]
}

// Truncate shortens the message to n bytes.
func (b *Buffer) Truncate(n int) { b.b = b.b[:Headroom+n] }

// Append adds p to the message.
func (b *Buffer) Append(p ...byte) { b.b = append(b.b, p...) }

// set takes back what was appended to b.b.
func (b *Buffer) set(p []byte) { b.b = p }

// Footprint returns how much memory a message of n bytes takes in a buffer that fits.
func Footprint(n int) int {
	for i := range pools {
		if n <= pools[i].size {
			return pools[i].size
		}
	}
	return n
}

// Fitted returns the message in a buffer that fits, which may be b; otherwise it
// frees b.
func (b *Buffer) Fitted() *Buffer {
	n := len(b.Bytes())
	if Footprint(n) >= b.size {
		return b
	}
	fitting := NewBuffer(n)
	fitting.Append(b.Bytes()...)
	b.Free()
	return fitting
}

// Hold makes the caller one more owner.
func (b *Buffer) Hold() { b.held.Add(1) }

// Free gives the buffer back, when all its owners have. It must not be used
// afterwards. One that has grown is left to the garbage collector: the pools hold
// what they are for.
func (b *Buffer) Free() {
	if b == nil || b.held.Add(-1) >= 0 {
		return
	}
	b.held.Store(0)
	b.Mask, b.Remake, b.Recipe = [4]byte{}, nil, 0
	if cap(b.b) <= b.size+Headroom {
		b.pool.Put(b)
	}
}
