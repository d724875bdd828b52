package apply

import (
	"errors"
	"io/fs"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Install makes what is staged durable and renames it in.
func (a *Applier) Install() error {
	if len(a.staged) == 0 {
		return nil
	}
	if err := a.Area.Barrier(); err != nil {
		return Disk("sync", err)
	}
	a.installStaged()
	return nil
}

func (a *Applier) installStaged() {
	for i := range a.staged {
		a.install(&a.staged[i])
	}
	a.staged, a.bytes = a.staged[:0], 0
}

// InstallAll installs what is staged and the new trees, which are complete.
func (a *Applier) InstallAll() error {
	if len(a.staged)+len(a.tops) == 0 {
		return nil
	}
	if err := a.syncTrees(); err != nil {
		return err
	}
	if err := a.Area.Barrier(); err != nil {
		return Disk("sync", err)
	}
	a.installStaged()
	for i := range a.tops {
		w := &a.tops[i]
		if a.install(w) {
			a.Handles.Settle(w.step.Entry().Dir)
		}
	}
	a.tops = nil
	return nil
}

// syncTrees makes the directories of new trees durable where a barrier does
// not do that.
func (a *Applier) syncTrees() error {
	if !a.Area.SyncsEach() {
		return nil
	}
	for d := range a.fresh {
		if err := a.in(d, dirfs.Dir.Sync); err != nil {
			return Disk("sync "+d.Path(), err)
		}
	}
	return nil
}

// install renames one entry in and reports whether it did.
func (a *Applier) install(w *waiting) bool {
	s := &w.step
	e := s.Entry()
	err := a.in(s.Dir, func(h dirfs.Dir) error {
		if s.Displaces() {
			return a.displace(h, e.Name, w.name)
		}
		if s.Have == nil && e.Type == tree.Directory {
			// A rename would replace an empty directory that somebody has
			// made since the scan.
			if _, err := h.Stat(e.Name); !errors.Is(err, fs.ErrNotExist) {
				return errors.Join(fs.ErrExist, err)
			}
		}
		return a.Area.Files.Rename(w.name, h, e.Name)
	})
	if err != nil {
		a.Problem(s.Path(), "install", err)
		return false
	}
	if e.Type != tree.Directory {
		a.count(s)
	}
	a.touched(s.Dir)
	return true
}

// displace puts what is staged as tmp where something of another type is,
// which then waits for the remove phase. Where the system can swap two
// entries there is no instant without either.
func (a *Applier) displace(h dirfs.Dir, name, tmp string) error {
	area := a.Area
	old := area.Next()
	err := area.Files.Exchange(tmp, h, name)
	if errors.Is(err, fs.ErrPermission) && permitBelow(h, name) {
		err = area.Files.Exchange(tmp, h, name)
	}
	if err == nil {
		return area.Files.Rename(tmp, area.Displaced, old)
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	err = h.Rename(name, area.Displaced, old)
	if errors.Is(err, fs.ErrPermission) && permitBelow(h, name) {
		err = h.Rename(name, area.Displaced, old)
	}
	if err != nil {
		return err
	}
	if err := area.Files.Rename(tmp, h, name); err != nil {
		return errors.Join(err, area.Displaced.Rename(old, h, name))
	}
	return nil
}

// permitBelow gives us the permission to move a directory elsewhere, which
// changes its "..", and reports whether that was missing and could be given.
func permitBelow(h dirfs.Dir, name string) bool {
	d, err := h.OpenDir(name)
	if err != nil {
		return false
	}
	defer d.Close()
	return permit(d)
}
