package cache

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// private is the directory that caches are kept in, which belongs to us, and to which
// nobody else can write. It is held, so that it is the same one for all that is done.
type private struct{ dirfs.Dir }

// errLink is why a directory is not used.
var errLink = errors.New("is a link, or was replaced just now")

// openPrivate opens the directory at path, which is no link.
func openPrivate(path string) (*private, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d, err := dirfs.OpenRoot(path, dirfs.Options{CrossMounts: true})
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(path, d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return &private{d}, nil
}

func checkPrivate(path string, d dirfs.Dir) error {
	info, err := d.Self()
	if err != nil {
		return err
	}
	// What it is in may be nothing that this process can read.
	above, err := dirfs.OpenRoot(filepath.Dir(path), dirfs.Options{CrossMounts: true, Look: true})
	if err != nil {
		return err
	}
	named, err := above.Stat(filepath.Base(path))
	err = errors.Join(err, above.Close())
	if err == nil && (named.Dev != info.Dev || named.Ino != info.Ino) {
		err = fmt.Errorf("%s %w", path, errLink)
	}
	if err != nil {
		return err
	}
	return ours(path, info)
}

// open opens a regular file in it that belongs to us, and that nobody else can write to,
// and returns its size.
func (p *private) open(name string) (dirfs.File, int64, error) {
	f, err := p.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Info()
	if err == nil {
		err = ours(name, info)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size, nil
}

// replace puts b where a name is, whole or not at all: of two processes that do
// so one wins. It need not survive a power cut, which the checksum tells.
func (p *private) replace(name string, b []byte) error {
	tmp := temporary + rand.Text()
	f, err := p.Create(tmp, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = p.Rename(tmp, p.Dir, name)
	}
	if err != nil {
		err = errors.Join(err, p.Remove(tmp))
	}
	return err
}

// ours fails unless something belongs to us, and nobody else can write to it, on a system
// that tells owners; elsewhere the directory is one of the user's own.
func ours(name string, info dirfs.Info) error {
	if euid := os.Geteuid(); euid >= 0 && (int64(info.Owner) != int64(euid) || info.Perm&0o022 != 0) {
		return fmt.Errorf("%s is not private: %w", name, fs.ErrPermission)
	}
	return nil
}
