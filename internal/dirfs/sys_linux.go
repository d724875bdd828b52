package dirfs

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// The calls here take a name from the stack: package unix would copy each to
// the heap. They go through the scheduler-aware unix.Syscall, since any of
// them can wait for a disk or a network, and are repeated after EINTR.

// cname is room for a name and its NUL: 255 bytes is what nearly every file
// system holds.
type cname [256]byte

// set copies name into c and returns it as the kernel takes it. A longer name
// goes to the heap; whether it is too long is for the file system to say.
func (c *cname) set(name string) *byte {
	if len(name) < len(c) {
		c[copy(c[:], name)] = 0
		return &c[0]
	}
	long := make([]byte, len(name)+1)
	copy(long, name)
	return &long[0]
}

// at makes a call whose first arguments are a directory and a name.
func at(trap uintptr, fd int, name string, a3, a4 uintptr) (int, unix.Errno) {
	var c cname
	p := c.set(name)
	for {
		r, _, e := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(p)), a3, a4, 0, 0)
		if e != unix.EINTR {
			return int(r), e
		}
	}
}

// renameAt moves or exchanges an entry.
func renameAt(from int, name string, to int, newName string, flags uintptr) unix.Errno {
	var c, n cname
	p, q := c.set(name), n.set(newName)
	for {
		_, _, e := unix.Syscall6(unix.SYS_RENAMEAT2, uintptr(from), uintptr(unsafe.Pointer(p)),
			uintptr(to), uintptr(unsafe.Pointer(q)), flags, 0)
		if e != unix.EINTR {
			return e
		}
	}
}

// openAt2 opens name with what openat2 can promise.
func openAt2(fd int, name string, how *unix.OpenHow) (int, unix.Errno) {
	var c cname
	p := c.set(name)
	for {
		r, _, e := unix.Syscall6(unix.SYS_OPENAT2, uintptr(fd), uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(how)), unsafe.Sizeof(*how), 0, 0)
		if e != unix.EINTR {
			return int(r), e
		}
	}
}

// statAt examines name in a directory, a link itself.
func statAt(fd int, name string, st *unix.Stat_t) error {
	var c cname
	return fstatAt(fd, c.set(name), st)
}

// retry repeats a call after EINTR.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// fstat examines what is open.
func fstat(fd int, st *unix.Stat_t) error {
	for {
		if err := unix.Fstat(fd, st); err != unix.EINTR {
			return err
		}
	}
}

// closeFD closes fd. After EINTR the descriptor is free all the same, and
// perhaps another's already: it is never closed twice.
func closeFD(fd int) error {
	if err := unix.Close(fd); err != unix.EINTR {
		return err
	}
	return nil
}

// utimens sets the modification time of what p names below fd, or of fd
// itself where p is nil.
func utimens(fd int, p *byte, t tree.Time, flags uintptr) error {
	if err := checkTime(t); err != nil {
		return err
	}
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {}}
	if !fits(&ts[1].Sec, t.Sec) || !fits(&ts[1].Nsec, int64(t.Nsec)) {
		return unix.EOVERFLOW // on a 32-bit system, from 2038 on
	}
	for {
		_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(&ts)), flags, 0, 0)
		if e == 0 {
			return nil
		}
		if e != unix.EINTR {
			return e
		}
	}
}

// pathFlags opens a name itself, whatever it is, for what can be done without
// reading it: nothing is followed and nothing waits.
const pathFlags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC

// setLinkTimeAt sets the modification time of a link, on a handle of it: in the
// place of its name there may be a further name of something outside by then.
func setLinkTimeAt(dir int, name string, t tree.Time) error {
	fd, e := at(unix.SYS_OPENAT, dir, name, pathFlags, 0)
	if e != 0 {
		return e
	}
	defer closeFD(fd)
	var st unix.Stat_t
	err := fstat(fd, &st)
	switch {
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFLNK:
		return unix.EINVAL
	case st.Nlink > 1:
		return ErrShared
	}
	var c cname
	err = utimens(fd, c.set(""), t, unix.AT_EMPTY_PATH)
	if err == unix.EINVAL && checkTime(t) == nil {
		// Before Linux 5.8. RACE: what name is may be replaced before this.
		err = utimens(dir, c.set(name), t, unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

// fits sets a field that is as wide as the processor's word, and reports
// whether it holds v.
func fits[T int32 | int64](field *T, v int64) bool {
	*field = T(v)
	return int64(*field) == v
}

// statInfo translates what the kernel says.
func statInfo(st *unix.Stat_t) Info {
	return Info{
		Type:  typeOf(st.Mode),
		Perm:  uint16(st.Mode & permBits),
		Nlink: uint32(st.Nlink),
		Size:  st.Size,
		Alloc: st.Blocks * 512,
		MTime: tree.Time{Sec: int64(st.Mtim.Sec), Nsec: uint32(st.Mtim.Nsec)},
		CTime: tree.Time{Sec: int64(st.Ctim.Sec), Nsec: uint32(st.Ctim.Nsec)},
		Dev:   uint64(st.Dev),
		Ino:   st.Ino,
		Owner: st.Uid,
	}
}

// typeOf returns the type in a mode.
func typeOf(mode uint32) tree.Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return tree.File
	case unix.S_IFDIR:
		return tree.Directory
	case unix.S_IFLNK:
		return tree.Link
	}
	return tree.Other
}

// space says how much room the file system of fd has.
func space(fd int) (Space, error) {
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return Space{}, err
	}
	unit := uint64(st.Frsize)
	if unit == 0 {
		unit = uint64(st.Bsize)
	}
	return Space{Bytes: st.Bavail * unit, Inodes: st.Ffree}, nil
}
