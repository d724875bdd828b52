//go:build unix

package cache

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private fails unless dir belongs to us, and nobody else can write to it.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err == nil {
		err = ours(info, fs.ModeDir)
	}
	return err
}

// openPrivate opens a regular file that belongs to us, and that nobody else can
// write to.
func openPrivate(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = ours(info, 0)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func ours(info fs.FileInfo, typ fs.FileMode) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Geteuid() || info.Mode().Type() != typ || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s is not private: %w", info.Name(), fs.ErrPermission)
	}
	return nil
}
