// Package lock keeps a directory to one receiver.
//
// Its law: the lock is the system's, on the directory itself, so it ends with
// the process that holds it, however that ends. It fails with ErrHeld when
// another process holds it.
package lock

import (
	"errors"
	"os"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// ErrHeld says that another process holds the lock.
var ErrHeld = fault.Errorf("in use by another receiver")

// Lock is a lock that is held.
type Lock struct{ f *os.File }

// Acquire locks the directory at path, at once or not at all.
func Acquire(path string) (*Lock, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Lock{f}, nil
}

// On reports whether it is that of the directory with this identity: the path that was
// locked may lead to another one since. Where the system tells no identity it is.
func (l *Lock) On(dev, ino uint64) bool { return on(l.f, dev, ino) }

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
