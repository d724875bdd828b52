//go:build linux && !(amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package dirfs

import (
	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// fstatAt examines the NUL-terminated name at p, a link itself. On a 32-bit
// system package unix translates the structure, at the price of an allocation.
func fstatAt(fd int, p *byte, st *unix.Stat_t) error {
	name := unix.BytePtrToString(p)
	return retry(func() error { return unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}

// timespec returns t as the kernel takes it, which here ends in 2038.
func timespec(t tree.Time) (unix.Timespec, error) {
	ts := unix.Timespec{Sec: int32(t.Sec), Nsec: int32(t.Nsec)}
	if int64(ts.Sec) != t.Sec {
		return ts, unix.EOVERFLOW
	}
	return ts, nil
}
