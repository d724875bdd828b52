package stage

import (
	"errors"
	"io/fs"
	"syscall"
)

// isNotEmpty reports whether a directory could not be removed because there
// is something in it.
func isNotEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist)
}

// isDisk reports whether an error is the disk's own, and says nothing about
// what the file system can do.
func isDisk(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC)
}
