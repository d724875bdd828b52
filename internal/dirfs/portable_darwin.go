package dirfs

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// sysInfo adds what package os knows only in the system's own words.
func sysInfo(i *Info, sys any) {
	if st, ok := sys.(*syscall.Stat_t); ok {
		i.Nlink = uint32(st.Nlink)
		i.CTime = tree.Time{Sec: st.Ctimespec.Sec, Nsec: uint32(st.Ctimespec.Nsec)}
		i.Alloc = st.Blocks * 512
		i.Dev, i.Ino = uint64(uint32(st.Dev)), st.Ino
		i.Owner = st.Uid
	}
}

// space says how much room the file system of fd has.
func space(fd int) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &st)
		if err == nil {
			return Space{Bytes: st.Bavail * uint64(st.Bsize), Inodes: st.Ffree}, nil
		}
		if err != unix.EINTR {
			return Space{}, err
		}
	}
}
