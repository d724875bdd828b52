package apply

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

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
	if info.Perm&0o300 != 0o300 {
		if err := from.Chmod(info.Perm | 0o700); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, from.Chmod(info.Perm))
			}
		}()
	}
	if err := to.Mkdir(as, info.Perm|0o700); err != nil {
		return err
	}
	aside, err := to.OpenDir(as)
	if err != nil {
		return errors.Join(err, to.RemoveDir(as))
	}
	defer aside.Close()
	if err = moveAll(from, aside); err == nil {
		if err = h.RemoveDir(name); err == nil {
			return nil
		}
		err = errors.Join(err, moveAll(aside, from))
	}
	return errors.Join(err, to.RemoveDir(as))
}

// moveAll moves what is in one directory to another, all or nothing.
func moveAll(from, to dirfs.Dir) error {
	var names []string
	if err := from.Names(func(name []byte) bool { names = append(names, string(name)); return true }); err != nil {
		return err
	}
	for i, n := range names {
		err := moveEntry(from, n, to)
		if err == nil {
			continue
		}
		for _, moved := range names[:i] {
			err = errors.Join(err, to.Rename(moved, from, moved))
		}
		return err
	}
	return nil
}

func moveEntry(from dirfs.Dir, name string, to dirfs.Dir) error {
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

// displaceStaged does what displace does, but never has what is staged where it
// would be removed. It reports whether it is in its place, also with an error.
func (a *Applier) displaceStaged(h dirfs.Dir, name, tmp string) (there bool, err error) {
	files := a.Area.Files
	err = files.Exchange(tmp, h, name)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		err = a.replace(files, tmp, h, name)
		if errors.Is(err, fs.ErrPermission) && unlock(h, name) {
			err = a.replace(files, tmp, h, name)
		}
		return err == nil, err
	case err != nil:
		return false, err
	}
	if err = files.Rename(tmp, a.Area.Displaced, a.displacedName()); err != nil {
		back := files.Exchange(tmp, h, name)
		return back != nil, errors.Join(err, back)
	}
	return true, nil
}

// savedMark ends the names of what is displaced after it was saved.
const savedMark = "-saved"

// displacedName returns a name for what is to be displaced.
func (a *Applier) displacedName() string { return a.displacedMark(a.Area.Next()) }

// displacedMark returns the name with the mark, if what is displaced was saved.
func (a *Applier) displacedMark(name string) string {
	if a.Backup == nil {
		return name
	}
	return name + savedMark
}
