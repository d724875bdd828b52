package apply

import (
	"context"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Install makes what is staged durable and renames it in.
func (a *Applier) Install(ctx context.Context) error {
	if len(a.staged) == 0 {
		return nil
	}
	if err := a.saveReplaced(ctx, false); err != nil {
		return err
	}
	if err := a.barrier(); err != nil {
		return err
	}
	return a.installStaged(ctx)
}

func (a *Applier) installStaged(ctx context.Context) error {
	a.checked = nil
	for i := range a.staged {
		if _, err := a.install(ctx, &a.staged[i]); err != nil {
			return err
		}
	}
	a.staged, a.bytes = a.staged[:0], 0
	return nil
}

// InstallAll installs what is staged and the new trees, which are complete.
func (a *Applier) InstallAll(ctx context.Context) error {
	if len(a.staged)+len(a.tops)+len(a.moves) == 0 {
		return nil
	}
	if err := a.saveReplaced(ctx, true); err != nil {
		return err
	}
	if err := a.syncAside(); err != nil {
		return err
	}
	if err := a.installStaged(ctx); err != nil {
		return err
	}
	if err := a.installTops(ctx); err != nil {
		return err
	}
	return a.move(ctx)
}

func (a *Applier) installTops(ctx context.Context) error {
	for i := range a.tops {
		w := &a.tops[i]
		d := w.step.Entry().Dir
		installed, err := a.install(ctx, w)
		switch {
		case err != nil:
			return err
		case installed:
			a.Handles.Settle(d)
		default:
			a.lost[d] = true
		}
	}
	a.tops = nil
	for d := range a.fresh { // what comes from now on is seen at once
		a.fresh[d] = false
	}
	return nil
}

// syncAside makes what is built aside durable.
func (a *Applier) syncAside() error {
	if err := a.syncTrees(); err != nil {
		return err
	}
	return a.barrier()
}

// barrier makes durable what is staged, and what is saved.
func (a *Applier) barrier() error {
	if a.Backup != nil {
		if err := a.Backup.Barrier(); err != nil {
			return Disk("sync the backup", err)
		}
	}
	return Disk("sync", a.Area.Barrier())
}

// syncTrees makes the directories of new trees durable where a barrier does
// not do that.
func (a *Applier) syncTrees() error {
	if !a.Area.SyncsEach() {
		return nil
	}
	for d, aside := range a.fresh {
		if !aside {
			continue
		}
		if err := a.in(d, dirfs.Dir.Sync); err != nil {
			return Disk("sync "+d.Path(), err)
		}
	}
	return nil
}

// install renames one entry in and reports whether it did. Between two of
// them a run can be stopped.
func (a *Applier) install(ctx context.Context, w *waiting) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	s := &w.step
	if err := a.place(w); err != nil {
		return false, a.failed(*s, "install", err)
	}
	if s.Entry().Type != tree.Directory {
		a.count(s)
	}
	a.touched(s.Dir)
	return true, nil
}

// place puts what waits where it belongs.
func (a *Applier) place(w *waiting) error {
	if err := a.reached(w.step.Dir); err != nil {
		return err
	}
	return a.in(w.step.Dir, func(h dirfs.Dir) error {
		if w.from == nil {
			return a.placeFrom(a.Area.Files, w, h)
		}
		_, err := with(a.Handles, w.from, func(from dirfs.Dir) error { return a.placeFrom(from, w, h) })
		return err
	})
}

func (a *Applier) placeFrom(from dirfs.Dir, w *waiting, h dirfs.Dir) error {
	s := &w.step
	name := s.Entry().Name
	there, err := a.seen(h, s)
	switch {
	case err != nil:
		return err
	case there && s.Displaces():
		return a.displace(h, name, w.name)
	}
	return from.Rename(w.name, h, name)
}
