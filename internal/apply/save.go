package apply

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// saveReplaced saves what the staged entries replace. What cannot be saved is not
// replaced.
func (a *Applier) saveReplaced(ctx context.Context) error {
	if a.Backup == nil {
		return nil
	}
	var failed error
	a.staged = slices.DeleteFunc(a.staged, func(w waiting) bool {
		s := &w.step
		if failed != nil || !s.Replaces() {
			return false
		}
		_, err := with(a.Handles, s.Dir, func(h dirfs.Dir) error {
			return a.Backup.Save(ctx, h, s.Have.Name, s.Dir, s.Have.Name)
		})
		saved, err := a.saved(ctx, s.Path(), err)
		failed = err
		return !saved
	})
	return failed
}

// saved reports whether something was saved, with the outcome err, and tells the
// problem where it was not. Its error is one of the run.
func (a *Applier) saved(ctx context.Context, path string, err error) (bool, error) {
	switch {
	case err == nil || errors.Is(err, fs.ErrNotExist): // it is not there any more
		return true, nil
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	}
	a.Problem(path, "save in the backup", err)
	if DiskFailed(err) {
		return false, Disk("save in the backup "+path, err)
	}
	return false, nil
}

// saveAll saves what is to be removed, and what was displaced, and returns what could
// not be saved, with the directories that it is in.
func (a *Applier) saveAll(ctx context.Context, removals []tree.Step, displaced *cupboard) (map[*tree.Entry]bool, error) {
	stays := make(map[*tree.Entry]bool)
	s := saver{a: a, handles: a.Handles, stays: stays}
	for i := range removals {
		r := &removals[i]
		if a.foldsOnto(r) {
			continue
		}
		if err := s.all(ctx, r.Dir, r.Entry()); err != nil {
			return nil, err
		}
	}
	if displaced == nil {
		return stays, nil
	}
	s.handles = displaced.handles
	found := a.places(&displaced.root)
	for i := range displaced.root.Dir.Entries {
		e := &displaced.root.Dir.Entries[i]
		s.displaced = &displacement{e, found[stage.Tag(e.Name)]}
		if err := s.all(ctx, displaced.root.Dir, e); err != nil {
			return nil, err
		}
	}
	return stays, nil
}

// spot is a place in the destination.
type spot struct {
	dir  *tree.Dir
	name string
}

func (p spot) path() string { return p.dir.Join(p.name) }

// places returns where in the destination the entries of root were, which are
// displaced, by the tags of their names.
func (a *Applier) places(root *tree.Entry) map[string]spot {
	found := make(map[string]spot)
	for i := range root.Dir.Entries {
		e := &root.Dir.Entries[i]
		// Of which nobody knows any more where it was.
		found[stage.Tag(e.Name)] = spot{new(tree.Dir), "displaced-" + e.Name}
	}
	for _, t := range a.Trees {
		for d, e := range t.All() {
			if tag := stage.TagOf(d.Join(e.Name)); found[tag].dir != nil {
				found[tag] = spot{d, e.Name}
			}
		}
	}
	return found
}

// displacement is an entry of the directory of what is displaced, and where it was.
type displacement struct {
	*tree.Entry
	was spot
}

// saver saves trees.
type saver struct {
	a         *Applier
	handles   *dirfs.Handles
	stays     map[*tree.Entry]bool // what could not be saved
	displaced *displacement        // what the tree is; nil where it is in its place
}

// all saves entry e of d and all below it.
func (s *saver) all(ctx context.Context, d *tree.Dir, e *tree.Entry) error {
	if e.Dir != nil && s.displaced != nil {
		err := s.a.Backup.SaveAs(e, s.displaced.was.dir, s.displaced.was.name)
		if saved, err := s.a.saved(ctx, s.displaced.was.path(), err); !saved {
			s.stays[e] = true
			return err
		}
	}
	return walk(ctx, d, e, func(d *tree.Dir, e *tree.Entry) error {
		if e.Dir != nil && anyOf(e.Dir, s.stays) { // the problem is told
			s.stays[e] = true
			return nil
		}
		saved, err := s.a.saved(ctx, s.path(d, e), s.one(ctx, d, e))
		if !saved {
			s.stays[e] = true
		}
		return err
	})
}

// anyOf reports whether a set has an entry of d.
func anyOf(d *tree.Dir, set map[*tree.Entry]bool) bool {
	for i := range d.Entries {
		if len(set) > 0 && set[&d.Entries[i]] {
			return true
		}
	}
	return false
}

func (s *saver) one(ctx context.Context, d *tree.Dir, e *tree.Entry) error {
	switch {
	case e.Flags&tree.Moved != 0: // a further name now
		return nil
	case e.Dir != nil:
		return s.a.Backup.SaveDir(e)
	}
	at := spot{d, e.Name}
	if s.displaced != nil && s.displaced.Entry == e {
		at = s.displaced.was
	}
	_, err := with(s.handles, d, func(h dirfs.Dir) error { return s.a.Backup.Save(ctx, h, e.Name, at.dir, at.name) })
	return err
}

// path returns where in the destination entry e of d is, or was.
func (s *saver) path(d *tree.Dir, e *tree.Entry) string {
	path := d.Join(e.Name)
	if s.displaced == nil {
		return path
	}
	if _, below, deep := strings.Cut(path, "/"); deep {
		return s.displaced.was.path() + "/" + below
	}
	return s.displaced.was.path()
}
