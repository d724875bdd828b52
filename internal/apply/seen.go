package apply

import (
	"errors"
	"io/fs"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// What the scan did not see is neither replaced, nor removed, nor touched: an edit
// that somebody made in the destination meanwhile is not lost, and the next run
// decides about it. One look ahead of each change tells, where something is there.
//
// RACE: an edit may come between the look and the change, or keep size and time.

// errEdited is why something is left as it is.
var errEdited = fault.Errorf("was changed in the destination since it was scanned")

// isStill returns errEdited if what the system says is not what the scan saw.
func isStill(e *tree.Entry, info dirfs.Info) error {
	same := info.Type == e.Type
	switch e.Type {
	case tree.File:
		same = same && info.Size == e.Size && info.MTime == e.MTime() && info.Perm&tree.MaxPerm == e.Perm
	case tree.Link:
		same = same && info.MTime == e.MTime()
	case tree.Directory: // whose time changes with what is done in it
		known := e.Dir.Dev != 0 || e.Dir.Ino != 0
		same = same && (!known || info.Dev == e.Dir.Dev && info.Ino == e.Dir.Ino)
	}
	if !same {
		return errEdited
	}
	return nil
}

// became takes over what the system says of an entry of which the metadata was set, and
// returns errEdited if that is something else: somebody did so at the same time.
func (a *Applier) became(e *tree.Entry, info dirfs.Info) error {
	c, want := a.Area.Canon, *e
	Observe(e, info)
	switch {
	case e.Type != want.Type || e.Size != want.Size || c.Time(e.MTime()) != c.Time(want.MTime()):
		return errEdited
	case e.Perm != want.Perm:
		return errPerm
	}
	return nil
}

// errPerm is why an entry that was given a permission fails.
var errPerm = fault.Errorf("has another permission than it was given: somebody has changed it, or the file system keeps none")

// seen fails if what is in the place of the step's entry is not what the scan saw
// there, which may be nothing. It reports whether there is anything: somebody may
// have removed it.
func (a *Applier) seen(h dirfs.Dir, s *tree.Step) (there bool, err error) {
	if s.Have == nil && a.Area.Canon.FoldsCase {
		return false, nil // what is there may be the entry of another case
	}
	info, err := h.Stat(s.Entry().Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case s.Have == nil:
		return true, fs.ErrExist
	}
	err = isStill(s.Have, info)
	if err == nil && s.Have.Dir != nil {
		err = a.treeIsStill(s.Have.Dir)
	}
	return true, err
}

// treeIsStill does what isStill does for everything below a directory that makes
// way, but for what moves out of it: later it is removed as a whole.
func (a *Applier) treeIsStill(top *tree.Dir) error {
	for stack := []*tree.Dir{top}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		missing := 0
		for i := range d.Entries {
			switch e := &d.Entries[i]; {
			case e.Dir == nil:
				missing++
			case e.Flags&tree.Moved == 0:
				missing++
				stack = append(stack, e.Dir)
			}
		}
		_, err := with(a.Handles, d, func(h dirfs.Dir) error {
			return h.List(func(name []byte, info dirfs.Info, err error) error {
				i, known := d.Position(string(name))
				if err != nil || !known {
					return errors.Join(errEdited, err)
				}
				if e := &d.Entries[i]; e.Dir == nil || e.Flags&tree.Moved == 0 {
					missing--
					return isStill(e, info)
				}
				return nil
			})
		})
		a.Handles.Forget(d) // where a directory with open handles cannot be renamed there are none
		if err == nil && missing != 0 {
			err = errEdited
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reached fails if a path of the destination no longer leads to d, but for one that
// was checked last: then d may be anywhere, and nothing is done in it.
func (a *Applier) reached(d *tree.Dir) error {
	if d == a.checked {
		return nil
	}
	err := a.Handles.Check(d)
	if err == nil {
		a.checked = d
	}
	return err
}
