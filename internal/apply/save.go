package apply

import (
	"context"
	"errors"
	"strings"

	"github.com/sync-directory/sync-directory/internal/backup"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// saveReplaced saves what gives way to what is staged and, if all is to be installed, to new
// trees and to what moves. What cannot be saved stays.
func (a *Applier) saveReplaced(ctx context.Context, all bool) (err error) {
	if a.Backup == nil {
		return nil
	}
	of := func(w *waiting) *tree.Step { return &w.step }
	if a.staged, err = saved(ctx, a, a.staged, of); err != nil || !all {
		return err
	}
	if a.tops, err = saved(ctx, a, a.tops, of); err == nil {
		a.moves, err = saved(ctx, a, a.moves, func(s *tree.Step) *tree.Step { return s })
	}
	return err
}

// saved returns those of a list whose steps can be carried out, since what gives way to
// them is saved.
func saved[T any](ctx context.Context, a *Applier, list []T, step func(*T) *tree.Step) ([]T, error) {
	r := a.newSaver(a.Handles)
	can := list[:0]
	for i := range list {
		s, failed := step(&list[i]), len(r.stays)
		if err := r.old(ctx, s); err != nil {
			return list, err
		}
		if len(r.stays) > failed {
			a.Skip(*s)
			continue
		}
		can = append(can, list[i])
	}
	return can, nil
}

// saver saves trees.
type saver struct {
	a       *Applier
	handles *dirfs.Handles       // of the trees
	stays   map[*tree.Entry]bool // what could not be saved
	removes bool                 // they are to be removed, so that nothing need be there
	under   string               // the path that they are in, for messages
}

func (a *Applier) newSaver(handles *dirfs.Handles) *saver {
	return &saver{a: a, handles: handles, stays: make(map[*tree.Entry]bool)}
}

// save saves what is name in d. All that a directory of the destination must permit is to
// be searched, which a scan has done.
func (r *saver) save(ctx context.Context, d *tree.Dir, name string, accept func(dirfs.Info) error, in *tree.Dir, as string) error {
	h, err := r.handles.Acquire(d)
	if err != nil {
		return err
	}
	defer r.handles.Release(d)
	return r.a.Backup.Save(ctx, h, name, accept, in, as)
}

// old saves what gives way to the entry of a step.
func (r *saver) old(ctx context.Context, s *tree.Step) error {
	switch e := s.Entry(); {
	case s.Kind == tree.Touch:
		return nil // what the file holds stays
	case s.Have != nil && s.Have.Dir == nil:
		err := r.one(ctx, s.Dir, s.Have, s.Have.Name)
		if errors.Is(err, backup.ErrGone) {
			s.Have, err = nil, nil // so that nothing gives way
		}
		return r.note(ctx, s.Dir, e, err)
	case s.Have != nil:
		return r.all(ctx, s.Dir, s.Have, s.Have.Name)
	case r.a.Area.Canon.FoldsCase && e.Dir == nil:
		// A rename replaces the entry of another case, if there is one.
		err := r.save(ctx, s.Dir, e.Name, nil, s.Dir, e.Name)
		if errors.Is(err, backup.ErrGone) {
			err = nil
		}
		return r.note(ctx, s.Dir, e, err)
	}
	return nil
}

// all saves entry e of d, as it is called, and all below it.
func (r *saver) all(ctx context.Context, d *tree.Dir, e *tree.Entry, as string) error {
	return walk(ctx, d, e, nil, func(d *tree.Dir, below *tree.Entry) error {
		name := below.Name
		if below == e {
			name = as
		}
		return r.note(ctx, d, below, r.one(ctx, d, below, name))
	})
}

func (r *saver) one(ctx context.Context, d *tree.Dir, e *tree.Entry, as string) error {
	switch {
	case e.Flags&tree.Moved != 0: // a further name now
		return nil
	case e.Dir != nil:
		return r.a.Backup.SaveDir(e)
	}
	return r.save(ctx, d, e.Name, func(info dirfs.Info) error { return isStill(e, info) }, d, as)
}

// note takes in how saving an entry ended. Its error is one of the run.
func (r *saver) note(ctx context.Context, d *tree.Dir, e *tree.Entry, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	r.stays[e] = true
	if errors.Is(err, backup.ErrGone) && r.removes {
		return nil // somebody else has removed it
	}
	path := r.under + d.Join(e.Name)
	r.a.Problem(path, "save in the backup", err)
	if DiskFailed(err) {
		return Disk("save in the backup "+path, err)
	}
	return nil
}

// saveRemoved saves what is to be removed, and what a run without a backup has displaced
// and not removed. It returns what could not be saved.
func (a *Applier) saveRemoved(ctx context.Context, removals []tree.Step, displaced *areaTree) (map[*tree.Entry]bool, error) {
	r := a.newSaver(a.Handles)
	r.removes = true
	for i := range removals {
		s := &removals[i]
		if a.foldsOnto(s) {
			continue // it was saved before it was replaced
		}
		if err := r.all(ctx, s.Dir, s.Entry(), s.Entry().Name); err != nil {
			return nil, err
		}
	}
	if displaced == nil {
		return r.stays, nil
	}
	return r.stays, a.saveDisplaced(ctx, displaced)
}

func (a *Applier) saveDisplaced(ctx context.Context, displaced *areaTree) error {
	r := a.newSaver(displaced.handles)
	r.under = tree.Reserved + "/displaced/"
	d := displaced.root.Dir
	for i := range d.Entries {
		e := &d.Entries[i]
		if strings.HasSuffix(e.Name, savedMark) {
			continue
		}
		as := "displaced-" + e.Name // nobody knows where it was
		if e.Dir != nil {
			if err := r.note(ctx, d, e, a.Backup.SaveAs(e, d, as)); err != nil {
				return err
			}
		}
		if !r.stays[e] {
			if err := r.all(ctx, d, e, as); err != nil {
				return err
			}
		}
	}
	a.leaves = len(r.stays) > 0
	return nil
}
