package dirfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// os.Root renames within one Root only, while a Dir is a Root each:
//
//   - Where the system has renameat, it is called with the descriptors of
//     both directories. That is as sound as on Linux, also after a directory
//     above was renamed.
//   - Elsewhere, the top Root renames by the two paths that the directories
//     were opened at, after each component was found to be a directory and
//     the last one to be the very directory that is held. A path that went
//     stale, because a directory above was renamed since, is ErrReplaced and
//     changes nothing; Handles drops such handles on Place and Settle.

// Rename implements Dir.
func (d *portableDir) Rename(name string, to Dir, newName string) error {
	t, ok := to.(*portableDir)
	if !ok {
		return fail("rename", name, errOtherKind)
	}
	if err := checkPortable("rename", name); err != nil {
		return err
	}
	if err := checkPortable("rename", newName); err != nil {
		return err
	}
	if err := d.rename(name, t, newName); err != nil {
		return fail("rename", name, err)
	}
	return nil
}

// rename picks the way.
func (d *portableDir) rename(name string, to *portableDir, newName string) error {
	switch {
	case !d.pathBound():
		return renameBetween(d.root, name, to.root, newName)
	case d == to:
		return renameIn(d.root, name, newName)
	}
	return d.renameByPath(name, to, newName)
}

// Link implements Dir.
func (d *portableDir) Link(name string, to Dir, newName string) error {
	t, ok := to.(*portableDir)
	if !ok {
		return fail("link", name, errOtherKind)
	}
	if err := checkLink(d, name, newName); err != nil {
		return err
	}
	err := error(errors.ErrUnsupported) // by path would cost more than copying
	if !d.pathBound() {
		err = linkBetween(d.root, name, t.root, newName)
	}
	if err != nil {
		return fail("link", name, err)
	}
	return nil
}

// checkLink reports what is wrong with making newName a name of d's file name.
//
// RACE: the file may be replaced before it is linked. Nothing is followed, and
// who links looks at what became of it.
func checkLink(d Dir, name, newName string) error {
	if err := tree.CheckName(newName); err != nil {
		return fail("link", newName, err)
	}
	info, err := d.Stat(name)
	if err == nil && info.Type != tree.File {
		err = fail("link", name, ErrNotRegular)
	}
	return err
}

// renameIn renames within one Root, also onto an empty directory, which
// Rename of package os refuses.
func renameIn(r *os.Root, from, to string) error {
	err := r.Rename(from, to)
	if !errors.Is(err, fs.ErrExist) || from == to {
		return err
	}
	for _, name := range []string{from, to} {
		if fi, e := r.Lstat(name); e != nil || !fi.IsDir() {
			return err
		}
	}
	if err := r.Remove(to); err != nil { // one that holds something stays
		return err
	}
	return r.Rename(from, to)
}

// pathBound reports whether d is of use only as long as no directory above it
// is renamed.
func (d *portableDir) pathBound() bool { return d.top.byPath || !renamesBetween }

// renameByPath renames through the top Root.
//
// RACE: a component may become a link after it was examined. The top Root
// follows it only to somewhere inside.
func (d *portableDir) renameByPath(name string, to *portableDir, newName string) error {
	if d.top != to.top {
		return syscall.EXDEV
	}
	from, err := d.where()
	if err != nil {
		return err
	}
	into, err := to.where()
	if err != nil {
		return err
	}
	return renameIn(d.top.root, from+name, into+newName)
}

// where returns d's path below the top with a slash at its end, after making
// sure that it still leads to d and through no link.
func (d *portableDir) where() (string, error) {
	if d.path == "" {
		return "", nil
	}
	for i := 0; i < len(d.path); i++ {
		if d.path[i] != '/' {
			continue
		}
		fi, err := d.top.root.Lstat(d.path[:i])
		if err != nil {
			return "", err
		}
		if !fi.IsDir() {
			return "", ErrReplaced
		}
	}
	got, err := d.top.root.Lstat(d.path)
	if os.IsNotExist(err) {
		return "", ErrReplaced
	}
	if err != nil {
		return "", err
	}
	self, err := d.root.Stat(".")
	if err != nil {
		return "", err
	}
	if !os.SameFile(got, self) {
		return "", ErrReplaced
	}
	return d.path + "/", nil
}
