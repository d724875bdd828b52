// Package backup saves what a session replaces or removes, under its relative path
// in a directory of its own.
//
// Its law: what is saved is complete and, after Barrier, durable while the original
// still stands. A file or link that an earlier session has saved under the same path is
// replaced, in one step, by one that is complete; nothing else that the directory holds
// is changed, and no link in it is followed. Where a name is taken by something else,
// or by what this session has saved, ".~1~" comes after it, or the next number that is
// free.
package backup

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Backup is where one session saves. It is used by one goroutine.
type Backup struct {
	// Progress is called with the bytes of what is saved, and one more for each entry.
	Progress func(int64)

	area    *stage.Area
	handles *dirfs.Handles
	root    *folder
	folders map[*tree.Dir]*folder // by the directories of the destination that they stand for
	taken   map[any]bool          // by this session, where another original could get the name
	stale   map[*folder]bool      // folders that are to be synced by themselves
	unsafe  bool                  // something is to be made durable
	wrote   bool
}

// folder is a directory here.
type folder struct {
	*tree.Dir
	have *tree.Dir // the one that was there in the destination, nil where that is not known
}

// Open returns a Backup in root, of which area is the working directory. It closes
// neither.
func Open(root dirfs.Dir, area *stage.Area) *Backup {
	return &Backup{
		Progress: func(int64) {},
		area:     area,
		handles:  dirfs.NewHandles(root, dirfs.DefaultHandles()),
		root:     &folder{Dir: new(tree.Dir)},
		folders:  make(map[*tree.Dir]*folder),
		taken:    make(map[any]bool),
		stale:    make(map[*folder]bool),
	}
}

// Close closes all handles.
func (b *Backup) Close() { b.handles.Close() }

// Was says what the destination holds, before anything is saved: directories here get
// the permission that they had there.
func (b *Backup) Was(have *tree.Dir) { b.root.have = have }

// Dev returns on which file system it is, 0 where the system does not say.
func (b *Backup) Dev() uint64 { return b.area.Root.Dev }

// Is reports whether it is the directory with the given identity. Nil is none.
func (b *Backup) Is(dev, ino uint64) bool {
	return b != nil && ino != 0 && b.area.Root.Dev == dev && b.area.Root.Ino == ino
}

// Room returns how many bytes its disk still takes.
func (b *Backup) Room() (uint64, error) { return b.area.Room() }

// Wrote reports whether anything was saved.
func (b *Backup) Wrote() bool { return b.wrote }

// ErrGone says that what is to be saved is not there.
var ErrGone = fault.Errorf("is gone")

// Save saves a file or link, which is name in from, as an entry of the destination's
// directory d. It gets a further name where it has but one and the file system
// allows that, and is copied otherwise. What has no content, a FIFO or a device, is
// not saved. Accept, unless nil, is asked whether it is what is to be saved. It fails with
// ErrGone where there is nothing.
func (b *Backup) Save(ctx context.Context, from dirfs.Dir, name string, accept func(dirfs.Info) error, d *tree.Dir, as string) error {
	info, err := from.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrGone
	case err == nil && accept != nil:
		err = accept(info)
	}
	if err != nil || info.Type != tree.File && info.Type != tree.Link {
		return err
	}
	f, err := b.folder(d)
	if err != nil {
		return err
	}
	h, err := b.handles.Acquire(f.Dir)
	if err != nil {
		return err
	}
	defer b.handles.Release(f.Dir)
	return b.save(ctx, original{from, name, info}, f, h, as)
}

// original is a file or link that is to be saved.
type original struct {
	dirfs.Dir
	name string
	info dirfs.Info
}

func (b *Backup) save(ctx context.Context, o original, f *folder, h dirfs.Dir, as string) error {
	as, there, err := b.vacant(f, h, as)
	switch {
	case err != nil:
		return err
	case there.Ino != 0 && there.Ino == o.info.Ino && there.Dev == o.info.Dev:
		// Saved by a session that was interrupted.
	case b.link(o, h, as, there) == nil:
	default:
		if err := b.copy(ctx, o, h, as, there); err != nil {
			return err
		}
	}
	b.changes(f)
	b.Progress(1)
	return b.take(f, h, as)
}

// take notes that a name is taken, if something else could come to it.
func (b *Backup) take(f *folder, h dirfs.Dir, name string) error {
	if !b.area.Canon.FoldsCase && !strings.Contains(name, ".~") {
		return nil
	}
	info, err := h.Stat(name)
	b.taken[key(f, name, info)] = true
	return err
}

// SaveDir saves that there was a directory. What was in it is saved before.
func (b *Backup) SaveDir(e *tree.Entry) error {
	f, err := b.folder(e.Dir)
	if err != nil {
		return err
	}
	h, err := b.handles.Acquire(f.Dir)
	if err != nil {
		return err
	}
	defer b.handles.Release(f.Dir)
	b.changes(f)
	b.Progress(1)
	return h.SetTime(b.area.Canon.Time(e.MTime()))
}

// SaveAs says that the directory e, which is not where its tree says, is to be saved as
// an entry of d.
func (b *Backup) SaveAs(e *tree.Entry, d *tree.Dir, as string) error {
	in, err := b.folder(d)
	if err != nil {
		return err
	}
	f, err := b.make(in, as, e)
	if err == nil {
		b.folders[e.Dir] = f
	}
	return err
}

// Barrier makes durable what was saved so far.
func (b *Backup) Barrier() error {
	if !b.unsafe {
		return nil
	}
	for f := range b.stale {
		h, err := b.handles.Acquire(f.Dir)
		if err == nil {
			err = h.Sync()
			b.handles.Release(f.Dir)
		}
		if err != nil {
			return err
		}
	}
	if err := b.area.Barrier(); err != nil {
		return err
	}
	clear(b.stale)
	b.unsafe = false
	return nil
}

// changes notes that something in f is to be made durable.
func (b *Backup) changes(f *folder) {
	b.wrote, b.unsafe = true, true
	if b.area.SyncsEach() {
		b.stale[f] = true
	}
}

// folder returns what stands here for a directory of the destination, making it where
// it is missing.
func (b *Backup) folder(d *tree.Dir) (*folder, error) {
	if d.Parent == nil {
		return b.root, nil
	}
	if f := b.folders[d]; f != nil {
		return f, nil
	}
	in, err := b.folder(d.Parent)
	if err != nil {
		return nil, err
	}
	was := &tree.Entry{Perm: 0o700}
	if in.have != nil {
		if e := in.have.Find(d.Name); e != nil && e.Dir != nil {
			was = e
		}
	}
	f, err := b.make(in, d.Name, was)
	if err == nil {
		b.folders[d] = f
	}
	return f, err
}

// make makes a directory here. Its owner may always write in it, so that another
// session can.
func (b *Backup) make(in *folder, name string, was *tree.Entry) (*folder, error) {
	h, err := b.handles.Acquire(in.Dir)
	if err != nil {
		return nil, err
	}
	defer b.handles.Release(in.Dir)
	as, there, err := b.free(in, h, name, func(info dirfs.Info) bool { return info.Type == tree.Directory })
	if err == nil && there.Type == 0 {
		if err = h.Mkdir(as, was.Perm|0o700); err == nil {
			there, err = h.Stat(as)
		}
		b.changes(in)
	}
	return &folder{&tree.Dir{Parent: in.Dir, Name: as, Dev: there.Dev, Ino: there.Ino}, was.Dir}, err
}

// vacant returns the name that a file or link can have here, and what has it now:
// nothing, or what it replaces.
func (b *Backup) vacant(f *folder, h dirfs.Dir, name string) (string, dirfs.Info, error) {
	return b.free(f, h, name, func(info dirfs.Info) bool { return info.Type == tree.File || info.Type == tree.Link })
}

// free returns the first name that is not in use here, or is by something that gives way
// and that this session has not saved; and what that is.
func (b *Backup) free(f *folder, h dirfs.Dir, name string, gives func(dirfs.Info) bool) (string, dirfs.Info, error) {
	for n := 0; ; n++ {
		as := name
		if n > 0 {
			as += ".~" + strconv.Itoa(n) + "~"
		}
		if f == b.root && b.area.Canon.IsReserved(as) {
			continue
		}
		info, err := h.Stat(as)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return as, dirfs.Info{}, nil
		case err != nil || gives(info) && !b.taken[key(f, as, info)]:
			return as, info, err
		}
	}
}

// key names something that was saved: by what it is, since a name may be another one's in
// other letter case, where the system says.
func key(f *folder, name string, info dirfs.Info) any {
	if info.Ino == 0 {
		return f.Join(name)
	}
	return [2]uint64{info.Dev, info.Ino}
}

// errNamed is why a file gets no further name.
var errNamed = fault.Errorf("has further names")

// link gives a file a further name here. One that has another name already could be
// changed by that later on; and of a link there may be no second one. What it replaces goes
// when its content is durable.
func (b *Backup) link(o original, in dirfs.Dir, as string, there dirfs.Info) error {
	switch {
	case o.info.Type != tree.File || o.info.Nlink != 1 || o.info.Ino == 0:
		return errNamed
	case there.Type == 0:
		return b.area.Link(o, o.name, in, as)
	}
	if err := b.area.SyncFile(o, o.name); err != nil {
		return err
	}
	tmp := b.area.Next()
	if err := b.area.Link(o, o.name, b.area.Files, tmp); err != nil {
		return err
	}
	return b.place(tmp, in, as)
}

// copy makes a copy of a file or link here. What it replaces goes when the copy is
// durable.
func (b *Backup) copy(ctx context.Context, o original, in dirfs.Dir, as string, there dirfs.Info) (err error) {
	tmp := b.area.Next()
	if o.info.Type == tree.Link {
		err = b.copyLink(o, tmp)
	} else {
		err = b.copyFile(ctx, o, tmp)
		if err == nil && there.Type != 0 {
			err = b.area.SyncFile(b.area.Files, tmp)
		}
	}
	if err != nil {
		return err // leftovers go with the working directory
	}
	return b.place(tmp, in, as)
}

func (b *Backup) copyFile(ctx context.Context, o original, tmp string) error {
	accept := func(now dirfs.Info) error {
		if now.Ino != o.info.Ino || now.Size != o.info.Size || now.CTime != o.info.CTime {
			return dirfs.ErrReplaced
		}
		return nil
	}
	progress := func(n int64) error {
		b.Progress(n)
		return context.Cause(ctx)
	}
	m := wire.Meta{Perm: o.info.Perm & tree.MaxPerm, MTime: o.info.MTime, Size: o.info.Size}
	_, err := b.area.Copy(o, o.name, accept, b.area.Files, tmp, m, progress)
	return err
}

func (b *Backup) copyLink(o original, tmp string) error {
	target, err := o.ReadLink(o.name)
	if err != nil {
		return err
	}
	if err := b.area.Files.Symlink(target, tmp); err != nil || !b.area.Canon.LinkTimes {
		return err
	}
	return b.area.Files.SetLinkTime(tmp, b.area.Canon.Time(o.info.MTime))
}

// place puts what is complete where it belongs.
func (b *Backup) place(tmp string, in dirfs.Dir, as string) error {
	err := b.area.Files.Rename(tmp, in, as)
	if err != nil {
		err = errors.Join(err, b.area.Files.Remove(tmp))
	}
	return err
}
