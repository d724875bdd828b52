//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package dirfs

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

const (
	nonblock       = unix.O_NONBLOCK // keeps Open from waiting on a FIFO
	hasPermBits    = true            // chmod carries all bits
	renamesBetween = true            // there is a renameBetween
	syncsDirs      = true            // a directory can be synced
)

// renameBetween renames from one held directory to another.
func renameBetween(from *os.Root, name string, to *os.Root, newName string) error {
	return between(from, to, func(f, t int) error { return unix.Renameat(f, name, t, newName) })
}

// linkBetween links from one held directory into another.
func linkBetween(from *os.Root, name string, to *os.Root, newName string) error {
	return between(from, to, func(f, t int) error { return unix.Linkat(f, name, t, newName, 0) })
}

// between makes a call with the descriptors of two held directories.
func between(from, to *os.Root, call func(from, to int) error) error {
	f, err := from.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := to.Open(".")
	if err != nil {
		return err
	}
	defer t.Close()
	for {
		if err := call(int(f.Fd()), int(t.Fd())); err != unix.EINTR {
			return err
		}
	}
}

// setLinkTime sets the modification time of name itself.
func setLinkTime(r *os.Root, name string, t tree.Time) error {
	f, err := r.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return setTimeAt(int(f.Fd()), name, t)
}

// setDirTime sets the modification time of the directory itself.
func setDirTime(r *os.Root, t tree.Time) error {
	f, err := r.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return setFileTime(f, t)
}
