package dirfs

import (
	"sync"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// Handles gives the handles of the directories of a tree, and holds them
// while they are in use and for as long after as there is room. All methods
// are safe for concurrent use. No lock is held during a system call, so
// different directories are opened at the same time, and each only once.
type Handles struct {
	root Dir
	max  int

	mu     sync.Mutex // guards what follows, and the fields of every holding
	held   map[*tree.Dir]*holding
	places map[*tree.Dir]place
	idle   holding // ring of idle holdings; next is the one longest idle
	open   int     // handles that are open or being opened
}

// place is where a directory is that is not where its tree says.
type place struct {
	parent Dir
	name   string
}

// NewHandles returns the handles of the tree whose root, a node without
// Parent, is open as root. It holds at most max of them, the root apart, as
// long as no more are in use at once; below 2, 2. It does not close root.
func NewHandles(root Dir, max int) *Handles {
	h := &Handles{
		root:   root,
		max:    atLeast(max, 2),
		held:   make(map[*tree.Dir]*holding),
		places: make(map[*tree.Dir]place),
	}
	h.idle.prev, h.idle.next = &h.idle, &h.idle
	return h
}

// atLeast returns n, or least if n is below.
func atLeast(n, least int) int {
	if n < least {
		return least
	}
	return n
}

// Acquire returns the handle of d, which stays open until Release. Where Dev
// and Ino of d, or of a directory above that is opened on the way, are set
// and not those of what is there, the error is ErrReplaced. Acquire reads
// those fields and changes nothing in d.
func (h *Handles) Acquire(d *tree.Dir) (Dir, error) {
	if d.Parent == nil {
		return h.root, nil
	}
	path, from := h.nearest(d)
	for i := len(path) - 1; ; i-- {
		dir, err := from.wait()
		if err != nil || i < 0 {
			if err != nil {
				h.unuse(from)
			}
			return dir, err
		}
		next := h.enter(path[i], dir)
		h.unuse(from)
		from = next
	}
}

// Release ends the use that Acquire began.
func (h *Handles) Release(d *tree.Dir) {
	if d.Parent == nil {
		return
	}
	h.mu.Lock()
	e := h.held[d]
	h.mu.Unlock()
	if e == nil {
		panic("dirfs: Release without Acquire")
	}
	h.unuse(e)
}

// Check fails if a path no longer leads to d, since somebody has moved it or one
// above it away: what Acquire returns may be a handle that is held, which follows.
// What is put in the place of d is ErrReplaced.
func (h *Handles) Check(d *tree.Dir) error {
	for ; d.Parent != nil; d = d.Parent {
		placed, err := h.check(d)
		if placed || err != nil {
			return err
		}
	}
	return nil
}

// CheckName does so for the last step of the path, for who checks the directory that d
// is in later on.
func (h *Handles) CheckName(d *tree.Dir) error {
	_, err := h.check(d)
	return err
}

// check fails if d is not under its name in the directory that it is in. It reports
// whether it has a place, which is kept open, so that nothing above it matters.
func (h *Handles) check(d *tree.Dir) (placed bool, err error) {
	h.mu.Lock()
	p, placed := h.places[d]
	h.mu.Unlock()
	switch {
	case placed:
		return true, isStill(p.parent, p.name, d)
	case d.Parent == nil || d.Dev == 0 && d.Ino == 0:
		return false, nil
	}
	parent, err := h.Acquire(d.Parent)
	if err != nil {
		return false, err
	}
	defer h.Release(d.Parent)
	return false, isStill(parent, d.Name, d)
}

// isStill fails unless name in a directory is d, as far as is known what that is.
func isStill(in Dir, name string, d *tree.Dir) error {
	info, err := in.Stat(name)
	if err == nil && (d.Dev != 0 || d.Ino != 0) && (info.Dev != d.Dev || info.Ino != d.Ino) {
		err = fail("open", name, ErrReplaced)
	}
	return err
}

// Place says that, until further notice, d is not where its Parent and Name
// say but at name in parent: a new tree that is built aside, or one that was
// moved out of the way. The caller keeps parent open until Settle or Forget,
// and acquires nothing below d while it is renamed. The root has no place.
func (h *Handles) Place(d *tree.Dir, parent Dir, name string) {
	h.moved(d, func() { h.places[d] = place{parent, name} })
}

// Settle says that d was renamed to where its Parent and Name say. Handles of
// d and of what is below stay valid, since a handle follows a rename; where
// it does not follow, idle ones are dropped, and none may be in use.
func (h *Handles) Settle(d *tree.Dir) {
	h.moved(d, func() { delete(h.places, d) })
}

// Forget drops the handle and the place of d, which is about to be removed.
// The handle of a d that is in use is closed on its last Release.
func (h *Handles) Forget(d *tree.Dir) {
	h.mu.Lock()
	delete(h.places, d)
	e := h.held[d]
	if e != nil && e.users > 0 {
		e.forgotten, e = true, nil
	}
	if e != nil {
		h.dropLocked(e)
	}
	h.mu.Unlock()
	e.close()
}

// Close closes all handles. None may be in use.
func (h *Handles) Close() {
	h.mu.Lock()
	all := h.held
	h.held = make(map[*tree.Dir]*holding)
	h.idle.prev, h.idle.next = &h.idle, &h.idle
	h.open = 0
	h.mu.Unlock()
	for _, e := range all {
		e.close()
	}
}

// nearest returns the directories from d up to, and without, the nearest one
// whose handle is there, and that one's holding with a user more.
func (h *Handles) nearest(d *tree.Dir) ([]*tree.Dir, *holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var path []*tree.Dir
	for ; d.Parent != nil; d = d.Parent {
		if e := h.held[d]; e != nil {
			h.useLocked(e)
			return path, e
		}
		path = append(path, d)
		if p, ok := h.places[d]; ok {
			return path, given(p.parent)
		}
	}
	return path, given(h.root)
}

// enter returns the holding of d with a user more. Unless somebody else does,
// it opens d below parent.
func (h *Handles) enter(d *tree.Dir, parent Dir) *holding {
	h.mu.Lock()
	if e := h.held[d]; e != nil {
		h.useLocked(e)
		h.mu.Unlock()
		return e
	}
	e := &holding{key: d, users: 1, ready: make(chan struct{})}
	h.held[d] = e
	name := d.Name
	if p, ok := h.places[d]; ok {
		name = p.name
	}
	victim := h.makeRoomLocked()
	h.open++
	h.mu.Unlock()

	victim.close() // before the opening, so that max is kept to
	dir, err := h.openChecked(d, parent, name)
	h.mu.Lock()
	e.dir, e.err = dir, err
	if err != nil {
		h.dropLocked(e)
	}
	h.mu.Unlock()
	close(e.ready)
	return e
}

// makeRoomLocked takes the handle that was idle longest out of the table when
// another cannot be opened beside it, or returns nil.
func (h *Handles) makeRoomLocked() *holding {
	e := h.idle.next
	if h.open < h.max || e == &h.idle {
		return nil
	}
	h.dropLocked(e)
	return e
}

// openChecked opens name below parent and makes sure that it is d.
func (h *Handles) openChecked(d *tree.Dir, parent Dir, name string) (Dir, error) {
	dir, err := Patiently(func() (Dir, error) {
		dir, err := parent.OpenDir(name)
		for isTooMany(err) && h.closeIdle() {
			dir, err = parent.OpenDir(name)
		}
		return dir, err
	})
	if err != nil || d.Dev == 0 && d.Ino == 0 {
		return dir, err
	}
	info, err := dir.Self()
	if err == nil && (info.Dev != d.Dev || info.Ino != d.Ino) {
		err = fail("open", name, ErrReplaced)
	}
	if err != nil {
		_ = dir.Close() // nothing was written
		return nil, err
	}
	return dir, nil
}

// closeIdle closes all idle handles and reports whether there was one.
func (h *Handles) closeIdle() bool {
	h.mu.Lock()
	var closing []*holding
	for h.idle.next != &h.idle {
		closing = append(closing, h.idle.next)
		h.dropLocked(h.idle.next)
	}
	h.mu.Unlock()
	for _, e := range closing {
		e.close()
	}
	return len(closing) > 0
}

// moved records with note that d is elsewhere, and drops what stands for d
// and below where handles do not follow a rename.
func (h *Handles) moved(d *tree.Dir, note func()) {
	h.mu.Lock()
	note()
	var closing []*holding
	if pathBound(h.root) {
		for key, e := range h.held {
			if e.users == 0 && within(key, d) {
				h.dropLocked(e)
				closing = append(closing, e)
			}
		}
	}
	h.mu.Unlock()
	for _, e := range closing {
		e.close()
	}
}

// pathBound reports whether handles do not follow the rename of a directory
// above them.
func pathBound(d Dir) bool {
	p, ok := unwrap(d).(interface{ pathBound() bool })
	return ok && p.pathBound()
}

// within reports whether d is top or below it.
func within(d, top *tree.Dir) bool {
	for ; d != nil; d = d.Parent {
		if d == top {
			return true
		}
	}
	return false
}

// useLocked adds a user.
func (h *Handles) useLocked(e *holding) {
	if e.users == 0 {
		e.unlink()
	}
	e.users++
}

// unuse takes a user away. The last one's handle becomes idle, or is closed
// where there are too many or it is to be forgotten.
func (h *Handles) unuse(e *holding) {
	if e.key == nil {
		return // given
	}
	h.mu.Lock()
	e.users--
	var closing *holding
	if e.users == 0 && e.err == nil {
		h.idle.insert(e)
		if h.open > h.max || e.forgotten {
			h.dropLocked(e)
			closing = e
		}
	}
	h.mu.Unlock()
	closing.close()
}

// dropLocked takes e out of the table, and out of the idle ones.
func (h *Handles) dropLocked(e *holding) {
	if e.next != nil {
		e.unlink()
	}
	delete(h.held, e.key)
	h.open--
}
