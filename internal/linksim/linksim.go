// Package linksim is a slow or broken link on one machine: a TCP proxy that
// delays, limits and cuts, and counts what passes. Tests and the benchmark
// measure through it what a distance does.
//
// Its law: bytes arrive unchanged and in order, or the connection is reset.
package linksim

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Link is what is between two programs. The zero value is a link that only
// counts.
type Link struct {
	Delay time.Duration // one way
	Rate  float64       // bytes a second in each direction; 0 for any
	Cut   int64         // bytes after which a connection is reset; 0 for never
	Once  bool          // only the first connection that gets so far is cut
	Tap   func([]byte)  // hears what arrives, in both directions at once; nil for nobody
	Idle  time.Duration // after which a connection on which nothing passes is ended, as proxies do; 0 for never
}

// Proxy is a link that is up.
type Proxy struct {
	link     Link
	to       string
	listener net.Listener

	up, down atomic.Int64
	turns    atomic.Int64
	last     atomic.Int32 // direction in which something arrived last
	wasCut   atomic.Bool

	mu     sync.Mutex // guards the rest, and listener
	conns  map[net.Conn]*path
	closed bool
	wg     sync.WaitGroup
}

// path is a connection through the link.
type path struct {
	frozen atomic.Bool  // nothing passes any more, and nobody is told
	last   atomic.Int64 // when something passed, in nanoseconds of Unix time
	passed atomic.Int64
}

// Start listens on a free port of this machine and forwards to the address to.
func Start(to string, link Link) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{link: link, to: to, listener: l, conns: make(map[net.Conn]*path)}
	p.wg.Go(func() { p.serve(l) })
	return p, nil
}

// Addr returns where to connect.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.listener.Addr().String()
}

// Counts returns the bytes that have arrived, towards the address that is
// forwarded to and back, and the round trips: how often the direction has
// turned and turned back.
func (p *Proxy) Counts() (up, down, roundTrips int64) {
	return p.up.Load(), p.down.Load(), (p.turns.Load() + 1) / 2
}

// Close resets what is open and returns when everything has ended.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		reset(c)
	}
	p.mu.Unlock()
	_ = p.listener.Close() // nothing to lose
	p.wg.Wait()
}

// Reset cuts the connections that are open now.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

// Freeze makes the connections that are open now black holes: nothing passes, and
// neither end is told. New ones are not affected.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.frozen.Store(true)
	}
}

// Down ends what is open, in an orderly way, and refuses connections until Up.
func (p *Proxy) Down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close() // nothing to lose
	for c := range p.conns {
		_ = c.Close()
	}
}

// Up takes connections again, where it did before.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := net.Listen("tcp", p.listener.Addr().String())
	if err != nil {
		return err
	}
	p.listener = l
	p.wg.Go(func() { p.serve(l) })
	return nil
}

// reset ends a connection as a failing network does.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // otherwise it ends in an orderly way, which is fine too
	}
	_ = c.Close()
}

func (p *Proxy) serve(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.forward(near) })
	}
}

func (p *Proxy) forward(near net.Conn) {
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		reset(near)
		return
	}
	way := new(path)
	way.last.Store(time.Now().UnixNano())
	if !p.keep(way, near, far) {
		return
	}
	defer p.drop(near, far)
	var both sync.WaitGroup
	ended := make(chan struct{})
	if p.link.Idle > 0 {
		p.wg.Go(func() { p.watch(way, ended, near, far) })
	}
	both.Go(func() { p.pump(far, near, &p.up, 1, way) })
	both.Go(func() { p.pump(near, far, &p.down, 2, way) })
	both.Wait()
	close(ended)
}

// watch ends a path on which nothing passes.
func (p *Proxy) watch(way *path, ended <-chan struct{}, conns ...net.Conn) {
	tick := time.NewTicker(p.link.Idle / 10)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
		}
		if time.Since(time.Unix(0, way.last.Load())) > p.link.Idle {
			for _, c := range conns {
				_ = c.Close() // orderly
			}
			return
		}
	}
}

func (p *Proxy) keep(way *path, conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			reset(c)
		} else {
			p.conns[c] = way
		}
	}
	return !p.closed
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // it may be closed
		delete(p.conns, c)
	}
}

// packet is what is on its way.
type packet struct {
	due     time.Time
	content []byte
}

// buffer is how much time a link's buffer holds: no more is taken from a sender
// than what leaves within that.
const buffer = 50 * time.Millisecond

// pump carries what comes from src to dst until either ends.
func (p *Proxy) pump(dst, src net.Conn, count *atomic.Int64, direction int32, way *path) {
	flying := make(chan packet, 4096)
	p.wg.Go(func() { p.take(src, flying) })
	for k := range flying {
		time.Sleep(time.Until(k.due))
		if way.frozen.Load() {
			continue
		}
		way.last.Store(time.Now().UnixNano())
		if p.last.Swap(direction) != direction {
			p.turns.Add(1)
		}
		count.Add(int64(len(k.content)))
		if p.link.Tap != nil {
			p.link.Tap(k.content)
		}
		content, cut := p.cuts(k.content, way)
		if _, err := dst.Write(content); err != nil || cut {
			reset(src)
			reset(dst)
			break
		}
	}
	if t, ok := dst.(*net.TCPConn); ok {
		_ = t.CloseWrite() // it may be gone
	}
	for range flying { // lets take go
	}
}

// cuts returns how much of what passes still does, and whether the connection is cut
// after that.
func (p *Proxy) cuts(content []byte, way *path) ([]byte, bool) {
	if p.link.Cut == 0 {
		return content, false
	}
	n := int64(len(content))
	over := way.passed.Add(n) - p.link.Cut
	if over < 0 || p.link.Once && p.wasCut.Swap(true) {
		return content, false
	}
	return content[:n-min(over, n)], true
}

// take reads from src as fast as the link takes it.
func (p *Proxy) take(src net.Conn, flying chan<- packet) {
	defer close(flying)
	free := time.Now() // when the link is through with what was taken
	for {
		content := make([]byte, 64<<10)
		n, err := src.Read(content)
		if n > 0 {
			now := time.Now()
			if p.link.Rate > 0 {
				if free.Before(now) {
					free = now
				}
				free = free.Add(time.Duration(float64(n) / p.link.Rate * float64(time.Second)))
				now = free
				time.Sleep(time.Until(free) - buffer)
			}
			flying <- packet{now.Add(p.link.Delay), content[:n]}
		}
		if err != nil {
			return
		}
	}
}
