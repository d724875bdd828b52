//go:build unix

package lock

import (
	"os"

	"golang.org/x/sys/unix"
)

func open(path string) (*os.File, error) { return os.Open(path) }

// lock uses flock, which belongs to the open directory: unlike fcntl's locks
// it is not lost when some other handle of the directory is closed.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return ErrHeld
	}
	return os.NewSyscallError("flock", err)
}
