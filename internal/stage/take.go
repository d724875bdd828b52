package stage

import (
	"errors"
	"fmt"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Take makes a new file of one that the destination has elsewhere, in the
// directory from, and returns what the system says of it afterwards. If Links says
// so it is a further name of the other one, if the file system can do that;
// otherwise a copy, of which progress hears as Copy says. A file that is not any
// more what was compared is dirfs.ErrReplaced. On failure nothing is left.
func (a *Area) Take(from dirfs.Dir, o *tree.Origin, in dirfs.Dir, name string, m wire.Meta, progress func(int64) error) (dirfs.Info, error) {
	if a.Links(o, m) {
		info, err := a.link(from, o, in, name)
		if err == nil || errors.Is(err, dirfs.ErrReplaced) {
			return info, err
		}
	}
	accept := func(info dirfs.Info) error { return isStill(o, info, true) }
	return a.Copy(from, o.Entry().Name, accept, in, name, m, progress)
}

// Links reports whether a file with metadata m that is taken from elsewhere is to be
// a further name of that: if that moves, and has the metadata already. Where letter
// case is folded it is not: a rename between two names of one file does nothing, and
// the two may be one.
func (a *Area) Links(o *tree.Origin, m wire.Meta) bool {
	e := o.Entry()
	return o.Moves && !a.Canon.FoldsCase && e.Perm == m.Perm && e.MTime() == a.Canon.Time(m.MTime)
}

// errShared is why something staged gets no further name.
var errShared = fault.Errorf("has another name")

// link gives the file of o a further name. What is staged must have one only: the
// other may be that of a file which stays.
func (a *Area) link(from dirfs.Dir, o *tree.Origin, in dirfs.Dir, name string) (dirfs.Info, error) {
	before, err := from.Stat(o.Entry().Name)
	if err == nil {
		err = isStill(o, before, true)
	}
	if err == nil && o.Staged && before.Nlink > 1 {
		err = errShared
	}
	if err == nil {
		err = a.Link(from, o.Entry().Name, in, name)
	}
	if err != nil {
		return dirfs.Info{}, err
	}
	info, err := in.Stat(name)
	if err == nil {
		err = isStill(o, info, false) // another name is another ctime
	}
	if err != nil || info.Ino != before.Ino {
		return dirfs.Info{}, errors.Join(err, dirfs.ErrReplaced, in.Remove(name))
	}
	return info, nil
}

// Link gives a file, whose content a barrier makes durable, a further name. It fails as
// dirfs.Dir.Link does.
func (a *Area) Link(from dirfs.Dir, name string, in dirfs.Dir, as string) error {
	if a.SyncsEach() {
		if err := syncFile(from, name); err != nil {
			return err
		}
	}
	return from.Link(name, in, as)
}

// SyncFile makes a file durable by itself.
func (a *Area) SyncFile(in dirfs.Dir, name string) error {
	if a.noSync {
		return nil
	}
	return syncFile(in, name)
}

func syncFile(in dirfs.Dir, name string) error {
	f, err := open(in, name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func open(in dirfs.Dir, name string) (dirfs.File, error) {
	return dirfs.Patiently(func() (dirfs.File, error) { return in.Open(name) })
}

func create(in dirfs.Dir, name string, perm uint16) (dirfs.File, error) {
	return dirfs.Patiently(func() (dirfs.File, error) { return in.Create(name, perm) })
}

// isStill returns dirfs.ErrReplaced if a file is not what was found of o.
func isStill(o *tree.Origin, info dirfs.Info, ctime bool) error {
	e := o.Entry()
	same := info.Type == tree.File && info.Size == e.Size && info.MTime == e.MTime()
	if o.Ino != 0 {
		same = same && info.Ino == o.Ino && (!ctime || info.CTime == o.CTime)
	}
	if !same {
		return fmt.Errorf("%s: %w", e.Name, dirfs.ErrReplaced)
	}
	return nil
}

// copyMost is how much is copied before somebody may stop that.
const copyMost = 8 << 20

// Copy makes a new file with the content of another one of the destination, if
// accept, which may be nil, returns no error for that. It calls progress, unless
// that is nil, with the bytes copied, until it returns an error.
func (a *Area) Copy(from dirfs.Dir, old string, accept func(dirfs.Info) error, in dirfs.Dir, name string, m wire.Meta, progress func(int64) error) (dirfs.Info, error) {
	src, err := open(from, old)
	if err != nil {
		return dirfs.Info{}, err
	}
	defer src.Close()
	before, err := src.Info()
	if err == nil && accept != nil {
		err = accept(before)
	}
	if err != nil {
		return dirfs.Info{}, err
	}
	f, err := create(in, name, m.Perm)
	if err != nil {
		return dirfs.Info{}, err
	}
	err = copyAll(f, src, m.Size, progress)
	if err == nil {
		var after dirfs.Info
		if after, err = src.Info(); err == nil && (after.CTime != before.CTime || after.Size != before.Size) {
			err = dirfs.ErrReplaced
		}
	}
	if err != nil {
		return dirfs.Info{}, errors.Join(err, f.Close(), in.Remove(name))
	}
	return a.seal(f, in, name, m)
}

func copyAll(to, from dirfs.File, size int64, progress func(int64) error) error {
	for off := int64(0); off < size; off += copyMost {
		n := min(copyMost, size-off)
		if err := to.CopyFrom(from, off, off, n); err != nil {
			return err
		}
		if progress != nil {
			if err := progress(n); err != nil {
				return err
			}
		}
	}
	return nil
}
