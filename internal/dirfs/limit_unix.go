//go:build unix

package dirfs

import "golang.org/x/sys/unix"

// DefaultHandles returns how many directories a process may hold open: a
// quarter of the descriptors that it may have beside a few for itself, since
// files are open at the same time and there may be two trees. More than 256
// were of no use: few directories are in use at once.
func DefaultHandles() int {
	const most, least, reserved = 256, 4, 16
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return least
	}
	cur := uint64(limit.Cur)
	if cur >= most*4+reserved {
		return most
	}
	return atLeast((int(cur)-reserved)/4, least)
}
