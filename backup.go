package syncdirectory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sync-directory/sync-directory/internal/backup"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/lock"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// backupDir is a Receiver's BackupDir, open and locked.
type backupDir struct {
	dir    string // as it was given
	path   string // without links
	made   bool   // by this process: it goes again if nothing is saved
	noSync bool
	root   dirfs.Dir
	lock   *lock.Lock
	area   *stage.Area    // nil between sessions
	saves  *backup.Backup // likewise
}

// openBackup opens the directory in which t saves what it replaces or removes.
func openBackup(t *taker, destination string) (*backupDir, error) {
	b := &backupDir{dir: t.BackupDir, noSync: t.NoFsync}
	err := b.open(destination, t.root)
	if what := precious(b.path); err == nil && what != "" && !t.ForceRoot {
		err = fmt.Errorf("it is %s, in which what has the path of something that goes would be replaced; give --force-root if you mean it", what)
	}
	if err != nil {
		err = fault.New(fault.Path, "backup directory %s: %w", b.dir, cause(err))
		return nil, errors.Join(err, b.close())
	}
	t.warn("backup directory", b.path, b.root)
	return b, nil
}

var (
	errInDestination = fault.Errorf("it lies in the destination, or is the same directory: what is saved there would be removed; give one outside")
	errAroundIt      = fault.Errorf("the destination lies in it, so that what is saved could get there; give another one")
)

func (b *backupDir) open(destination string, root dirfs.Dir) (err error) {
	if within(b.dir, destination) {
		return errInDestination
	}
	if _, err := os.Lstat(b.dir); errors.Is(err, fs.ErrNotExist) {
		if err := makePrivate(b.dir); err != nil {
			return err
		}
		b.made = true
	}
	if b.path, err = resolve(b.dir); err != nil {
		return err
	}
	if b.root, err = dirfs.OpenRoot(b.path, dirfs.Options{}); err != nil {
		return err
	}
	switch {
	case under(b.path, root):
		return errInDestination
	case under(destination, b.root):
		return errAroundIt
	}
	l, err := lock.Acquire(b.path)
	if err == nil {
		err = locked(l, b.root)
	}
	if err == nil {
		b.lock = l
	}
	return err
}

// under reports whether the directory at path, which is without links, is the one that is
// open as top or lies in it: by what they are, since a mount may show a directory under
// another path, and other letter case may be the same name. Where it cannot be told it is.
func under(path string, top dirfs.Dir) bool {
	is, err := top.Self()
	return err != nil || above(path, func(d dirfs.Dir) bool {
		info, err := d.Self()
		return err != nil || is.Ino != 0 && info.Ino == is.Ino && info.Dev == is.Dev
	})
}

// work makes the working directory, if it is not there, as one that belongs to the
// destination's: a sender that meets it in its source, or above that, knows it.
func (b *backupDir) work(id [16]byte) (err error) {
	if b == nil || b.area != nil {
		return nil
	}
	b.area, err = stage.Open(b.root, stage.Options{NoSync: b.noSync, ID: id})
	if err == nil {
		err = b.area.TakeUp() // which removes what a run that was interrupted has not finished
	}
	if err != nil {
		return unworkable("backup directory", b.dir, err)
	}
	return nil
}

// location says where it is.
func (b *backupDir) location() *wire.Location {
	if b == nil {
		return nil
	}
	return newLocation(b.root)
}

// begin returns what a session saves in; nil where nothing is saved.
func (b *backupDir) begin() *backup.Backup {
	if b == nil {
		return nil
	}
	b.saves = backup.Open(b.root, b.area)
	return b.saves
}

// leave ends a session, of which nothing stays but what was saved.
func (b *backupDir) leave() error {
	if b == nil || b.area == nil {
		return nil
	}
	since := b.area.Root.MTime
	if b.saves != nil {
		b.saves.Close()
		if b.saves.Wrote() {
			b.made = false
			if info, err := b.root.Self(); err == nil {
				since = info.MTime
			}
		}
	}
	err := errors.Join(b.area.TakeUp(), b.area.Leave(since)) // unfinished copies go
	b.area, b.saves = nil, nil
	if err != nil {
		err = fault.Errorf("leave backup directory %s: %w", b.dir, err)
	}
	return err
}

func (b *backupDir) close() error {
	if b == nil {
		return nil
	}
	err := b.leave()
	if b.root != nil {
		err = errors.Join(err, b.root.Close())
	}
	if b.made {
		b.unmake()
	}
	if b.lock != nil {
		err = errors.Join(err, b.lock.Release())
	}
	return err
}

// unmake removes the directory if nothing is in it.
func (b *backupDir) unmake() {
	parent, err := dirfs.OpenRoot(filepath.Dir(b.path), dirfs.Options{Look: true})
	if err != nil {
		return // then an empty directory stays
	}
	defer parent.Close()
	_ = parent.RemoveDir(filepath.Base(b.path)) // otherwise something is in it
}
