package receiver

import (
	"sync"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// target is a file that is wanted from the sender. Writers see only what is
// set before it is asked for, and what mu guards; the tree is the session's.
type target struct {
	id    uint64
	what  wire.Wanted // what is asked for now
	step  tree.Step
	dir   *tree.Dir
	name  string // its own, or in the stage
	build bool   // goes right to its place, in a directory that is built

	method method      // how its content is got
	tried  bool        // another way than whole, if there is one
	shape  delta.Shape // by delta: of what a signature was sent
	sums   int         // by delta: its bytes

	mu      sync.Mutex // guards what follows
	large   *stage.Large
	held    bool    // the handle of dir, for large
	change  *change // by outline; set by the session, which reads it without mu
	ended   *wire.End
	err     error
	writing int    // writers that are in large now
	parts   uint64 // that writers are done with, written or passed over
	settled bool   // its outcome is told

	// What comparing found, on this side and on the other; owned by the
	// session.
	local, remote *digest.Digest
}

// restate notes what the sender told of the file last, which stands for what the
// description said.
func (t *target) restate(m *wire.Meta) {
	e := t.step.Entry()
	e.Size, e.Perm = m.Size, m.Perm
	e.SetMTime(m.MTime)
	t.step.Dir.Changed()
}

// dirHandle calls f with the handle of the directory that t is written to.
func (t *target) dirHandle(s *session, f func(dirfs.Dir) error) error {
	if !t.build {
		return f(s.area.Files)
	}
	h, err := s.handles.Acquire(t.dir)
	if err != nil {
		return err
	}
	defer s.handles.Release(t.dir)
	return f(h)
}

// create makes the file of t for chunks. The handle of its directory is held
// until the file is done. t.mu must be held.
func (t *target) create(s *session) (err error) {
	h := s.area.Files
	if t.build {
		if h, err = s.handles.Acquire(t.dir); err != nil {
			return err
		}
		t.held = true
	}
	if t.large, err = s.area.Create(h, t.name, s.Policy.Sparse); err != nil {
		t.release(s)
	}
	return err
}

func (t *target) release(s *session) {
	if t.held {
		s.handles.Release(t.dir)
		t.held = false
	}
}

// doneLarge lets go of the file of t, if it has one. t.mu must be held.
func (t *target) doneLarge(s *session) {
	if t.large != nil {
		t.large = nil
		s.begunLarge.Add(-1)
	}
}

// discardLocked removes the file of t, if it has one. t.mu must be held.
func (t *target) discardLocked() {
	if t.large != nil {
		t.large.Discard()
	}
}

// void discards what came of t. No writer works on it.
func (t *target) void(s *session) {
	t.end(s, (*stage.Large).Discard)
}

// keep lets go of t, of which a later session takes up what came. No writer works
// on it.
func (t *target) keep(s *session) { t.end(s, (*stage.Large).Leave) }

func (t *target) end(s *session, file func(*stage.Large)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unchangeLocked(s)
	if t.large != nil {
		file(t.large)
		t.doneLarge(s)
	}
	t.release(s)
	t.ended, t.err, t.parts = nil, nil, 0
}

// outcome is what a worker found out about a target.
type outcome struct {
	t     *target
	info  dirfs.Info     // after writing
	size  int64          // content written
	local *digest.Digest // of a comparison, nil where the file cannot be read
	hash  bool           // it is one
	then  func() error   // what the session does, instead of all else
	err   error
}

// inbox takes outcomes from workers, who never wait, to the session.
type inbox struct {
	mu    sync.Mutex // guards list
	list  []outcome
	spare []outcome     // what take returned last; owned by the session
	ready chan struct{} // holds one token while list is not empty
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (b *inbox) put(outcomes ...outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, outcomes...)
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what is there. It is valid until take is called again.
func (b *inbox) take() []outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.spare) // lets go of the targets
	b.list, b.spare = b.spare[:0], b.list
	return b.spare
}
