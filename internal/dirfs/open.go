package dirfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// permBits are the bits that Perm and chmod carry.
const permBits = 0o7777

// OpenRoot opens the directory at path, which is the operator's own: links in
// it are followed, here and nowhere else. Anything but a directory is ENOTDIR.
// It is closed after all that was opened from it.
func OpenRoot(path string, o Options) (Dir, error) {
	if o.Portable {
		return openPortable(path, o)
	}
	return openNative(path, o)
}

// fail returns err with what was tried and on which component. What the
// standard library has wrapped already is unwrapped first, so that the same
// trouble reads the same from every implementation.
func fail(op, name string, err error) error {
	if name == "" {
		name = "."
	}
	return &fs.PathError{Op: op, Path: name, Err: bare(err)}
}

// bare strips the wrappers of package os from err.
func bare(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return bare(e.Err)
	case *os.LinkError:
		return bare(e.Err)
	case *os.SyscallError:
		return bare(e.Err)
	}
	return err
}

// checkTime refuses what the system would not take for a time: nanoseconds
// beyond a second have other meanings there, such as "now".
func checkTime(t tree.Time) error {
	if t.Nsec > 999_999_999 {
		return syscall.EINVAL
	}
	return nil
}

// errOtherKind says that a rename was asked between two implementations,
// which is a mistake in the program and no state of a disk.
var errOtherKind = errors.New("handles of two implementations")
