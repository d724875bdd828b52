//go:build linux && (amd64 || arm64 || ppc64 || ppc64le || riscv64 || s390x)

package dirfs

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernels of these processors fill unix.Stat_t as it is.

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
