package apply

import (
	"runtime"
	"slices"
	"sync"

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
	if leave || a.leaves {
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

// apart is how many directories are worth another worker.
const apart = 64

// directories sets the metadata of all stale directories but the root, those
// of one depth at once.
func (a *Applier) directories(root *tree.Entry) {
	var levels [][]directory
	for _, d := range a.order {
		if d.Parent == nil || a.lostAbove(d) || d.Closed && !a.made(d) {
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
		n := d.Depth()
		for len(levels) <= n {
			levels = append(levels, nil)
		}
		levels[n] = append(levels[n], directory{d, e, nil})
	}
	a.checkAll(levels)
	for _, level := range slices.Backward(levels) {
		a.level(level)
		for i := range level {
			if err := level[i].err; err != nil {
				a.Problem(level[i].dir.Path(), "set metadata", err)
			}
		}
	}
}

// directory is one whose metadata is to be set, and what came of that.
type directory struct {
	dir  *tree.Dir
	want *tree.Entry
	err  error
}

// checkAll makes sure that the paths of the directories lead to them, before the first is
// changed: the uppermost first, so that of one in another its own name is enough.
func (a *Applier) checkAll(levels [][]directory) {
	checked := make(map[*tree.Dir]error) // nil for those that are right
	for _, level := range levels {
		a.each(level, func(p *directory) {
			switch err, done := checked[p.dir.Parent]; {
			case !done:
				p.err = a.Handles.Check(p.dir)
			case err != nil:
				p.err = err
			default:
				p.err = a.Handles.CheckName(p.dir)
			}
		})
		for i := range level {
			checked[level[i].dir] = level[i].err
		}
	}
}

// level sets the metadata of directories of which none is in another.
func (a *Applier) level(dirs []directory) {
	a.each(dirs, func(p *directory) {
		if p.err == nil {
			_, p.err = with(a.Handles, p.dir, func(h dirfs.Dir) error { return a.set(h, p.want) })
		}
	})
}

// each does something with directories of which none is in another.
func (a *Applier) each(dirs []directory, do func(*directory)) {
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), len(dirs)/apart+1)
	for part := range slices.Chunk(dirs, max(1, (len(dirs)+workers-1)/workers)) {
		wg.Go(func() {
			for i := range part {
				do(&part[i])
			}
		})
	}
	wg.Wait()
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
		err = a.became(e, info)
	}
	return err
}

// made reports whether this run has made d.
func (a *Applier) made(d *tree.Dir) bool {
	_, made := a.fresh[d]
	return made
}

// lostAbove reports whether d is in a new directory that is not in place.
func (a *Applier) lostAbove(d *tree.Dir) bool {
	for ; d != nil && a.made(d); d = d.Parent {
		if a.lost[d] {
			return true
		}
	}
	return d != nil && a.lost[d]
}
