package apply

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/scan"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Remove removes what the plan says, and what was displaced. Everything new
// is installed and made durable before.
func (a *Applier) Remove(ctx context.Context, removals []tree.Step, removed func()) error {
	displaced, err := readArea(ctx, a.Area.Displaced)
	if err != nil {
		return err
	}
	defer displaced.close()
	if len(removals) == 0 && displaced == nil {
		return nil
	}
	r := remover{handles: a.Handles, scanned: true, problem: a.Problem, removed: func() { a.Changes.Removed++; removed() }}
	if a.Backup != nil {
		if r.stays, err = a.saveRemoved(ctx, removals, displaced); err != nil {
			return err
		}
	}
	if a.wrote || a.Backup != nil {
		if err := a.syncInstalled(); err != nil {
			return err
		}
		if err := a.barrier(); err != nil {
			return err
		}
	}
	a.wrote = true
	a.checked = nil
	for i := range removals {
		s := &removals[i]
		if a.foldsOnto(s) {
			continue
		}
		if err := a.reached(s.Dir); err != nil {
			r.note(s.Dir, s.Entry(), err)
			continue
		}
		if err := r.remove(ctx, s.Dir, s.Entry()); err != nil {
			return err
		}
		a.touched(s.Within)
	}
	if DiskFailed(r.failed) {
		return Disk("remove", r.failed)
	}
	if a.leaves {
		return nil
	}
	return displaced.clear(ctx, r.removed)
}

// syncInstalled makes what was renamed in durable where a barrier does not.
func (a *Applier) syncInstalled() error {
	if !a.Area.SyncsEach() {
		return nil
	}
	for _, d := range a.order {
		if a.lost[d] {
			continue
		}
		if err := a.in(d, dirfs.Dir.Sync); err != nil {
			return Disk("sync "+d.Path(), err)
		}
	}
	return nil
}

// Displaced returns how many entries an earlier run has displaced and did not
// remove.
func (a *Applier) Displaced(ctx context.Context) (uint64, error) {
	c, err := readArea(ctx, a.Area.Displaced)
	if c == nil {
		return 0, err
	}
	defer c.close()
	return c.root.Entries() - 1, nil
}

// Clear removes everything in a directory of the area, without looking at a
// plan: what is there belongs to the receiver.
func (a *Applier) Clear(ctx context.Context, dir dirfs.Dir, removed func()) error {
	c, err := readArea(ctx, dir)
	if err != nil {
		return err
	}
	defer c.close()
	return c.clear(ctx, removed)
}

// areaTree is a directory of the area with what is in it; nil where that is nothing.
type areaTree struct {
	handles *dirfs.Handles
	root    tree.Entry
}

func readArea(ctx context.Context, dir dirfs.Dir) (*areaTree, error) {
	occupied := false
	err := dir.Names(func([]byte) bool { occupied = true; return false })
	if !occupied {
		return nil, Disk("read "+tree.Reserved, err)
	}
	c := &areaTree{handles: dirfs.NewHandles(dir, dirfs.DefaultHandles())}
	c.root, err = scan.Scan(ctx, c.handles, scan.Options{Workers: 1})
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = Disk("read "+tree.Reserved, err)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *areaTree) close() {
	if c != nil {
		c.handles.Close()
	}
}

// clear removes everything.
func (c *areaTree) clear(ctx context.Context, removed func()) error {
	if c == nil {
		return nil
	}
	var failed error
	r := remover{handles: c.handles, removed: removed, problem: func(path, op string, err error) { failed = errors.Join(failed, err) }}
	for i := range c.root.Dir.Entries {
		if err := r.remove(ctx, c.root.Dir, &c.root.Dir.Entries[i]); err != nil {
			return err
		}
	}
	return Disk("clear "+tree.Reserved, failed)
}

// remover removes trees, deepest first. It removes what was scanned and
// nothing else: where something has appeared since, its directory stays.
type remover struct {
	handles *dirfs.Handles
	stays   map[*tree.Entry]bool // what is not removed after all
	problem func(path, operation string, err error)
	removed func()
	scanned bool  // before the session, so that somebody may have changed it since
	failed  error // the last one
}

// foldsOnto reports whether what is to be removed is, on a file system that
// folds letter case, the very entry that was installed under a name of other
// case: a change of case alone is a rename, and nothing goes.
func (a *Applier) foldsOnto(s *tree.Step) bool {
	if !a.Area.Canon.FoldsCase {
		return false
	}
	name := s.Entry().Name
	for i := range s.Within.Entries {
		if strings.EqualFold(s.Within.Entries[i].Name, name) {
			return true
		}
	}
	return false
}

// remove removes entry e of d.
func (r *remover) remove(ctx context.Context, d *tree.Dir, e *tree.Entry) error {
	return walk(ctx, d, e, r.isStill, func(d *tree.Dir, e *tree.Entry) error {
		if !r.stays[e] {
			r.one(d, e)
		}
		return nil
	})
}

// walk calls f with every entry below entry e of d, deepest first, and with e itself:
// but for directories that move, and what enter, unless it is nil, says not to enter,
// and what is in them. It does not recurse.
func walk(ctx context.Context, d *tree.Dir, e *tree.Entry, enter func(*tree.Dir, *tree.Entry) bool, f func(*tree.Dir, *tree.Entry) error) error {
	type frame struct {
		in      *tree.Dir
		e       *tree.Entry
		next    int
		entered bool
	}
	stack := []frame{{in: d, e: e}}
	for len(stack) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		top := &stack[len(stack)-1]
		moved := top.e.Dir != nil && top.e.Flags&tree.Moved != 0 // and is elsewhere
		if moved || !top.entered && enter != nil && !enter(top.in, top.e) {
			stack = stack[:len(stack)-1]
			continue
		}
		top.entered = true
		if below := top.e.Dir; below != nil && top.next < len(below.Entries) {
			top.next++
			stack = append(stack, frame{in: below, e: &below.Entries[top.next-1]})
			continue
		}
		if err := f(top.in, top.e); err != nil {
			return err
		}
		stack = stack[:len(stack)-1]
	}
	return nil
}

// isStill reports whether an entry is what the scan saw, and tells the problem if
// it is not.
func (r *remover) isStill(d *tree.Dir, e *tree.Entry) bool {
	if !r.scanned || r.stays[e] { // of which the problem is told
		return true
	}
	_, err := with(r.handles, d, func(h dirfs.Dir) error {
		info, err := h.Stat(e.Name)
		if err == nil {
			err = isStill(e, info)
		}
		return err
	})
	if err != nil {
		r.note(d, e, err)
	}
	return err == nil
}

func (r *remover) one(d *tree.Dir, e *tree.Entry) {
	// A directory that is opened for this goes too, or is one whose metadata
	// is set at the end in any case.
	_, err := with(r.handles, d, func(h dirfs.Dir) error {
		if e.Dir == nil {
			return h.Remove(e.Name)
		}
		r.handles.Forget(e.Dir)
		return h.RemoveDir(e.Name)
	})
	r.note(d, e, err)
}

// note takes in what became of an entry.
func (r *remover) note(d *tree.Dir, e *tree.Entry, err error) {
	switch {
	case err == nil && e.Flags&tree.Moved != 0: // a further name now
	case err == nil:
		r.removed()
	case errors.Is(err, fs.ErrNotExist):
		// Somebody else did.
	default:
		r.failed = err
		r.problem(d.Join(e.Name), "remove", err)
	}
}
