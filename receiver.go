package syncdirectory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/lock"
	"github.com/sync-directory/sync-directory/internal/receiver"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Receiver takes a directory.
type Receiver struct {
	// Dir is the directory that becomes equal to the source. It is made
	// when it is missing, and is its owner's alone until the first run gives it the
	// source's permission. It may be reached through links; below it none is
	// followed. It is locked: a second receiver fails.
	Dir string
	// ForceRoot allows Dir to be the root of the file system or the home
	// directory.
	ForceRoot bool
	// NoFsync leaves it to the system when the result becomes durable: a
	// power cut shortly after may lose it.
	NoFsync bool
	// IgnoreSpace begins even where the disk looks too small for what is to
	// be written.
	IgnoreSpace bool
	// BackupDir is a directory in which what is replaced or removed is saved, under
	// its relative path and durably, before it goes; "" for none. It is made when
	// it is missing, for its owner alone, and, but for directories above it, gone again if nothing was
	// saved. It is locked, and must not be in Dir or the source, nor they in it. A file that an earlier session has saved
	// under the same path is replaced; what else has the name stays, and ".~1~" comes
	// after that of what is saved. Directories and files that move are not saved, but
	// for files of which the path gets other content, nor what has no content.
	BackupDir string
	Options
}

// Dial connects to a sender that listens at a ws or wss URL, and mirrors.
func (r *Receiver) Dial(ctx context.Context, url string, o DialOptions) (Result, error) {
	if err := o.check(url); err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	to, err := r.open()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	result, err := dial(ctx, to, url, o)
	return closing(to, result, err)
}

// Listen waits for a sender and mirrors.
func (r *Receiver) Listen(ctx context.Context, o ListenOptions) (Result, error) {
	if err := o.check(); err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	to, err := r.open()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	result, err := listen(ctx, to, o)
	return closing(to, result, err)
}

// closing closes a taker. What fails then counts if nothing did before.
func closing(to *taker, result Result, err error) (Result, error) {
	if cerr := to.close(); err == nil && cerr != nil {
		err = fault.New(fault.Disk, "leave %s: %w", to.Dir, cerr)
		result.Code = fault.Disk
	}
	return result, err
}

// taker is a Receiver whose directory is open and locked.
type taker struct {
	Receiver
	path   string // without links
	root   dirfs.Dir
	lock   *lock.Lock
	area   *stage.Area // nil between sessions, when the last one succeeded
	backup *backupDir  // nil for none

	compression *wire.Compression
}

func (r *Receiver) open() (*taker, error) {
	compression, err := r.wish()
	if err != nil {
		return nil, err
	}
	path, err := r.prepare()
	if err != nil {
		return nil, fault.With(fault.Path, err)
	}
	t := &taker{Receiver: *r, path: path, compression: compression}
	t.Options = t.withDefaults(max(2, min(4, runtime.NumCPU())))
	if t.root, err = dirfs.OpenRoot(path, dirfs.Options{}); err != nil {
		return nil, fault.New(fault.Path, "destination %s: %w", r.Dir, cause(err))
	}
	t.warn("destination", path, t.root)
	if err := t.enter(path); err != nil {
		return nil, errors.Join(err, t.root.Close())
	}
	return t, nil
}

// warn warns of a directory in which others can exchange what is there, or of one that
// they can exchange itself. Nothing outside is touched then, but they decide what is in it.
func (t *taker) warn(what, path string, root dirfs.Dir) {
	if runtime.GOOS == "windows" { // whose permissions are not those
		return
	}
	open := func(d dirfs.Dir) bool {
		const others, sticky = 0o002, 0o1000
		info, err := d.Self()
		return err == nil && info.Perm&(others|sticky) == others
	}
	if open(root) {
		t.Log.Warn("everybody may change what is in the "+what+": take the permission from others", "directory", path)
	}
	above, err := dirfs.OpenRoot(filepath.Dir(path), dirfs.Options{Look: true})
	if err != nil {
		return // nor can others, by this path
	}
	defer above.Close()
	if open(above) {
		t.Log.Warn("everybody may exchange the "+what+", since they may write to the directory that it is in: take the permission from others, or set its sticky bit", "directory", path)
	}
}

// enter takes the lock and makes the working directory.
func (t *taker) enter(path string) (err error) {
	t.lock, err = lock.Acquire(path)
	if errors.Is(err, lock.ErrHeld) {
		pid := stage.PID(t.root)
		if pid == 0 { // between two sessions
			pid = lock.Holder(path)
		}
		if pid > 0 {
			return fault.New(fault.Path, "destination %s: %w%s", t.Dir, err, fmt.Sprintf(", process %d", pid))
		}
	}
	if err == nil {
		err = locked(t.lock, t.root)
	}
	if err != nil {
		return fault.New(fault.Path, "destination %s: %w", t.Dir, cause(err))
	}
	if t.BackupDir != "" {
		if t.backup, err = openBackup(t, path); err != nil {
			return errors.Join(err, t.lock.Release())
		}
	}
	if err := t.work(); err != nil {
		if t.area != nil {
			err = errors.Join(err, t.area.Leave(t.area.Root.MTime))
		}
		return errors.Join(err, t.backup.close(), t.lock.Release())
	}
	return nil
}

// locked fails unless the directory that is open is the one that l locks, which it gives
// back then: both were reached by one path, after each other.
func locked(l *lock.Lock, root dirfs.Dir) error {
	info, err := root.Self()
	if err == nil && !l.On(info.Dev, info.Ino) {
		err = dirfs.ErrReplaced
	}
	if err != nil {
		err = errors.Join(err, l.Release())
	}
	return err
}

// work makes the working directories that are not there.
func (t *taker) work() (err error) {
	if t.area == nil {
		if t.area, err = stage.Open(t.root, stage.Options{NoSync: t.NoFsync}); err != nil {
			return unworkable("destination", t.Dir, err)
		}
	}
	return t.backup.work(t.area.ID)
}

// unworkable is why there is no working directory in dir.
func unworkable(what, dir string, err error) error {
	code := fault.Path
	if apply.DiskFailed(err) {
		code = fault.Disk
	}
	return fault.New(code, "%s %s: %w", fault.Told(what), dir, err)
}

// prepare makes the directory if it is missing and returns its path without
// links.
func (r *Receiver) prepare() (string, error) {
	if r.Dir == "" {
		return "", errors.New("destination: no directory given")
	}
	if _, err := os.Lstat(r.Dir); errors.Is(err, fs.ErrNotExist) {
		if err := makePrivate(r.Dir); err != nil {
			return "", fault.New(fault.Path, "destination %s: %w", r.Dir, cause(err))
		}
	}
	path, err := resolve(r.Dir)
	if err != nil {
		return "", fault.New(fault.Path, "destination %s: %w", r.Dir, cause(err))
	}
	if what := precious(path); what != "" && !r.ForceRoot {
		return "", fault.New(fault.Path, "destination %s is %s: everything that the source does not have would be removed; give --force-root if you mean it", r.Dir, what)
	}
	return path, nil
}

// makePrivate makes a directory that is missing, with those above it: what comes into it
// may be less for others than the umask would have it.
func makePrivate(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	above := filepath.Dir(path)
	if err := os.MkdirAll(above, 0o777); err != nil {
		return err
	}
	d, err := dirfs.OpenRoot(above, dirfs.Options{Look: true}) // which takes no right to read it
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Mkdir(filepath.Base(path), 0o700); !errors.Is(err, fs.ErrExist) { // made meanwhile
		return err
	}
	return nil
}

// precious says what a directory is that nobody means to give away, or "".
func precious(path string) string {
	if path == filepath.Dir(path) {
		return "the root of the file system"
	}
	if home, err := os.UserHomeDir(); err == nil {
		if home, err = filepath.EvalSymlinks(home); err == nil && home == path {
			return "your home directory"
		}
	}
	return ""
}

// close leaves the directory: nothing of the working directory stays but what
// is staged for the next run.
func (t *taker) close() error {
	var err error
	if t.area != nil {
		err = t.area.Leave(t.area.Root.MTime)
	}
	return errors.Join(err, t.backup.close(), t.lock.Release(), t.root.Close())
}

func (t *taker) role() wire.Role { return wire.Role_RECEIVER }

func (t *taker) options() Options { return t.Options }

func (t *taker) opened() error { return t.onOpen(t.path) }

func (t *taker) hello() (*wire.Hello, error) {
	if err := t.work(); err != nil {
		return nil, err
	}
	empty, err := t.area.Empty()
	if err != nil {
		return nil, fault.New(fault.Path, "destination %s: %w", t.Dir, cause(err))
	}
	if empty {
		left, err := t.area.HasLeft()
		if err != nil {
			return nil, fault.New(fault.Path, "destination %s: %w", t.Dir, cause(err))
		}
		empty = !left // what is staged is not to be sent again
	}
	h := newHello(wire.Role_RECEIVER, t.Options, t.compression)
	h.Location = newLocation(t.root)
	h.Cached = !empty && t.hasCache(t.path)
	h.Destination = &wire.Destination{Id: t.area.ID[:], Empty: empty, Canon: wire.NewCanon(t.area.Canon), Backup: t.backup.location()}
	return h, nil
}

func (t *taker) session(ctx context.Context, l link, r *run) error {
	handles := dirfs.NewHandles(t.root, dirfs.DefaultHandles())
	defer handles.Close()
	d := receiver.Destination{Area: t.area, Handles: handles, Empty: l.mine.Destination.Empty, Here: l.mine.Location, Backup: t.backup.begin()}
	var known *cache.Cache
	if l.comparesContent() || l.cached() {
		known = t.cache(t.path, t.root, l)
	}
	result, err := receiver.Run(ctx, l.conn, l.peer, d, receiver.Options{
		Policy:      receiver.Policy{MaxDelete: t.MaxDelete, NoDelete: t.NoDelete, AllowEmpty: t.AllowEmpty, Sparse: t.Sparse, Backup: t.Backup},
		Checksum:    t.Checksum,
		WholeFile:   t.WholeFile,
		Cache:       known,
		Cached:      l.cached(),
		IgnoreSpace: t.IgnoreSpace,
		Transfers:   t.Transfers,
		Checkers:    t.Checkers,
		Compression: l.mine.Compression,
		Log:         t.Log,
		Counters:    t.Counters,
		Problems:    r.problems,
	})
	if t.area.Gone() {
		t.area = nil
	} else {
		t.area.Leftover = true // what this session wrote may not be durable
	}
	if lerr := t.backup.leave(); lerr != nil {
		err = errors.Join(err, fault.With(fault.Disk, lerr))
	}
	r.result.Digest = result.Digest.String()
	r.result.Source, r.result.Changes = newCounts(result.Counts), newChanges(result.Changes)
	r.result.Compared, r.result.ByContent = result.Verified, result.ByContent
	return err
}
