//go:build unix

package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// openSecret opens a file that is nobody else's business: not through a link, that
// somebody may have put there, and only if nobody but its owner, who is this user or
// root, can read or write it.
func openSecret(path string) (*os.File, error) {
	// What is no file does not block for that.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it is a link: name the file itself")
	}
	if err != nil {
		return nil, bare(err)
	}
	if err := checkSecret(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func checkSecret(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return bare(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch me := uint32(os.Geteuid()); {
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file; - is standard input")
	case owner != me && owner != 0:
		return fmt.Errorf("it belongs to somebody else (user %d)", owner)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others than its owner have rights to it (mode %04o): chmod 600", info.Mode().Perm())
	}
	return nil
}

// bare drops the operation and the path, which the message names already.
func bare(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
