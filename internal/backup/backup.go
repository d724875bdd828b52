// Package backup saves what a session replaces or removes, under its relative path
// in a directory of its own.
//
// Its law: what is saved is complete and, after Barrier, durable while the original
// still stands. A file or link that was saved under the same path by an earlier
// session is replaced, in one step; nothing else that the directory holds is changed,
// and no link in it is followed. Where something of another type is in the way, what is
// saved has ".~1~" after its name, or the next number that is free.
package backup

import (
	"context"
	"errors"
	"io/fs"
	"strconv"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Backup is where one session saves. It is used by one goroutine.
type Backup struct {
	area    *stage.Area
	handles *dirfs.Handles
	root    *tree.Dir
	saved   map[*tree.Dir]*tree.Dir // directories here, by those of the destination
	stale   map[*tree.Dir]bool      // directories here that are to be synced by themselves
	wrote   bool
}

// Open returns a Backup in root, of which area is the working directory. It closes
// neither.
func Open(root dirfs.Dir, area *stage.Area) *Backup {
	return &Backup{
		area:    area,
		handles: dirfs.NewHandles(root, dirfs.DefaultHandles()),
		root:    new(tree.Dir),
		saved:   make(map[*tree.Dir]*tree.Dir),
		stale:   make(map[*tree.Dir]bool),
	}
}

// Close closes all handles.
func (b *Backup) Close() { b.handles.Close() }

// Dev returns on which file system it is, 0 where the system does not say.
func (b *Backup) Dev() uint64 { return b.area.Root.Dev }

// Room returns how many bytes its disk still takes.
func (b *Backup) Room() (uint64, error) { return b.area.Room() }

// Wrote reports whether anything was saved.
func (b *Backup) Wrote() bool { return b.wrote }

// Save saves a file or link, which is name in from, as entry e of the destination's
// directory d. It gets a further name where it has but one and the file system
// allows that, and is copied otherwise. What has no content, a FIFO or a device, is
// not saved. Two errors are the caller's business: fs.ErrNotExist, since there is
// nothing to save, and that of ctx.
func (b *Backup) Save(ctx context.Context, from dirfs.Dir, name string, d *tree.Dir, as string) error {
	info, err := from.Stat(name)
	if err != nil || info.Type != tree.File && info.Type != tree.Link {
		return err
	}
	return b.in(d, func(h dirfs.Dir) error {
		free, there, err := vacant(h, as)
		switch {
		case err != nil:
			return err
		case there.Ino != 0 && there.Ino == info.Ino && there.Dev == info.Dev:
			return nil // by a session that was interrupted
		case info.Type == tree.File && info.Nlink == 1:
			err = b.link(from, name, h, free, there)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return b.copy(ctx, from, name, info, h, free)
	})
}

// SaveDir saves that there was a directory. What was in it is saved before.
func (b *Backup) SaveDir(e *tree.Entry) error {
	return b.in(e.Dir, func(h dirfs.Dir) error { return h.SetTime(b.area.Canon.Time(e.MTime())) })
}

// SaveAs says that the directory e, which is not where its tree says, is to be saved as
// an entry of d.
func (b *Backup) SaveAs(e *tree.Entry, d *tree.Dir, as string) error {
	in, err := b.dir(d)
	if err != nil {
		return err
	}
	k, err := b.make(in, as, e.Perm)
	if err == nil {
		b.saved[e.Dir] = k
	}
	return err
}

// Barrier makes durable what was saved so far.
func (b *Backup) Barrier() error {
	if !b.wrote {
		return nil
	}
	for k := range b.stale {
		h, err := b.handles.Acquire(k)
		if err == nil {
			err = h.Sync()
			b.handles.Release(k)
		}
		if err != nil {
			return err
		}
	}
	clear(b.stale)
	return b.area.Barrier()
}

// in calls f with the directory that stands here for one of the destination.
func (b *Backup) in(d *tree.Dir, f func(dirfs.Dir) error) error {
	k, err := b.dir(d)
	if err != nil {
		return err
	}
	h, err := b.handles.Acquire(k)
	if err != nil {
		return err
	}
	defer b.handles.Release(k)
	b.changes(k)
	return f(h)
}

// changes notes that something in k is to be made durable.
func (b *Backup) changes(k *tree.Dir) {
	b.wrote = true
	if b.area.SyncsEach() {
		b.stale[k] = true
	}
}

// dir returns the directory that stands here for one of the destination, making it
// where it is missing.
func (b *Backup) dir(d *tree.Dir) (*tree.Dir, error) {
	if d.Parent == nil {
		return b.root, nil
	}
	if k := b.saved[d]; k != nil {
		return k, nil
	}
	in, err := b.dir(d.Parent)
	if err != nil {
		return nil, err
	}
	perm := uint16(0o700)
	if e := d.Parent.Find(d.Name); e != nil {
		perm = e.Perm
	}
	k, err := b.make(in, d.Name, perm)
	if err == nil {
		b.saved[d] = k
	}
	return k, err
}

// make makes a directory here. Its owner may always write in it, so that another
// session can.
func (b *Backup) make(in *tree.Dir, name string, perm uint16) (*tree.Dir, error) {
	h, err := b.handles.Acquire(in)
	if err != nil {
		return nil, err
	}
	defer b.handles.Release(in)
	for n := 0; ; n++ {
		as := numbered(name, n)
		err := h.Mkdir(as, perm|0o700)
		if errors.Is(err, fs.ErrExist) {
			info, serr := h.Stat(as)
			if serr == nil && info.Type != tree.Directory {
				continue
			}
			err = serr
		} else if err == nil {
			b.changes(in)
		}
		return &tree.Dir{Parent: in, Name: as}, err
	}
}

// link gives a file a further name here.
func (b *Backup) link(from dirfs.Dir, name string, in dirfs.Dir, as string, there dirfs.Info) error {
	if there.Type == 0 {
		return b.area.Link(from, name, in, as)
	}
	tmp := b.area.Next()
	if err := b.area.Link(from, name, b.area.Files, tmp); err != nil {
		return err
	}
	return b.place(tmp, in, as)
}

// copy makes a copy of a file or link here.
func (b *Backup) copy(ctx context.Context, from dirfs.Dir, name string, info dirfs.Info, in dirfs.Dir, as string) (err error) {
	tmp := b.area.Next()
	if info.Type == tree.Link {
		err = b.copyLink(from, name, info, tmp)
	} else {
		m := wire.Meta{Perm: info.Perm & tree.MaxPerm, MTime: info.MTime, Size: info.Size}
		_, err = b.area.Copy(from, name, nil, b.area.Files, tmp, m, func(int64) error { return context.Cause(ctx) })
	}
	if err != nil {
		return err
	}
	return b.place(tmp, in, as)
}

func (b *Backup) copyLink(from dirfs.Dir, name string, info dirfs.Info, tmp string) error {
	target, err := from.ReadLink(name)
	if err != nil {
		return err
	}
	if err := b.area.Files.Symlink(target, tmp); err != nil || !b.area.Canon.LinkTimes {
		return err
	}
	return b.area.Files.SetLinkTime(tmp, b.area.Canon.Time(info.MTime))
}

// place puts what is complete where it belongs.
func (b *Backup) place(tmp string, in dirfs.Dir, as string) error {
	err := b.area.Files.Rename(tmp, in, as)
	if err != nil {
		err = errors.Join(err, b.area.Files.Remove(tmp))
	}
	return err
}

// vacant returns the name that something which is no directory can have here, and what
// has it now: nothing, or something that it replaces.
func vacant(in dirfs.Dir, name string) (string, dirfs.Info, error) {
	for n := 0; ; n++ {
		as := numbered(name, n)
		info, err := in.Stat(as)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return as, dirfs.Info{}, nil
		case err != nil || info.Type != tree.Directory:
			return as, info, err
		}
	}
}

// numbered returns the n-th name that something can have.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + ".~" + strconv.Itoa(n) + "~"
}
