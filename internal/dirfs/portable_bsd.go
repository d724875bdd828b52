//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package dirfs

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// setFileTime sets the modification time of what is open, in microseconds:
// that is what can be set on a handle here, and whoever needs to know probes
// how fine a time the file system holds. The access time is read and written
// back, since both are set at once.
func setFileTime(f *os.File, t tree.Time) error {
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	var tv [2]unix.Timeval
	tv[0].Sec, tv[1].Sec = st.Atim.Sec, t.Sec
	setMicros(&tv[0], int64(st.Atim.Nsec)/1000)
	setMicros(&tv[1], int64(t.Nsec)/1000)
	return unix.Futimes(fd, tv[:])
}

// setMicros sets the field that has another width on every system.
func setMicros(tv *unix.Timeval, usec int64) {
	n := unix.NsecToTimeval(usec * 1000)
	tv.Usec = n.Usec
}

// setTimeAt sets the modification time of a link, and its access time too,
// which nothing compares.
func setTimeAt(fd int, name string, t tree.Time) error {
	var m unix.Timespec
	m.Sec = t.Sec
	m.Nsec = unix.NsecToTimespec(int64(t.Nsec)).Nsec
	return unix.UtimesNanoAt(fd, name, []unix.Timespec{m, m}, unix.AT_SYMLINK_NOFOLLOW)
}
