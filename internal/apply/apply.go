// Package apply carries out a plan: it makes directories, installs what is
// staged, removes what goes, and sets the metadata of directories last.
//
// Its laws: every path holds its complete old or its complete new content at
// every instant; nothing is removed before everything new is in place and
// durable; nothing is changed in place that has another hard link. An entry
// that fails is a Problem and the rest goes on; an error that it returns
// means that the disk as a whole cannot be trusted.
//
// The order, which the caller keeps:
//
//  1. Make, Point, Touch and Staged for the steps of the plan. New trees are
//     built aside, in the stage, and so are files and links for directories
//     that exist.
//  2. Install, for a batch or at the end: barrier, then one rename each.
//  3. Remove, unless anything failed: a barrier before it.
//     What is replaced or removed is saved in the Backup before these barriers, and
//     stays where that failed.
//  4. Finish: directory metadata, deepest first, and the last barrier.
package apply

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/backup"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Applier applies one plan. It is used by one goroutine.
type Applier struct {
	Area    *stage.Area
	Handles *dirfs.Handles // of the destination
	// Problem is told what failed.
	Problem func(path, operation string, err error)
	// Changes counts what was done.
	Changes wire.Changes
	// Backup is where what is replaced or removed is saved before; nil for nowhere.
	Backup *backup.Backup

	fresh  map[*tree.Dir]bool // directories that this run has made; true while they are built aside
	lost   map[*tree.Dir]bool // directories that it could not make
	tops   []waiting          // new trees that are built aside
	moves  []tree.Step        // directories that move
	staged []waiting          // files and links that are staged
	bytes  int64              // content of staged
	wrote  bool               // something is to be made durable
	leaves bool               // something displaced could not be saved, and stays

	checked *tree.Dir // by reached, last

	// stale are the directories whose own metadata is to be set, with their
	// wanted entries where those are not to be found above them: a directory
	// that both trees share is below the other one.
	stale map[*tree.Dir]*tree.Entry
	order []*tree.Dir // stale, in the order in which they became it
}

// waiting is an entry that waits to be installed: in the stage, or in another
// directory of the destination.
type waiting struct {
	step tree.Step
	name string    // that it has there
	from *tree.Dir // where it is, nil for the stage
}

// New returns an Applier that has done nothing.
func New(area *stage.Area, handles *dirfs.Handles, problem func(path, operation string, err error)) *Applier {
	return &Applier{
		Area: area, Handles: handles, Problem: problem,
		fresh: make(map[*tree.Dir]bool),
		lost:  make(map[*tree.Dir]bool),
		stale: make(map[*tree.Dir]*tree.Entry),
		wrote: area.Leftover,
	}
}

// ErrLost is why entries of a directory that could not be made fail.
var ErrLost = fault.Errorf("its directory could not be made")

// Builds reports whether d is a new directory, in which files are written
// under their own names since nobody can see them yet.
func (a *Applier) Builds(d *tree.Dir) bool { return a.fresh[d] }

// Loses reports whether entries of d cannot be made.
func (a *Applier) Loses(d *tree.Dir) bool { return a.lost[d] }

// Lost reports whether the entry of s cannot be made, and tells the problem.
func (a *Applier) Lost(s *tree.Step) bool {
	if a.lost[s.Dir] {
		a.Problem(s.Path(), "write", ErrLost)
		return true
	}
	return false
}

// Skip notes that a step was not begun, so that nothing in what it would have
// made can be made.
func (a *Applier) Skip(s tree.Step) {
	if d := s.Entry().Dir; d != nil {
		a.lost[d] = true
	}
}

// in calls f with the handle of a directory of the wanted tree, as with does,
// and notes that its metadata is to be set again where that was changed.
func (a *Applier) in(d *tree.Dir, f func(dirfs.Dir) error) error {
	opened, err := with(a.Handles, d, f)
	if opened {
		a.touched(d)
	}
	return err
}

// with calls f with the handle of d. Where f may not change the directory for
// want of permission, and the directory is ours, it is given the permission
// and f is called again; with returns whether it was.
func with(handles *dirfs.Handles, d *tree.Dir, f func(dirfs.Dir) error) (opened bool, err error) {
	h, err := handles.Acquire(d)
	if err != nil {
		return false, err
	}
	defer handles.Release(d)
	err = f(h)
	if !errors.Is(err, fs.ErrPermission) {
		return false, err
	}
	info, ierr := h.Self()
	if ierr != nil || info.Perm&0o300 == 0o300 || h.Chmod(info.Perm|0o700) != nil {
		return false, err
	}
	return true, f(h)
}

// touched notes that the metadata of d is to be set at the end.
func (a *Applier) touched(d *tree.Dir) { a.touchedAs(d, nil) }

func (a *Applier) touchedAs(d *tree.Dir, e *tree.Entry) {
	if known, ok := a.stale[d]; !ok {
		a.order = append(a.order, d)
		a.stale[d] = e
	} else if known == nil {
		a.stale[d] = e
	}
}

// Make makes a new directory: aside, or in one that is built aside.
func (a *Applier) Make(s tree.Step) error {
	if a.Lost(&s) {
		a.lost[s.Entry().Dir] = true
		return nil
	}
	d := s.Entry().Dir
	if err := a.make(s, d); err != nil {
		a.lost[d] = true
		return a.failed(s, "make directory", err)
	}
	a.fresh[d] = true
	a.touched(d)
	a.wrote = true
	a.Changes.Created++
	return nil
}

// failed tells the problem with an entry, and returns an error where it is one
// of the disk as a whole.
func (a *Applier) failed(s tree.Step, op string, err error) error {
	a.Problem(s.Path(), op, err)
	if DiskFailed(err) {
		return Disk(op+" "+s.Path(), err)
	}
	return nil
}

func (a *Applier) make(s tree.Step, d *tree.Dir) error {
	if a.fresh[s.Dir] {
		return a.in(s.Dir, func(h dirfs.Dir) error { return mkdir(h, d.Name, d) })
	}
	name := a.Area.NextFor(s.Path())
	if err := mkdir(a.Area.Files, name, d); err != nil {
		return err
	}
	a.Handles.Place(d, a.Area.Files, name)
	a.tops = append(a.tops, waiting{step: s, name: name})
	return nil
}

// mkdir makes a directory, and notes in d what it is: so its handle, when it is opened
// anew, is that of this very one.
func mkdir(in dirfs.Dir, name string, d *tree.Dir) error {
	if err := in.Mkdir(name, 0o700); err != nil {
		return err
	}
	info, err := in.Stat(name)
	if err == nil && info.Type != tree.Directory {
		err = dirfs.ErrReplaced
	}
	d.Dev, d.Ino = info.Dev, info.Ino
	return err
}

// Point makes a link.
func (a *Applier) Point(s tree.Step) error {
	if a.Lost(&s) {
		return nil
	}
	if err := a.point(s); err != nil {
		return a.failed(s, "make link", err)
	}
	return nil
}

func (a *Applier) point(s tree.Step) error {
	if a.fresh[s.Dir] {
		err := a.in(s.Dir, func(h dirfs.Dir) error { return a.link(h, s.Entry().Name, s.Entry()) })
		if err == nil {
			a.Placed(s)
		}
		return err
	}
	name := a.Area.Next()
	if err := a.link(a.Area.Files, name, s.Entry()); err != nil {
		return err
	}
	a.Staged(s, name)
	return nil
}

// link makes a link and takes over into e what became of it.
func (a *Applier) link(in dirfs.Dir, name string, e *tree.Entry) error {
	if err := in.Symlink(e.Target, name); err != nil {
		return err
	}
	if a.Area.Canon.LinkTimes {
		if err := in.SetLinkTime(name, a.Area.Canon.Time(e.MTime())); err != nil {
			return err
		}
	}
	info, err := in.Stat(name)
	if err == nil {
		e.SetMTime(info.MTime)
	}
	return err
}

// Touch sets the metadata of an entry whose content is right, as its entry in
// the wanted tree says, in which what became of it is noted. For a file that
// could not be opened it returns ErrUnopened and tells no problem: the content
// can be fetched instead. Any other error is one of the disk as a whole.
func (a *Applier) Touch(s tree.Step) error {
	e := s.Entry()
	err := a.reached(s.Dir)
	switch {
	case err != nil:
	case e.Type == tree.Directory:
		a.touchedAs(e.Dir, e)
	case e.Type == tree.Link:
		err = a.touchLink(s)
	case e.Type == tree.File:
		if s.Have.Flags&tree.Shared != 0 {
			return a.copy(s)
		}
		err = a.touchFile(s)
		switch {
		case errors.Is(err, dirfs.ErrShared):
			return a.copy(s)
		case errors.Is(err, ErrUnopened):
			return err
		}
	}
	if err != nil {
		return a.failed(s, "set metadata", err)
	}
	a.Changes.Touched++
	a.wrote = true
	return nil
}

// ErrUnopened says that a file could not be opened to touch it.
var ErrUnopened = fault.Errorf("not opened")

func (a *Applier) touchLink(s tree.Step) error {
	return a.in(s.Dir, func(h dirfs.Dir) error {
		info, err := h.Stat(s.Have.Name)
		if err == nil {
			err = isStill(s.Have, info)
		}
		if err != nil {
			return err
		}
		return h.SetLinkTime(s.Have.Name, a.Area.Canon.Time(s.Entry().MTime()))
	})
}

func (a *Applier) touchFile(s tree.Step) error {
	e := s.Entry()
	return a.in(s.Dir, func(h dirfs.Dir) error {
		f, err := h.Open(e.Name)
		if err != nil {
			return errors.Join(ErrUnopened, err)
		}
		defer f.Close()
		info, err := f.Info()
		if err == nil {
			err = isStill(s.Have, info)
		}
		if err == nil && info.Nlink > 1 { // since the scan
			err = dirfs.ErrShared
		}
		if err != nil {
			return err
		}
		if err := f.Chmod(e.Perm); err != nil {
			return err
		}
		if err := f.SetTime(a.Area.Canon.Time(e.MTime())); err != nil {
			return err
		}
		if a.Area.SyncsEach() {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if info, err = f.Info(); err == nil {
			err = a.became(e, info)
		}
		return err
	})
}

// copy gives new metadata to a file that has another hard link: a copy of it
// takes its place.
func (a *Applier) copy(s tree.Step) error {
	e := s.Entry()
	name := a.Area.Next()
	var info dirfs.Info
	err := a.in(s.Dir, func(h dirfs.Dir) (err error) {
		info, err = a.Area.Copy(h, e.Name, func(info dirfs.Info) error { return isStill(s.Have, info) }, a.Area.Files, name, wire.Meta{Perm: e.Perm, MTime: e.MTime(), Size: e.Size}, nil)
		return err
	})
	if err != nil {
		return errors.Join(ErrUnopened, err)
	}
	Observe(e, info)
	a.Staged(s, name)
	return nil
}

// Observe takes over what the system says of an entry after it was written:
// the digest of the result is made of that, not of what was asked for.
func Observe(e *tree.Entry, info dirfs.Info) {
	e.Type = info.Type
	e.SetMTime(info.MTime)
	e.Perm = info.Perm & tree.MaxPerm
	if info.Type == tree.File {
		e.Size = info.Size
	}
}

// Staged notes that the content for s is in the stage.
func (a *Applier) Staged(s tree.Step, name string) {
	a.staged = append(a.staged, waiting{step: s, name: name})
	a.bytes += s.Entry().Size
	a.wrote = true
}

// Placed notes that the content for s is in a directory that is built.
func (a *Applier) Placed(s tree.Step) {
	a.wrote = true
	a.count(&s)
}

func (a *Applier) count(s *tree.Step) {
	switch {
	case s.Kind == tree.Reuse && !s.From.Staged:
		a.Changes.Reused++
	case s.Have == nil:
		a.Changes.Created++
	case s.Kind == tree.Touch:
		a.Changes.Touched++
	default:
		a.Changes.Replaced++
	}
}

// Batch is how much waits in the stage before it is worth a barrier: the disk
// holds that much more than the tree, and no more.
const (
	batchFiles = 16 << 10
	BatchBytes = 512 << 20 // of content
)

// Full reports whether enough is staged to be installed.
func (a *Applier) Full() bool { return len(a.staged) >= batchFiles || a.bytes >= BatchBytes }

// DiskFailed reports whether an error concerns the disk as a whole: there is
// no use in trying the next file.
func DiskFailed(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// Disk gives err the code for a disk that failed as a whole. Op names nothing but what is
// below the root.
func Disk(op string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Disk, "%s: %w", fault.Told(fault.Escape(op)), err)
}
