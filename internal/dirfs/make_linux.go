package dirfs

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// Mkdir implements Dir.
func (d *linuxDir) Mkdir(name string, perm uint16) error {
	if _, err := d.named("mkdir", unix.SYS_MKDIRAT, name, uintptr(perm&permBits), 0); err != nil {
		return err
	}
	if err := d.exactBits(name, perm&permBits); err != nil {
		// Not what was asked for, so not made. An empty directory is all
		// that this can remove.
		_, _ = at(unix.SYS_UNLINKAT, d.fd, name, unix.AT_REMOVEDIR, 0)
		return fail("mkdir", name, err)
	}
	return nil
}

// exactBits makes the bits of a directory just made those that were asked
// for. Not only the umask changes them: the parent's default ACL and its
// setgid bit do too, so they are looked at and not foretold; that is a
// microsecond per directory.
//
// RACE: name may have been replaced since. What is changed is a directory, of
// which there is no further name elsewhere: at worst another one in d gets bits
// that were meant for this one.
func (d *linuxDir) exactBits(name string, perm uint16) error {
	var st unix.Stat_t
	if err := statAt(d.fd, name, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return ErrReplaced
	}
	if uint16(st.Mode&permBits) == perm {
		return nil
	}
	fd, e := at(unix.SYS_OPENAT, d.fd, name, pathFlags|unix.O_DIRECTORY, 0)
	if e != 0 {
		return e
	}
	defer closeFD(fd)
	err := retry(func() error { return unix.Fchmodat(fd, "", uint32(perm), unix.AT_EMPTY_PATH) })
	if !errors.Is(err, errors.ErrUnsupported) && err != unix.EPERM {
		return err
	}
	return d.exactBitsPlain(name, perm)
}

// exactBitsPlain does without fchmodat2, which Linux has since 6.6 and a
// seccomp filter may forbid.
func (d *linuxDir) exactBitsPlain(name string, perm uint16) error {
	fd, e := at(unix.SYS_OPENAT, d.fd, name, dirFlags, 0)
	if e != 0 {
		return e
	}
	defer closeFD(fd)
	return fchmod(fd, perm)
}

// Symlink implements Dir.
func (d *linuxDir) Symlink(target, name string) error {
	if err := tree.CheckName(name); err != nil {
		return fail("symlink", name, err)
	}
	if err := retry(func() error { return unix.Symlinkat(target, d.fd, name) }); err != nil {
		return fail("symlink", name, err)
	}
	return nil
}

// Rename implements Dir.
func (d *linuxDir) Rename(name string, to Dir, newName string) error {
	return d.rename("rename", name, to, newName, 0)
}

// Link implements Dir.
func (d *linuxDir) Link(name string, to Dir, newName string) error {
	t, ok := to.(*linuxDir)
	if !ok {
		return fail("link", name, errOtherKind)
	}
	if err := checkLink(d, name, newName); err != nil {
		return err
	}
	if err := retry(func() error { return unix.Linkat(d.fd, name, t.fd, newName, 0) }); err != nil {
		return fail("link", name, err)
	}
	return nil
}

// Exchange implements Dir.
func (d *linuxDir) Exchange(name string, to Dir, newName string) error {
	err := d.rename("exchange", name, to, newName, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) {
		return fail("exchange", name, errors.ErrUnsupported) // the file system cannot
	}
	return err
}

// rename checks both names and moves or exchanges.
func (d *linuxDir) rename(op, name string, to Dir, newName string, flags uintptr) error {
	t, ok := to.(*linuxDir)
	if !ok {
		return fail(op, name, errOtherKind)
	}
	if err := tree.CheckName(name); err != nil {
		return fail(op, name, err)
	}
	if err := tree.CheckName(newName); err != nil {
		return fail(op, newName, err)
	}
	if e := renameAt(d.fd, name, t.fd, newName, flags); e != 0 {
		return fail(op, name, e)
	}
	return nil
}

// Remove implements Dir.
func (d *linuxDir) Remove(name string) error {
	_, err := d.named("remove", unix.SYS_UNLINKAT, name, 0, 0)
	return err
}

// RemoveDir implements Dir.
func (d *linuxDir) RemoveDir(name string) error {
	_, err := d.named("rmdir", unix.SYS_UNLINKAT, name, unix.AT_REMOVEDIR, 0)
	return err
}

// SetLinkTime implements Dir.
func (d *linuxDir) SetLinkTime(name string, t tree.Time) error {
	if err := tree.CheckName(name); err != nil {
		return fail("utimes", name, err)
	}
	if err := setLinkTimeAt(d.fd, name, t); err != nil {
		return fail("utimes", name, err)
	}
	return nil
}

// fchmod sets the bits of what is open.
func fchmod(fd int, perm uint16) error {
	return retry(func() error { return unix.Fchmod(fd, uint32(perm&permBits)) })
}

// readLinkAt reads a link's target into buf.
func readLinkAt(fd int, name string, buf []byte) (n int, err error) {
	err = retry(func() error {
		n, err = unix.Readlinkat(fd, name, buf)
		return err
	})
	return n, err
}
