package dirfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// linuxDir is a Dir over a held file descriptor.
type linuxDir struct {
	fd     int
	shared *linuxRoot

	mu     sync.Mutex // held while fd's own position is used by a listing
	listed bool       // whether the position may have moved; guarded by mu
}

// linuxRoot is what all handles below one root share.
type linuxRoot struct {
	cross   bool
	look    bool
	plain   atomic.Bool // openat2 is known to be missing or forbidden
	buffers sync.Pool   // of *[listBuffer]byte
}

// openNative opens a root.
func openNative(path string, o Options) (Dir, error) {
	r := &linuxRoot{cross: o.CrossMounts, look: o.Look}
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Open(path, int(r.flags())&^unix.O_NOFOLLOW, 0)
		return err
	})
	if err != nil {
		return nil, fail("open", path, err)
	}
	r.buffers.New = func() any { return new([listBuffer]byte) }
	return &linuxDir{fd: fd, shared: r}, nil
}

// named makes a call on a name, which it checks first.
func (d *linuxDir) named(op string, trap uintptr, name string, a3, a4 uintptr) (int, error) {
	if err := tree.CheckName(name); err != nil {
		return -1, fail(op, name, err)
	}
	r, e := at(trap, d.fd, name, a3, a4)
	if e != 0 {
		return -1, fail(op, name, e)
	}
	return r, nil
}

// Stat implements Dir.
func (d *linuxDir) Stat(name string) (Info, error) {
	if err := tree.CheckName(name); err != nil {
		return Info{}, fail("stat", name, err)
	}
	var st unix.Stat_t
	if err := statAt(d.fd, name, &st); err != nil {
		return Info{}, fail("stat", name, err)
	}
	return statInfo(&st), nil
}

// Self implements Dir.
func (d *linuxDir) Self() (Info, error) {
	var st unix.Stat_t
	if err := fstat(d.fd, &st); err != nil {
		return Info{}, fail("stat", "", err)
	}
	return statInfo(&st), nil
}

// ReadLink implements Dir.
func (d *linuxDir) ReadLink(name string) (string, error) {
	if err := tree.CheckName(name); err != nil {
		return "", fail("readlink", name, err)
	}
	// One byte more than a target can have, so that a full buffer would be
	// a target that was cut; no file system of Linux makes one.
	var buf [tree.MaxTarget + 1]byte
	n, err := readLinkAt(d.fd, name, buf[:])
	switch {
	case err == nil && n == len(buf):
		err = unix.ENAMETOOLONG
	case err == unix.EINVAL:
		err = ErrNotLink
	}
	if err != nil {
		return "", fail("readlink", name, err)
	}
	return string(buf[:n]), nil
}

// Chmod implements Dir.
func (d *linuxDir) Chmod(perm uint16) error { return own("chmod", fchmod(d.fd, perm)) }

// SetTime implements Dir.
func (d *linuxDir) SetTime(t tree.Time) error { return own("utimes", utimens(d.fd, nil, t, 0)) }

// Sync implements Dir.
func (d *linuxDir) Sync() error {
	return own("fsync", retry(func() error { return unix.Fsync(d.fd) }))
}

// TellsChanges implements Dir. File systems of other machines go by the clocks
// of these, those of user space and of old disks do as they like.
func (d *linuxDir) TellsChanges() bool {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(d.fd, &fs) }); err != nil {
		return false
	}
	switch uint32(fs.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.V9FS_MAGIC,
		unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC:
		return false
	}
	return true
}

// Clones implements Dir: of the file systems that are known not to share content
// it says no.
func (d *linuxDir) Clones() bool {
	var fs unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(d.fd, &fs) }); err != nil {
		return true
	}
	switch uint32(fs.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.EXT4_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC:
		return false
	}
	return true
}

// SyncsFS says what SyncFS can do here.
func (*linuxDir) SyncsFS() bool { return true }

// SyncFS implements Dir.
func (d *linuxDir) SyncFS() error {
	return own("syncfs", retry(func() error { return unix.Syncfs(d.fd) }))
}

// Space implements Dir.
func (d *linuxDir) Space() (Space, error) {
	s, err := space(d.fd)
	return s, own("statfs", err)
}

// Close implements Dir.
func (d *linuxDir) Close() error {
	fd := d.fd
	d.fd = -1 // any later call is EBADF, never another's descriptor
	return own("close", closeFD(fd))
}
