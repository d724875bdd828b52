package dirfs

import (
	"errors"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/tree"
)

const (
	openFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY |
		unix.O_CLOEXEC | unix.O_LARGEFILE
	createFlags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW |
		unix.O_CLOEXEC | unix.O_LARGEFILE
)

// linuxFile is a File over a file descriptor.
type linuxFile struct {
	fd    int
	name  string      // for errors
	fresh atomic.Bool // whether seen still is the newest that is known
	seen  Info        // what Open saw
}

// Open implements Dir. Nothing is read before what was opened has been
// examined, which saves the caller's first Info.
//
// RACE: what a scan found to be a regular file may have become anything since.
// O_NOFOLLOW refuses a link, and O_NONBLOCK keeps a FIFO from holding us.
func (d *linuxDir) Open(name string) (File, error) {
	if err := tree.CheckName(name); err != nil {
		return nil, fail("open", name, err)
	}
	f, err := d.open(name)
	if err != nil {
		return nil, fail("open", name, err)
	}
	return f, nil
}

// open opens a name that is checked.
func (d *linuxDir) open(name string) (*linuxFile, error) {
	fd, err := d.openFD(name)
	switch err {
	case nil:
	case unix.ENXIO, unix.ENODEV: // a socket, or a device that is not there
		return nil, ErrNotRegular
	default:
		return nil, err
	}
	var st unix.Stat_t
	err = fstat(fd, &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = ErrNotRegular
	}
	if err != nil {
		_ = closeFD(fd) // nothing was written
		return nil, err
	}
	f := &linuxFile{fd: fd, name: name, seen: statInfo(&st)}
	f.fresh.Store(true)
	return f, nil
}

// openFD opens a file. One that is mounted is another file system's, as a
// directory is: what is done to it would be done elsewhere.
func (d *linuxDir) openFD(name string) (int, error) {
	if !d.shared.cross {
		return d.beneath(name, openFlags)
	}
	fd, e := at(unix.SYS_OPENAT, d.fd, name, openFlags, 0)
	if e != 0 {
		return -1, e
	}
	return fd, nil
}

// Create implements Dir.
func (d *linuxDir) Create(name string, perm uint16) (File, error) {
	fd, err := d.named("create", unix.SYS_OPENAT, name, createFlags, uintptr(perm&permBits))
	if err != nil {
		return nil, err
	}
	return &linuxFile{fd: fd, name: name}, nil
}

// piece returns the first part of p, short enough that the copying takes no
// longer than the runtime lets a call have its processor before it gives that
// away: 5 % less time for a large file.
func piece(p []byte) []byte { return p[:min(len(p), 128<<10)] }

// ReadAt implements File.
func (f *linuxFile) ReadAt(p []byte, off int64) (n int, err error) {
	f.used()
	for n < len(p) {
		m, err := unix.Pread(f.fd, piece(p[n:]), off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, fail("read", f.name, err)
		case m == 0:
			return n, io.EOF
		default:
			n += m
		}
	}
	return n, nil
}

// WriteAt implements File.
func (f *linuxFile) WriteAt(p []byte, off int64) (n int, err error) {
	f.used()
	for n < len(p) {
		m, err := unix.Pwrite(f.fd, piece(p[n:]), off+int64(n))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return n, fail("write", f.name, err)
		case m == 0:
			return n, fail("write", f.name, io.ErrShortWrite)
		default:
			n += m
		}
	}
	return n, nil
}

// copyMost is how many bytes the system is asked to copy at once.
const copyMost = 1 << 30

// CopyFrom implements File. What a file system refuses in one of many ways is
// read and written, which tells what is really wrong.
func (f *linuxFile) CopyFrom(src File, from, off, n int64) error {
	f.used()
	s, ok := src.(*linuxFile)
	if !ok {
		return copyRange(f, src, from, off, n)
	}
	s.used()
	for n > 0 {
		m, err := unix.CopyFileRange(s.fd, &from, f.fd, &off, int(min(n, copyMost)), 0) // moves both offsets
		switch {
		case err == unix.EINTR:
		case err != nil || m == 0:
			return copyRange(f, src, from, off, n)
		default:
			n -= int64(m)
		}
	}
	return nil
}

// Info implements File.
func (f *linuxFile) Info() (Info, error) {
	if f.fresh.CompareAndSwap(true, false) {
		return f.seen, nil
	}
	var st unix.Stat_t
	if err := fstat(f.fd, &st); err != nil {
		return Info{}, fail("stat", f.name, err)
	}
	return statInfo(&st), nil
}

// Extent implements File. Reading does not use the position that it moves.
func (f *linuxFile) Extent(off int64) (from, to int64, err error) {
	f.used()
	from, err = unix.Seek(f.fd, off, unix.SEEK_DATA)
	if err == nil {
		to, err = unix.Seek(f.fd, from, unix.SEEK_HOLE)
	}
	return extent(off, from, to, err, f.name)
}

// Allocate implements File.
func (f *linuxFile) Allocate(off, n int64) error {
	f.used()
	err := retry(func() error { return unix.Fallocate(f.fd, 0, off, n) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		err = errors.ErrUnsupported
	}
	return f.done("allocate", err)
}

// Truncate implements File.
func (f *linuxFile) Truncate(size int64) error {
	f.used()
	return f.done("truncate", retry(func() error { return unix.Ftruncate(f.fd, size) }))
}

// Chmod implements File.
func (f *linuxFile) Chmod(perm uint16) error {
	f.used()
	return f.done("chmod", fchmod(f.fd, perm))
}

// SetTime implements File.
func (f *linuxFile) SetTime(t tree.Time) error {
	f.used()
	return f.done("utimes", utimens(f.fd, nil, t, 0))
}

// Sync implements File.
func (f *linuxFile) Sync() error {
	return f.done("fsync", retry(func() error { return unix.Fsync(f.fd) }))
}

// Close implements File.
func (f *linuxFile) Close() error {
	fd := f.fd
	f.fd = -1 // any later call is EBADF, never another's descriptor
	return f.done("close", closeFD(fd))
}

// used drops what Open saw.
func (f *linuxFile) used() {
	if f.fresh.Load() {
		f.fresh.Store(false)
	}
}

// done returns the error of a call on the file.
func (f *linuxFile) done(op string, err error) error {
	if err != nil {
		return fail(op, f.name, err)
	}
	return nil
}
