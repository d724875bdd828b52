package dirfs

import "github.com/sync-directory/sync-directory/internal/tree"

// holding is a handle that is held or being opened.
type holding struct {
	key        *tree.Dir
	users      int
	forgotten  bool          // close it when the last user is gone
	ready      chan struct{} // closed when dir or err is set; nil if at once
	dir        Dir           // fixed once ready is closed
	err        error         // fixed once ready is closed
	prev, next *holding      // neighbours among the idle; nil when in use
}

// given returns a holding of a handle that is not ours to close.
func given(d Dir) *holding {
	return &holding{dir: d, users: 1}
}

// wait waits until the holding is ready.
func (e *holding) wait() (Dir, error) {
	if e.ready != nil {
		<-e.ready
	}
	return e.dir, e.err
}

// close closes the handle of a holding that left the table; nil is none.
func (e *holding) close() {
	if e != nil && e.dir != nil {
		_ = e.dir.Close() // nothing was written through it
	}
}

// insert puts e at the end of the ring that begins at r: the newest.
func (r *holding) insert(e *holding) {
	e.prev, e.next = r.prev, r
	r.prev.next, r.prev = e, e
}

// unlink takes e out of its ring.
func (e *holding) unlink() {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}
