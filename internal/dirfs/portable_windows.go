package dirfs

import (
	"os"
	"syscall"
	"time"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// setFileTime sets the modification time of what is open.
func setFileTime(f *os.File, t tree.Time) error {
	m := time.Unix(t.Sec, int64(t.Nsec))
	if !time.Unix(0, m.UnixNano()).Equal(m) {
		return syscall.EINVAL // beyond an int64 of nanoseconds
	}
	ft := syscall.NsecToFiletime(m.UnixNano())
	return syscall.SetFileTime(syscall.Handle(f.Fd()), nil, nil, &ft)
}
