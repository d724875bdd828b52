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
	displaced, err := occupied(a.Area.Displaced)
	if err != nil {
		return Disk("read", err)
	}
	if len(removals) == 0 && !displaced {
		return nil
	}
	if a.wrote {
		if err := a.syncInstalled(); err != nil {
			return err
		}
		if err := a.Area.Barrier(); err != nil {
			return Disk("sync", err)
		}
	}
	a.wrote = true
	a.checked = nil
	r := remover{handles: a.Handles, scanned: true, problem: a.Problem, removed: func() { a.Changes.Removed++; removed() }}
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
	if displaced {
		return a.Clear(ctx, a.Area.Displaced, r.removed)
	}
	return nil
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
func (a *Applier) Displaced(ctx context.Context) (n uint64, err error) {
	if found, err := occupied(a.Area.Displaced); !found {
		return 0, Disk("read "+tree.Reserved, err)
	}
	handles := dirfs.NewHandles(a.Area.Displaced, dirfs.DefaultHandles())
	defer handles.Close()
	root, err := scan.Scan(ctx, handles, scan.Options{Workers: 1})
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil:
		return 0, Disk("read "+tree.Reserved, err)
	}
	return root.Entries() - 1, nil
}

func occupied(d dirfs.Dir) (bool, error) {
	found := false
	err := d.Names(func([]byte) bool { found = true; return false })
	return found, err
}

// Clear removes everything in a directory of the area, without looking at a
// plan: what is there belongs to the receiver.
func (a *Applier) Clear(ctx context.Context, dir dirfs.Dir, removed func()) error {
	if found, err := occupied(dir); !found {
		return Disk("read "+tree.Reserved, err)
	}
	handles := dirfs.NewHandles(dir, dirfs.DefaultHandles())
	defer handles.Close()
	root, err := scan.Scan(ctx, handles, scan.Options{Workers: 1})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return Disk("read "+tree.Reserved, err)
	}
	var failed error
	r := remover{handles: handles, removed: removed, problem: func(path, op string, err error) { failed = errors.Join(failed, err) }}
	for i := range root.Dir.Entries {
		if err := r.remove(ctx, root.Dir, &root.Dir.Entries[i]); err != nil {
			return err
		}
	}
	return Disk("clear "+tree.Reserved, failed)
}

// remover removes trees, deepest first. It removes what was scanned and
// nothing else: where something has appeared since, its directory stays.
type remover struct {
	handles *dirfs.Handles
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

// remove removes entry e of d, with an explicit stack for what is below.
func (r *remover) remove(ctx context.Context, d *tree.Dir, e *tree.Entry) error {
	type frame struct {
		in   *tree.Dir
		e    *tree.Entry
		next int
		seen bool
	}
	stack := []frame{{in: d, e: e}}
	for len(stack) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f := &stack[len(stack)-1]
		if f.e.Dir != nil && f.e.Flags&tree.Moved != 0 { // which is elsewhere
			stack = stack[:len(stack)-1]
			continue
		}
		if !f.seen {
			if f.seen = r.isStill(f.in, f.e); !f.seen {
				stack = stack[:len(stack)-1]
				continue
			}
		}
		if below := f.e.Dir; below != nil && f.next < len(below.Entries) {
			f.next++
			stack = append(stack, frame{in: below, e: &below.Entries[f.next-1]})
			continue
		}
		r.one(f.in, f.e)
		stack = stack[:len(stack)-1]
	}
	return nil
}

// isStill reports whether an entry is what the scan saw, and tells the problem if
// it is not.
func (r *remover) isStill(d *tree.Dir, e *tree.Entry) bool {
	if !r.scanned {
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
