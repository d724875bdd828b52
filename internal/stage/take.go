package stage

import (
	"errors"
	"fmt"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Take makes a new file of one that the destination has elsewhere, in the
// directory from, and returns what the system says of it afterwards. If the
// other one moves, it is a further name of it, as long as it has the metadata m
// already and the file system can do that; otherwise a copy. A file that is not
// any more what was compared is dirfs.ErrReplaced. On failure nothing is left.
func (a *Area) Take(from dirfs.Dir, o *tree.Origin, in dirfs.Dir, name string, m wire.Meta) (dirfs.Info, error) {
	if e := o.Entry(); o.Moves && e.Perm == m.Perm && e.MTime() == a.Canon.Time(m.MTime) {
		info, err := a.link(from, o, in, name)
		if err == nil || errors.Is(err, dirfs.ErrReplaced) {
			return info, err
		}
	}
	return a.Copy(from, o.Entry().Name, func(info dirfs.Info) error { return isStill(o, info, true) }, in, name, m)
}

// link gives the file of o a further name.
func (a *Area) link(from dirfs.Dir, o *tree.Origin, in dirfs.Dir, name string) (dirfs.Info, error) {
	before, err := from.Stat(o.Entry().Name)
	if err == nil {
		err = isStill(o, before, true)
	}
	if err != nil {
		return dirfs.Info{}, err
	}
	if err := from.Link(o.Entry().Name, in, name); err != nil {
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

// Copy makes a new file with the content of another one of the destination, if
// accept, which may be nil, returns no error for that.
func (a *Area) Copy(from dirfs.Dir, old string, accept func(dirfs.Info) error, in dirfs.Dir, name string, m wire.Meta) (dirfs.Info, error) {
	src, err := from.Open(old)
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
	f, err := in.Create(name, m.Perm)
	if err != nil {
		return dirfs.Info{}, err
	}
	err = f.CopyFrom(src, 0, 0, m.Size)
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
