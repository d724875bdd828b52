package transport

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// gate lets connections in: a bounded number, and each for a bounded time
// until it is upgraded. When it is full the connection that has waited longest
// without being admitted to a session goes, so that strays never keep anyone
// out, whether they ask for an upgrade or not.
type gate struct {
	most   int
	within time.Duration

	mu      sync.Mutex // guards the following
	inside  int
	waiting list.List // of *visitor, not admitted, the oldest in front
}

// visitor is a connection that is inside the gate.
type visitor struct {
	net.Conn
	gate *gate

	late    *time.Timer   // closes it; nothing that net/http does extends it
	place   *list.Element // in gate.waiting, nil when admitted; guarded by gate.mu
	outside bool          // guarded by gate.mu
}

// enter lets a connection in. It returns nil, with the connection closed, when
// all others inside are admitted.
func (g *gate) enter(conn net.Conn) *visitor {
	v := &visitor{Conn: conn, gate: g}
	g.mu.Lock()
	var oldest *visitor
	if g.inside >= g.most {
		front := g.waiting.Front()
		if front == nil {
			g.mu.Unlock()
			hardClose(conn)
			return nil
		}
		oldest = front.Value.(*visitor)
		oldest.leaveLocked()
	}
	g.inside++
	v.place = g.waiting.PushBack(v)
	// Armed before the first read: a deadline that is set later can be
	// waited out.
	v.late = time.AfterFunc(g.within, func() { hardClose(v) })
	g.mu.Unlock()
	if oldest != nil {
		hardClose(oldest)
	}
	return v
}

// upgraded takes the time limit off the connection: from now on who handles it
// bounds its time.
func (v *visitor) upgraded() {
	v.late.Stop() // too late: then it is closed, which its reader will notice
}

// admitted makes the connection one that stays.
func (v *visitor) admitted() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.unqueueLocked()
}

// Close closes the connection and frees its place.
func (v *visitor) Close() error {
	v.leave()
	return v.Conn.Close()
}

// CloseWrite lets net/http end an answer without a reset, which would take the
// answer along.
func (v *visitor) CloseWrite() error {
	if c, ok := v.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// leave frees the connection's place without closing it.
func (v *visitor) leave() {
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	v.leaveLocked()
	v.late.Stop()
}

// leaveLocked frees the place inside, once. gate.mu must be held.
func (v *visitor) leaveLocked() {
	v.unqueueLocked()
	if !v.outside {
		v.outside = true
		v.gate.inside--
	}
}

func (v *visitor) unqueueLocked() {
	if v.place != nil {
		v.gate.waiting.Remove(v.place)
		v.place = nil
	}
}

// gateListener is a listener whose connections pass a gate.
type gateListener struct {
	net.Listener
	gate *gate
}

func (l gateListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if v := l.gate.enter(conn); v != nil {
			return v, nil
		}
	}
}
