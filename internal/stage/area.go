// Package stage is the receiver's working directory, DIR/.sync-directory, and
// the content in it that is verified and waits to be installed.
//
// Its law: nothing in it is visible to users of DIR until package apply
// renames it, and everything in it belongs to the one receiver that holds the
// lock. Leftovers of a run that was interrupted are taken up or cleared; the
// directory is gone after a run that succeeded.
package stage

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Names in the working directory.
const (
	pidName       = "pid"
	formerName    = "id" // of the file that had the id before its name had it
	filesName     = "stage"
	displacedName = "displaced"
)

// LeftName is the name of Area.Left in the working directory.
const LeftName = "left"

// Area is the working directory of one receiver.
type Area struct {
	// Files holds what is staged, under names that Next and NextFor make.
	Files dirfs.Dir
	// Left holds what earlier sessions have staged and not installed.
	Left dirfs.Dir
	// Displaced holds what a change of type has moved out of the way; it
	// goes in the remove phase.
	Displaced dirfs.Dir
	// ID is a random number by which a sender knows that it looks at this
	// very directory.
	ID [16]byte
	// Canon says which metadata the file system holds.
	Canon tree.Canon
	// Root is what the root was before this run touched it.
	Root dirfs.Info
	// Leftover says that an earlier run did not finish.
	Leftover bool

	permitted bool // the root was read-only, and is not while we work

	root   dirfs.Dir
	work   dirfs.Dir
	self   dirfs.Info // what the working directory is
	syncFS bool       // the file system can be made durable as a whole
	noSync bool
	seq    atomic.Uint64
}

// Options say how to work in a directory.
type Options struct {
	NoSync bool     // nothing needs to be durable
	ID     [16]byte // of another area that belongs to this one, zero for one of its own
}

// Open makes the working directory in root, or takes over what an earlier run
// left.
func Open(root dirfs.Dir, o Options) (*Area, error) {
	a := &Area{root: root, noSync: o.NoSync, ID: o.ID}
	if err := a.open(); err != nil {
		a.closeHandles()
		err = fault.Errorf("prepare %s: %w", fault.Told(tree.Reserved), err)
		return nil, errors.Join(err, a.forbid())
	}
	return a, nil
}

func (a *Area) open() (err error) {
	if a.Root, err = a.root.Self(); err != nil {
		return err
	}
	// Where this fails the root is not ours, and the group may do for us.
	a.permitted = a.Root.Perm&0o300 != 0o300 && a.root.Chmod(a.Root.Perm|0o700) == nil
	if a.work, a.Leftover, err = enter(a.root, tree.Reserved); err != nil {
		return err
	}
	if a.ID == ([16]byte{}) {
		rand.Read(a.ID[:])
	}
	made, err := a.identify()
	if err != nil {
		return err
	}
	if a.self, err = a.ours(a.work, made); err != nil {
		return errors.Join(err, unidentify(a.work))
	}
	for _, below := range []struct {
		d    *dirfs.Dir
		name string
	}{{&a.Files, filesName}, {&a.Left, LeftName}, {&a.Displaced, displacedName}} {
		if *below.d, _, err = enter(a.work, below.name); err == nil {
			_, err = a.ours(*below.d, made)
		}
		if err != nil {
			return err
		}
	}
	if a.Canon, err = a.probe(); err != nil {
		return err
	}
	a.syncFS = a.work.SyncsFS()
	return a.restore(a.Root.MTime)
}

// restore gives the root back the time t, which working in it has changed. A
// root that belongs to somebody else keeps what it has: whether that matters
// is found out at the end.
func (a *Area) restore(t tree.Time) error {
	if err := a.root.SetTime(t); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// errForeign is why an area is not used: it was not made by a receiver of ours, and who
// made it can change what is in it.
var errForeign = fault.Errorf("belongs to another user, who may have planted it: remove it, if nobody works there")

// ours returns what a directory of the area is, and fails unless it belongs to whom
// something belongs that was made: a system may give our files to another user than we
// are. Who owns the root may have left it: he can replace all that is in it anyway.
func (a *Area) ours(d dirfs.Dir, made dirfs.Info) (dirfs.Info, error) {
	info, err := d.Self()
	if err == nil && info.Owner != made.Owner && info.Owner != a.Root.Owner {
		err = errForeign
	}
	return info, err
}

// enter opens a directory of the area, making it when it is missing. One that
// is there is made as private as it has to be.
func enter(in dirfs.Dir, name string) (d dirfs.Dir, existed bool, err error) {
	err = in.Mkdir(name, 0o700)
	existed = errors.Is(err, fs.ErrExist)
	if err != nil && !existed {
		return nil, false, err
	}
	if d, err = in.OpenDir(name); err == nil && existed {
		if err = d.Chmod(0o700); err != nil {
			return nil, false, errors.Join(err, d.Close())
		}
	}
	return d, existed, err
}

// identify says who works here, and returns what the system says of a file that this
// process makes.
func (a *Area) identify() (dirfs.Info, error) {
	if err := unidentify(a.work); err != nil { // who was interrupted
		return dirfs.Info{}, err
	}
	if _, err := a.note(pidName, []byte(strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return dirfs.Info{}, err
	}
	return a.note(tree.IDName(a.ID[:]), nil)
}

// note writes a small file of the area, and returns what the system says of it.
func (a *Area) note(name string, content []byte) (info dirfs.Info, err error) {
	f, err := a.work.Create(name, 0o600)
	if err != nil {
		return info, err
	}
	if len(content) > 0 {
		_, err = f.WriteAt(content, 0)
	}
	if err == nil {
		info, err = f.Info()
	}
	return info, errors.Join(err, f.Close())
}

// unidentify removes what says who works here.
func unidentify(work dirfs.Dir) error {
	var names []string
	err := work.Names(func(name []byte) bool {
		if n := string(name); n == pidName || n == formerName || strings.HasPrefix(n, tree.IDPrefix) {
			names = append(names, n)
		}
		return true
	})
	for _, name := range names {
		err = errors.Join(err, absent(work.Remove(name)))
	}
	return err
}

// PID returns the process that a receiver's working directory in root names,
// or 0. It is information only: the lock decides.
func PID(root dirfs.Dir) int {
	work, err := root.OpenDir(tree.Reserved)
	if err != nil {
		return 0
	}
	defer work.Close()
	if info, err := work.Stat(pidName); err != nil || info.Type != tree.File {
		return 0
	}
	f, err := work.Open(pidName)
	if err != nil {
		return 0
	}
	defer f.Close()
	b := make([]byte, 20)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}

// Next returns a name that is not in use in Files, Left or Displaced, also not by
// what an earlier run left.
func (a *Area) Next() string {
	return hex.EncodeToString(a.ID[:4]) + "-" + strconv.FormatUint(a.seq.Add(1), 36)
}

// SyncsEach reports whether every file and directory must be synced by
// itself, since the file system cannot be synced as a whole.
func (a *Area) SyncsEach() bool { return !a.syncFS && !a.noSync }

// Barrier makes durable all that was written so far.
func (a *Area) Barrier() error {
	if a.noSync {
		return nil
	}
	if a.syncFS {
		return a.work.SyncFS()
	}
	return a.Files.Sync()
}

// Room returns how many bytes the disk still takes; as many as there can be where the
// system does not say.
func (a *Area) Room() (uint64, error) {
	space, err := a.Files.Space()
	if errors.Is(err, errors.ErrUnsupported) {
		return math.MaxUint64, nil
	}
	return space.Bytes, err
}

// SyncRoot makes the entries and the times of the root durable.
func (a *Area) SyncRoot() error {
	if a.noSync {
		return nil
	}
	return a.root.Sync()
}

// Empty reports whether the root holds nothing but the working directory.
func (a *Area) Empty() (bool, error) {
	empty := true
	err := a.root.Names(func(name []byte) bool {
		empty = a.Canon.IsReserved(string(name))
		return empty
	})
	return empty, err
}

// Remove removes the working directory, which must hold nothing that is
// staged or displaced any more.
func (a *Area) Remove() error {
	a.closeHandles()
	err := a.inWork(func(work dirfs.Dir) error {
		return errors.Join(
			unidentify(work),
			absent(work.RemoveDir(filesName)), absent(work.RemoveDir(LeftName)), absent(work.RemoveDir(displacedName)))
	})
	if err != nil {
		return err
	}
	return absent(a.root.RemoveDir(tree.Reserved))
}

// Gone reports whether the working directory was removed, or left.
func (a *Area) Gone() bool { return a.work == nil }

// Leave removes what says that this process works here, and keeps what is
// staged or displaced for the next run; where nothing is, it removes the
// working directory and gives the root back the time t.
func (a *Area) Leave(t tree.Time) error {
	a.closeHandles()
	err := a.inWork(func(work dirfs.Dir) error {
		// Directories that are not empty stay, which is the point.
		_ = work.RemoveDir(filesName)
		_ = work.RemoveDir(LeftName)
		_ = work.RemoveDir(displacedName)
		return unidentify(work)
	})
	if rerr := a.root.RemoveDir(tree.Reserved); rerr != nil && !isNotEmpty(rerr) {
		err = errors.Join(err, absent(rerr))
	}
	return errors.Join(err, a.forbid(), a.restore(t))
}

// forbid gives the root back the permission bits that it had.
func (a *Area) forbid() error {
	if !a.permitted {
		return nil
	}
	return a.root.Chmod(a.Root.Perm)
}

// inWork opens the working directory for one call.
func (a *Area) inWork(f func(dirfs.Dir) error) error {
	work, err := a.root.OpenDir(tree.Reserved)
	if err != nil {
		return absent(err)
	}
	defer work.Close()
	info, err := work.Self()
	if err == nil && (info.Dev != a.self.Dev || info.Ino != a.self.Ino) {
		err = dirfs.ErrReplaced
	}
	if err != nil {
		return err
	}
	return f(work)
}

func (a *Area) closeHandles() {
	for _, d := range []*dirfs.Dir{&a.Files, &a.Left, &a.Displaced, &a.work} {
		if *d != nil {
			// A directory handle has nothing to lose.
			_ = (*d).Close()
			*d = nil
		}
	}
}

// absent takes an error that says that something is gone already for success.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
