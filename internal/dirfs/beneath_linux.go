package dirfs

import (
	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

const (
	// dirFlags open a directory, and no link.
	dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_LARGEFILE
	// lookFlags do so without any right to read it; openat2 takes no others with O_PATH.
	lookFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

	// againTries bounds the repeats after EAGAIN, which openat2 returns when
	// something was renamed or mounted anywhere at the same moment.
	againTries = 64
)

// flags returns what a directory is opened with.
func (r *linuxRoot) flags() uint64 {
	if r.look {
		return lookFlags
	}
	return dirFlags
}

// OpenDir implements Dir.
func (d *linuxDir) OpenDir(name string) (Dir, error) {
	if err := tree.CheckName(name); err != nil {
		return nil, fail("open", name, err)
	}
	fd, err := d.enter(name)
	if err != nil {
		return nil, fail("open", name, err)
	}
	return &linuxDir{fd: fd, shared: d.shared}, nil
}

// enter opens a directory below d.
func (d *linuxDir) enter(name string) (int, error) { return d.beneath(name, d.shared.flags()) }

// beneath opens what is below d with the best call that this system has.
func (d *linuxDir) beneath(name string, flags uint64) (int, error) {
	if d.shared.plain.Load() {
		return d.beneathPlain(name, flags)
	}
	how := unix.OpenHow{
		Flags:   flags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if !d.shared.cross {
		how.Resolve |= unix.RESOLVE_NO_XDEV
	}
	for range againTries {
		fd, e := openAt2(d.fd, name, &how)
		switch e {
		case 0:
			return fd, nil
		case unix.EAGAIN:
			continue
		case unix.EXDEV:
			return -1, ErrMount
		case unix.ENOSYS, unix.EPERM:
			// Before Linux 5.6, or a seccomp filter that does not know the
			// call; unless a file system does not let this one be opened.
			fd, err := d.beneathPlain(name, flags)
			if err == nil || e == unix.ENOSYS {
				d.shared.plain.Store(true)
			}
			return fd, err
		}
		return -1, e
	}
	return d.beneathPlain(name, flags)
}

// beneathPlain does so without openat2. For one component O_NOFOLLOW keeps the
// same promise about links; a mount is noticed after the fact.
func (d *linuxDir) beneathPlain(name string, flags uint64) (int, error) {
	fd, e := at(unix.SYS_OPENAT, d.fd, name, uintptr(flags), 0)
	if e != 0 {
		return -1, e
	}
	if d.shared.cross {
		return fd, nil
	}
	same, err := sameMount(d.fd, fd)
	if err == nil && !same {
		err = ErrMount
	}
	if err != nil {
		_ = closeFD(fd) // nothing was written
		return -1, err
	}
	return fd, nil
}

// sameMount reports whether a and b are on one file system, and on one mount
// of it where the kernel tells mounts apart (Linux 5.8).
func sameMount(a, b int) (bool, error) {
	var x, y unix.Stat_t
	if err := fstat(a, &x); err != nil {
		return false, err
	}
	if err := fstat(b, &y); err != nil {
		return false, err
	}
	if x.Dev != y.Dev {
		return false, nil
	}
	return mountID(a) == mountID(b), nil
}

// mountID returns the id of the mount that fd is on, or 0 where the kernel
// does not say.
func mountID(fd int) uint64 {
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st) })
	if err != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return 0
	}
	return st.Mnt_id
}
