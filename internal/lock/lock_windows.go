package lock

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// open opens a file beside the working directory's content, since a directory
// cannot be locked here.
func open(path string) (*os.File, error) {
	dir := filepath.Join(path, tree.Reserved)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}

func lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if err == windows.ERROR_LOCK_VIOLATION {
		return ErrHeld
	}
	return os.NewSyscallError("LockFileEx", err)
}
