package dirfs

import (
	"os"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// setFileTime sets the modification time of what is open. Package os goes
// through an int64 of nanoseconds, which ends in 2262.
func setFileTime(f *os.File, t tree.Time) error { return utimens(int(f.Fd()), nil, t, 0) }

// setTimeAt sets the modification time of a link.
func setTimeAt(fd int, name string, t tree.Time) error { return setLinkTimeAt(fd, name, t) }

// sysInfo adds what package os knows only in the system's own words.
func sysInfo(i *Info, sys any) {
	if st, ok := sys.(*syscall.Stat_t); ok {
		i.Nlink = uint32(st.Nlink)
		i.CTime = tree.Time{Sec: int64(st.Ctim.Sec), Nsec: uint32(st.Ctim.Nsec)}
		i.Alloc = st.Blocks * 512
		i.Dev, i.Ino = uint64(st.Dev), st.Ino
		i.Owner = st.Uid
	}
}
