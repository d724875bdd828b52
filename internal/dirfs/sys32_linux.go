//go:build linux && !(amd64 || arm64 || ppc64 || ppc64le || riscv64 || s390x)

package dirfs

import "golang.org/x/sys/unix"

// fstatAt examines the NUL-terminated name at p, a link itself. On these
// processors package unix translates what the kernel says, at the price of an
// allocation.
func fstatAt(fd int, p *byte, st *unix.Stat_t) error {
	name := unix.BytePtrToString(p)
	return retry(func() error { return unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW) })
}
