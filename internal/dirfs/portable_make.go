package dirfs

import (
	"errors"
	"os"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// Mkdir implements Dir.
func (d *portableDir) Mkdir(name string, perm uint16) error {
	if err := checkPortable("mkdir", name); err != nil {
		return err
	}
	if err := d.root.Mkdir(name, modeOf(perm&0o777)); err != nil {
		return fail("mkdir", name, err)
	}
	if err := d.exactBits(name, perm&permBits); err != nil {
		// Not what was asked for, so not made. An empty directory is all
		// that this can remove.
		_ = d.RemoveDir(name)
		return fail("mkdir", name, err)
	}
	return nil
}

// exactBits makes the bits of a directory just made those that were asked
// for, whatever the umask, a default ACL or a setgid parent made of them. Where the
// umask keeps a directory from its owner that fails, but for root.
func (d *portableDir) exactBits(name string, perm uint16) error {
	if !hasPermBits {
		return nil
	}
	fi, err := d.root.Lstat(name)
	if err != nil || permOf(fi.Mode()) == perm {
		return err
	}
	r, err := d.openRoot(name)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := r.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(modeOf(perm))
}

// Symlink implements Dir.
func (d *portableDir) Symlink(target, name string) error {
	if err := checkPortable("symlink", name); err != nil {
		return err
	}
	if err := d.root.Symlink(target, name); err != nil {
		return fail("symlink", name, err)
	}
	return nil
}

// Exchange implements Dir.
func (d *portableDir) Exchange(name string, to Dir, newName string) error {
	if err := checkPortable("exchange", name); err != nil {
		return err
	}
	if err := checkPortable("exchange", newName); err != nil {
		return err
	}
	return fail("exchange", name, errors.ErrUnsupported)
}

// Remove implements Dir.
//
// RACE: os.Root has one call for files and directories, so a directory that
// takes the place of name after the look is removed if it is empty.
func (d *portableDir) Remove(name string) error {
	return d.remove("remove", name, func(isDir bool) error {
		if isDir {
			return syscall.EISDIR
		}
		return nil
	})
}

// RemoveDir implements Dir.
//
// RACE: as with Remove, what takes the place of name after the look is
// removed.
func (d *portableDir) RemoveDir(name string) error {
	return d.remove("rmdir", name, func(isDir bool) error {
		if !isDir {
			return syscall.ENOTDIR
		}
		return nil
	})
}

// remove removes name if check agrees to what it is.
func (d *portableDir) remove(op, name string, check func(isDir bool) error) error {
	if err := checkPortable(op, name); err != nil {
		return err
	}
	fi, err := d.root.Lstat(name)
	if err == nil {
		err = check(fi.IsDir())
	}
	if err == nil {
		err = d.root.Remove(name)
	}
	if err != nil {
		return fail(op, name, err)
	}
	return nil
}

// SetLinkTime implements Dir.
//
// RACE: but on Linux, name may become something else between the look and the
// change, which then gets the time. Nothing is followed.
func (d *portableDir) SetLinkTime(name string, t tree.Time) error {
	if err := checkPortable("utimes", name); err != nil {
		return err
	}
	fi, err := d.root.Lstat(name)
	switch {
	case err != nil:
	case fi.Mode()&os.ModeSymlink == 0:
		err = syscall.EINVAL
	case infoOf(fi).Nlink > 1:
		err = ErrShared
	}
	if err == nil {
		err = checkTime(t)
	}
	if err == nil {
		err = setLinkTime(d.root, name, t)
	}
	if err != nil {
		return fail("utimes", name, err)
	}
	return nil
}
