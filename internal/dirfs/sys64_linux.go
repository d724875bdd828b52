//go:build linux && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package dirfs

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// fstatAt examines the NUL-terminated name at p, a link itself.
func fstatAt(fd int, p *byte, st *unix.Stat_t) error {
	for {
		_, _, e := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(fd), uintptr(unsafe.Pointer(p)),
			uintptr(unsafe.Pointer(st)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
		if e == 0 {
			return nil
		}
		if e != unix.EINTR {
			return e
		}
	}
}

// timespec returns t as the kernel takes it.
func timespec(t tree.Time) (unix.Timespec, error) {
	return unix.Timespec{Sec: t.Sec, Nsec: int64(t.Nsec)}, nil
}
