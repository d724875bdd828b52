// Package dirfs is the only door to a disk: handles of directories, and the
// calls that work relative to them.
//
// Its laws: no call takes more than one path component, so nothing outside
// the opened root can be named; no call follows a link, in any position; a
// FIFO, a socket or a device is never waited for nor read; and every call that changes
// something goes through the methods of Dir and File, which a test can wrap
// with Inject and make fail one by one.
//
// There are two implementations: Linux (held file descriptors, openat2 and
// the *at calls) and portable (os.Root, one for each held directory). Both
// pass the same tests on Linux.
//
// Errors are *fs.PathError around the system's own, so errors.Is works with
// fs.ErrNotExist, syscall.ENOSPC and the like. They name the operation and
// the one component that the call was given, or "." for the directory itself;
// the caller knows the path.
package dirfs

import (
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Errors that are not the system's.
var (
	// ErrNotRegular says that Open met something that is no regular file.
	ErrNotRegular = fault.Errorf("not a regular file")
	// ErrNotLink says that ReadLink met something that is no link.
	ErrNotLink = fault.Errorf("not a link")
	// ErrMount says that OpenDir or Open met another file system.
	ErrMount = fault.Errorf("is a mount point")
	// ErrReplaced says that something, mostly a directory, is not the one
	// that it was.
	ErrReplaced = fault.Errorf("was replaced by another")
	// ErrShared says that something has further names, which may be anywhere,
	// and is not changed in place.
	ErrShared = fault.Errorf("has further names")
)

// Info is what the system knows of an entry, without following links.
type Info struct {
	Type     tree.Type // File, Directory, Link or Other
	Perm     uint16    // all twelve bits: 0 to 0o7777
	Nlink    uint32    // hard links; 1 where the system does not say
	Size     int64
	Alloc    int64 // bytes on the disk; Size where the system does not say
	MTime    tree.Time
	CTime    tree.Time // zero where the system has none
	Dev, Ino uint64    // zero where the system has none
	Owner    uint32    // the user that it belongs to; zero where the system has none
}

// Options say how a root is opened.
type Options struct {
	// CrossMounts allows OpenDir and Open to enter other file systems. It is
	// for a source; a destination never crosses.
	CrossMounts bool
	// Look opens it, and what OpenDir opens below, to be looked at: Stat, Self,
	// ReadLink, OpenDir, Mkdir and RemoveDir do what they always do, and need no right to
	// read a directory; whatever else fails where the system makes the difference.
	// So directories that are not those of a run are looked at, since it may have given
	// up to read them.
	Look bool
	// Portable asks for the implementation over os.Root where there is
	// another.
	Portable bool
}

// Dir is a held handle of a directory. Its methods are safe for concurrent
// use, but for Close, which comes last. Names are one component that
// tree.CheckName accepts; anything else is refused before a system call.
type Dir interface {
	// List calls fn for every entry but "." and "..", in the order of the
	// file system. Name is valid during the call only. Where an entry could
	// not be examined err says why and info is zero; an entry that vanished
	// meanwhile is passed over. An error that fn returns ends the listing
	// and is returned.
	List(fn func(name []byte, info Info, err error) error) error
	// Names calls fn for every name but "." and "..", until fn returns
	// false. It examines nothing else.
	Names(fn func(name []byte) bool) error
	// Stat examines an entry. A link is examined itself.
	Stat(name string) (Info, error)
	// Self examines the directory itself.
	Self() (Info, error)
	// OpenDir opens a directory below. A link is ENOTDIR or ELOOP; another
	// file system is ErrMount, unless the root allows crossing.
	OpenDir(name string) (Dir, error)
	// Open opens a regular file for reading, and never waits: anything else
	// is ErrNotRegular, a link is ELOOP, one of another file system as OpenDir
	// has it. Who knows that an entry is no
	// regular file does not ask: the system may have to open it to tell.
	Open(name string) (File, error)
	// ReadLink returns a link's target as it stands. Anything else is ErrNotLink.
	ReadLink(name string) (string, error)

	// Mkdir makes a directory with exactly the given permission bits,
	// whatever the umask.
	Mkdir(name string, perm uint16) error
	// Create makes a new file, opened for reading and writing, with the given
	// permission bits less what the umask takes. It fails with fs.ErrExist
	// where anything has that name.
	Create(name string, perm uint16) (File, error)
	// Symlink makes a link. The target is not looked at.
	Symlink(target, name string) error
	// Rename moves name to newName in to, replacing what is there as
	// rename(2) does.
	Rename(name string, to Dir, newName string) error
	// Link gives a regular file a further name, newName in to, which must not
	// be in use. It fails with errors.ErrUnsupported, or EPERM, where the
	// system or the file system has no such names, or forbids it.
	Link(name string, to Dir, newName string) error
	// Exchange swaps two entries atomically. It fails with
	// errors.ErrUnsupported where the system cannot.
	Exchange(name string, to Dir, newName string) error
	// Remove unlinks anything but a directory.
	Remove(name string) error
	// RemoveDir removes an empty directory.
	RemoveDir(name string) error
	// SetLinkTime sets the modification time of a link itself. It fails
	// with errors.ErrUnsupported where the system cannot, with EINVAL where
	// name is no link, and with ErrShared where the link has further names.
	SetLinkTime(name string, t tree.Time) error
	// Chmod sets the directory's own permission bits.
	Chmod(perm uint16) error
	// SetTime sets the directory's own modification time.
	SetTime(t tree.Time) error
	// Sync makes the directory's entries durable.
	Sync() error
	// SyncFS makes all that was written to the directory's file system
	// durable. It fails with errors.ErrUnsupported where there is no such
	// call.
	SyncFS() error
	// SyncsFS reports whether SyncFS is supported, at no cost: to try would
	// make durable what other programs have written, too.
	SyncsFS() bool
	// TellsChanges reports whether the directory's file system gives every file
	// another CTime with each change, by the clock of this machine, and keeps
	// its Ino.
	TellsChanges() bool
	// Clones reports whether File.CopyFrom may share content on the directory's
	// file system, instead of copying it.
	Clones() bool
	// Space says how much room the directory's file system has. It fails
	// with errors.ErrUnsupported where the system does not say.
	Space() (Space, error)

	// Close frees the handle.
	Close() error
}

// File is an open regular file. Its methods are safe for concurrent use, but
// for Close, which comes last.
type File interface {
	// ReadAt reads as io.ReaderAt does.
	ReadAt(p []byte, off int64) (int, error)
	// WriteAt writes as io.WriterAt does.
	WriteAt(p []byte, off int64) (int, error)
	// CopyFrom copies n bytes of src, from an offset in it to one here, by
	// the system where it can, which may share their place on the disk. It
	// fails with io.ErrUnexpectedEOF where src ends before.
	CopyFrom(src File, from, off, n int64) error
	// Info examines the open file. The first Info after Open, with no other
	// call between, may be what Open itself saw.
	Info() (Info, error)
	// Extent returns the first range of data at or after off; up to its
	// beginning there is a hole. It is io.EOF where only a hole is left.
	// Where the system does not say everything is data.
	Extent(off int64) (from, to int64, err error)
	// Allocate gives a range its place on the disk, in which what was not
	// written reads as zeros. It fails with errors.ErrUnsupported where the
	// system cannot.
	Allocate(off, n int64) error
	// Truncate sets the file's size.
	Truncate(size int64) error
	// Chmod sets the permission bits, whatever the umask.
	Chmod(perm uint16) error
	// SetTime sets the modification time and leaves the access time.
	SetTime(t tree.Time) error
	// Sync makes content and metadata durable.
	Sync() error
	// Close frees the handle. After writing its error is a write error.
	Close() error
}

// Space says how much room a file system has.
type Space struct {
	Bytes  uint64 // that this user may still write
	Inodes uint64 // that may still be made; 0 where the system does not count
}
