package apply

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

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

// displace puts what is staged as tmp where something of another type is,
// which then waits for the remove phase. What is put there goes to the displaced
// first, so that one call swaps the two and there is no instant at which the
// old one lies where leftovers are cleared. Where the system cannot swap there
// is one at which the path is missing.
func (a *Applier) displace(h dirfs.Dir, name, tmp string) error {
	err := a.swap(h, name, tmp)
	if errors.Is(err, fs.ErrPermission) && unlock(h, name) {
		err = a.swap(h, name, tmp)
	}
	if errors.Is(err, syscall.EXDEV) {
		old := a.displacedName()
		if err = empty(h, name, a.Area.Displaced, old); err == nil {
			err = a.putBack(a.Area.Files.Rename(tmp, h, name), old, h, name)
		}
	}
	return err
}

// putBack puts what was displaced back in its place, if what was to be there is not: for
// err.
func (a *Applier) putBack(err error, old string, h dirfs.Dir, name string) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, a.Area.Displaced.Rename(old, h, name))
}

// empty moves a directory that the system does not rename, as an overlay does not for
// one of a lower layer, by what is in it. Where that fails what was moved comes back;
// after an interruption the next run goes on.
func empty(h dirfs.Dir, name string, to dirfs.Dir, as string) (err error) {
	from, err := h.OpenDir(name)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Self()
	if err != nil {
		return err
	}
	if err := to.Mkdir(as, info.Perm|0o700); err != nil {
		return err
	}
	aside, err := to.OpenDir(as)
	if err != nil {
		return errors.Join(err, to.RemoveDir(as))
	}
	defer aside.Close()
	var names []string
	if err := from.Names(func(name []byte) bool { names = append(names, string(name)); return true }); err != nil {
		return errors.Join(err, to.RemoveDir(as))
	}
	moved := 0
	for ; err == nil && moved < len(names); moved++ {
		if err = emptyOne(from, names[moved], aside); err != nil {
			break
		}
	}
	if err == nil {
		err = h.RemoveDir(name)
	}
	if err == nil {
		return nil
	}
	for _, n := range names[:moved] {
		err = errors.Join(err, aside.Rename(n, from, n))
	}
	return errors.Join(err, to.RemoveDir(as))
}

func emptyOne(from dirfs.Dir, name string, to dirfs.Dir) error {
	err := from.Rename(name, to, name)
	if errors.Is(err, fs.ErrPermission) && unlock(from, name) {
		err = from.Rename(name, to, name)
	}
	if errors.Is(err, syscall.EXDEV) {
		err = empty(from, name, to, name)
	}
	return err
}

// unlock permits to move a directory: its entry ".." changes, so that it must
// be writable. It reports whether that helped.
func unlock(h dirfs.Dir, name string) bool {
	d, err := h.OpenDir(name)
	if err != nil {
		return false
	}
	defer d.Close()
	info, err := d.Self()
	return err == nil && info.Perm&0o200 == 0 && d.Chmod(info.Perm|0o700) == nil
}

func (a *Applier) swap(h dirfs.Dir, name, tmp string) error {
	from := a.Area.Files
	displaced := a.Area.Displaced
	placed := a.displacedName()
	if err := from.Rename(tmp, displaced, placed); err != nil {
		return err
	}
	err := displaced.Exchange(placed, h, name)
	if errors.Is(err, errors.ErrUnsupported) {
		err = a.replace(displaced, placed, h, name)
	}
	if err != nil {
		err = errors.Join(err, displaced.Rename(placed, from, tmp))
	}
	return err
}

// replace does what an exchange would, in two steps, with what is staged as tmp in from.
func (a *Applier) replace(from dirfs.Dir, tmp string, h dirfs.Dir, name string) error {
	old := a.displacedName()
	if err := h.Rename(name, a.Area.Displaced, old); err != nil {
		return err
	}
	return a.putBack(from.Rename(tmp, h, name), old, h, name)
}
