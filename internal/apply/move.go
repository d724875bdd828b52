package apply

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Move notes that a directory that the destination has elsewhere moves, when all
// that is new is in place: until then it stays where it is.
func (a *Applier) Move(s tree.Step) {
	if a.Lost(&s) {
		a.lost[s.Entry().Dir] = true
		return
	}
	a.moves = append(a.moves, s)
	a.wrote = true
}

// move moves the directories that do, one rename each. Where the file system
// refuses that for a directory, as an overlay does, a copy of it is installed,
// and it is removed with the rest.
func (a *Applier) move(ctx context.Context) error {
	for _, s := range a.moves {
		d := s.Entry().Dir
		if a.lostAbove(s.Dir) {
			a.lost[d] = true
			a.Problem(s.Path(), "move", ErrLost)
			continue
		}
		err := a.moveOne(ctx, s)
		if errors.Is(err, syscall.EXDEV) {
			err = a.copyTree(ctx, s)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			a.lost[d] = true
			if err := a.failed(s, "move", err); err != nil {
				return err
			}
		}
	}
	a.moves = nil
	if len(a.tops) == 0 {
		return nil
	}
	if err := a.syncAside(); err != nil { // copies
		return err
	}
	return a.installTops(ctx)
}

func (a *Applier) moveOne(ctx context.Context, s tree.Step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if s.Within != nil {
		a.touched(s.Within)
	}
	d, old := s.Entry().Dir, s.From.Entry().Dir
	a.Handles.Settle(old) // where a directory with open handles cannot be renamed there are none
	w := waiting{step: s, name: s.From.Entry().Name, from: s.From.Dir}
	err := a.reached(w.from)
	if err == nil {
		err = a.placeMoved(&w)
	}
	if errors.Is(err, fs.ErrPermission) && a.unlockOrigin(s.From) {
		err = a.placeMoved(&w)
	}
	if err != nil {
		return err
	}
	d.Dev, d.Ino = old.Dev, old.Ino
	a.Handles.Forget(old)
	a.touched(s.Dir)
	a.touchedAs(d, s.Entry())
	a.Changes.Reused += files(d)
	return nil
}

// placeMoved puts a directory that moves where it belongs. It goes through the stage,
// under a name by which a later run takes it up, where one rename does not do:
// where something is in its way, and where letter case is folded, since a rename to
// a name that is taken for its own does nothing.
func (a *Applier) placeMoved(w *waiting) error {
	s := &w.step
	displaces := false
	if s.Displaces() {
		err := a.in(s.Dir, func(h dirfs.Dir) (err error) {
			displaces, err = a.seen(h, s)
			return err
		})
		if err != nil {
			return err
		}
	}
	if !displaces && !a.Area.Canon.FoldsCase {
		return a.place(w)
	}
	staged := waiting{step: *s, name: a.displacedMark(a.Area.NextMoving(s.Path()))}
	_, err := with(a.Handles, w.from, func(from dirfs.Dir) error { return from.Rename(w.name, a.Area.Files, staged.name) })
	if err != nil {
		return err
	}
	there := false
	if displaces {
		err = a.in(s.Dir, func(h dirfs.Dir) (err error) {
			there, err = a.displaceStaged(h, s.Entry().Name, staged.name)
			return err
		})
	} else {
		err = a.place(&staged)
	}
	if err != nil && !there {
		_, back := with(a.Handles, w.from, func(from dirfs.Dir) error { return a.Area.Files.Rename(staged.name, from, w.name) })
		err = errors.Join(err, back)
	}
	return err
}

// Unshare makes a file of its own of what has become a further name of a file that
// was to go and did not. Steps are all of the plan.
func (a *Applier) Unshare(steps []tree.Step) error {
	for i := range steps {
		s := &steps[i]
		if s.Kind != tree.Reuse || !s.From.Moves || s.From.Staged {
			continue
		}
		if err := a.in(s.Dir, func(h dirfs.Dir) error { return a.unshare(h, s) }); err != nil {
			if err := a.failed(*s, "copy", err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Applier) unshare(h dirfs.Dir, s *tree.Step) error {
	e := s.Entry()
	info, err := h.Stat(e.Name)
	if err != nil || info.Type != tree.File || info.Nlink < 2 || s.From.Ino != 0 && info.Ino != s.From.Ino {
		return nil // it was not installed
	}
	name := a.Area.Next()
	m := wire.Meta{Perm: info.Perm & tree.MaxPerm, MTime: info.MTime, Size: info.Size}
	if info, err = a.Area.Copy(h, e.Name, nil, a.Area.Files, name, m, nil); err != nil {
		return err
	}
	Observe(e, info)
	return a.Area.Files.Rename(name, h, e.Name)
}

// unlockOrigin permits to move a directory, as unlock does.
func (a *Applier) unlockOrigin(o *tree.Origin) (ok bool) {
	_, err := with(a.Handles, o.Dir, func(h dirfs.Dir) error {
		ok = unlock(h, o.Entry().Name)
		return nil
	})
	return ok && err == nil
}

// copyTree builds a copy of a directory that does not move after all.
func (a *Applier) copyTree(ctx context.Context, s tree.Step) error {
	s.From.Entry().Flags &^= tree.Moved // it goes with the rest
	for _, below := range s.Copied() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		switch below.Kind {
		case tree.Make:
			err = a.Make(below)
		case tree.Point:
			err = a.Point(below)
		case tree.Reuse:
			err = a.take(below)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take makes a file of one that the destination has elsewhere, in a directory
// that is built.
func (a *Applier) take(s tree.Step) error {
	if a.Lost(&s) {
		return nil
	}
	e := s.Entry()
	var info dirfs.Info
	err := a.in(s.Dir, func(to dirfs.Dir) error {
		_, err := with(a.Handles, s.From.Dir, func(from dirfs.Dir) (err error) {
			info, err = a.Area.Take(from, s.From, to, e.Name, wire.Meta{Perm: e.Perm, MTime: e.MTime(), Size: e.Size}, nil)
			return err
		})
		return err
	})
	if err != nil {
		return a.failed(s, "copy", err)
	}
	Observe(e, info)
	a.Placed(s)
	return nil
}

// files returns how many files are below d.
func files(d *tree.Dir) (n uint64) {
	for _, e := range d.All() {
		if e.Type == tree.File {
			n++
		}
	}
	return n
}
