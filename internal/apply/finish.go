package apply

import (
	"slices"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Finish sets the metadata of all directories that were made, touched or
// worked in, deepest first and the root last, after the working directory is
// gone; and makes everything durable. Root is the wanted root; what became of
// the directories is noted in the tree. With leave the working directory
// stays, for the next run, and so does what is in it.
func (a *Applier) Finish(root *tree.Entry, leave bool) error {
	a.directories(root)
	if a.wrote {
		if err := a.Area.Barrier(); err != nil {
			return Disk("sync", err)
		}
	}
	if leave {
		if err := a.Area.Leave(a.Area.Canon.Time(root.MTime())); err != nil {
			return Disk("leave "+tree.Reserved, err)
		}
	} else if err := a.Area.Remove(); err != nil {
		return Disk("remove "+tree.Reserved, err)
	}
	if err := a.in(root.Dir, func(h dirfs.Dir) error { return a.set(h, root) }); err != nil {
		a.Problem("", "set metadata of the directory itself", err)
	}
	if before := a.Area.Root; a.wrote || before.MTime != root.MTime() || before.Perm&tree.MaxPerm != root.Perm {
		return Disk("sync", a.Area.SyncRoot())
	}
	return nil
}

// directories sets the metadata of all stale directories but the root.
func (a *Applier) directories(root *tree.Entry) {
	depth := make(map[*tree.Dir]int, len(a.order))
	for _, d := range a.order {
		depth[d] = d.Depth()
	}
	slices.SortStableFunc(a.order, func(x, y *tree.Dir) int { return depth[y] - depth[x] })
	for _, d := range a.order {
		if d.Parent == nil || a.lostAbove(d) || d.Closed && !a.fresh[d] {
			continue
		}
		e := a.stale[d]
		if e == nil {
			e = d.Parent.Find(d.Name)
		}
		if d.Closed {
			// The source could not read it. That may be what its permission
			// says, and the next run shall be able to read it here.
			e.Perm |= 0o700
		}
		if err := a.in(d, func(h dirfs.Dir) error { return a.set(h, e) }); err != nil {
			a.Problem(d.Path(), "set metadata", err)
		}
	}
}

// set gives a directory the metadata of e, and notes in e what became of it.
func (a *Applier) set(h dirfs.Dir, e *tree.Entry) error {
	info, err := h.Self()
	if err != nil {
		return err
	}
	if info.Perm&tree.MaxPerm != e.Perm {
		if err := h.Chmod(e.Perm | info.Perm&^tree.MaxPerm); err != nil {
			return err
		}
	}
	if want := a.Area.Canon.Time(e.MTime()); info.MTime != want {
		if err := h.SetTime(want); err != nil {
			return err
		}
	}
	if a.Area.SyncsEach() {
		if err := h.Sync(); err != nil {
			return err
		}
	}
	if info, err = h.Self(); err == nil {
		Observe(e, info)
	}
	return err
}

// lostAbove reports whether d is in a new directory that is not in place.
func (a *Applier) lostAbove(d *tree.Dir) bool {
	for ; d != nil && a.fresh[d]; d = d.Parent {
		if a.lost[d] {
			return true
		}
	}
	return d != nil && a.lost[d]
}
