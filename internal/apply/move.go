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
// that is new is in place: until then it stays where it is, and is never nowhere.
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
	w := waiting{step: s, name: s.From.Entry().Name, from: s.From.Dir}
	err := a.place(&w)
	if errors.Is(err, fs.ErrPermission) && a.unlockOrigin(s.From) {
		err = a.place(&w)
	}
	if err != nil {
		return err
	}
	d, old := s.Entry().Dir, s.From.Entry().Dir
	d.Dev, d.Ino = old.Dev, old.Ino
	a.Handles.Forget(old)
	a.touched(s.Dir)
	a.touchedAs(d, s.Entry())
	a.Changes.Reused += files(d)
	return nil
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
			info, err = a.Area.Take(from, s.From, to, e.Name, wire.Meta{Perm: e.Perm, MTime: e.MTime(), Size: e.Size})
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
	for stack := []*tree.Dir{d}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range d.Entries {
			switch e := &d.Entries[i]; e.Type {
			case tree.File:
				n++
			case tree.Directory:
				stack = append(stack, e.Dir)
			}
		}
	}
	return n
}
