package lock

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// open opens a file of its own for the directory, since a directory cannot be
// locked here, and one in it could not be removed while it is open.
func open(path string) (*os.File, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "sync-directory")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := digest.Sum([]byte(strings.ToLower(path))).String() + ".lock"
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
}

// on takes the path's word: the file is not the directory.
func on(*os.File, uint64, uint64) bool { return true }

func lock(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if err == windows.ERROR_LOCK_VIOLATION {
		return ErrHeld
	}
	return os.NewSyscallError("LockFileEx", err)
}
