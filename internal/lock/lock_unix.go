//go:build unix

package lock

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// open opens a directory, and waits for nothing else that is there.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

func on(f *os.File, dev, ino uint64) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || ino == 0 || uint64(st.Dev) == dev && st.Ino == ino
}

// lock uses flock, which belongs to the open directory: unlike fcntl's locks
// it is not lost when some other handle of the directory is closed.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return ErrHeld
	}
	return os.NewSyscallError("flock", err)
}
