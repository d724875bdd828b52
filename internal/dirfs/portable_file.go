package dirfs

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// portableFile is a File over an os.File.
type portableFile struct {
	file *os.File
	name string // for errors
}

// Open implements Dir.
func (d *portableDir) Open(name string) (File, error) {
	if err := checkPortable("open", name); err != nil {
		return nil, err
	}
	f, err := d.openFile(name)
	if err != nil {
		return nil, fail("open", name, err)
	}
	return &portableFile{f, name}, nil
}

// openFile opens the regular file called name and nothing that a link of that
// name points to.
//
// RACE: between the look and the opening the file may become something else,
// which the comparison notices; O_NONBLOCK keeps a FIFO from holding us.
func (d *portableDir) openFile(name string) (*os.File, error) {
	for range swapTries {
		want, err := d.root.Lstat(name)
		if err != nil {
			return nil, err
		}
		switch typeOfMode(want.Mode()) {
		case tree.File:
		case tree.Link:
			return nil, syscall.ELOOP
		default:
			return nil, ErrNotRegular
		}
		if err := d.checkMount(want); err != nil {
			return nil, err
		}
		f, err := d.root.OpenFile(name, os.O_RDONLY|nonblock, 0)
		if err != nil {
			return nil, err
		}
		if got, err := f.Stat(); err == nil && os.SameFile(want, got) {
			return f, nil
		}
		f.Close()
	}
	return nil, ErrReplaced
}

// Create implements Dir.
func (d *portableDir) Create(name string, perm uint16) (File, error) {
	if err := checkPortable("create", name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, modeOf(perm))
	if err != nil {
		return nil, fail("create", name, err)
	}
	return &portableFile{f, name}, nil
}

// ReadAt implements File.
func (f *portableFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = fail("read", f.name, err)
	}
	return n, err
}

// WriteAt implements File.
func (f *portableFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.file.WriteAt(p, off)
	return n, f.done("write", err)
}

// CopyFrom implements File.
func (f *portableFile) CopyFrom(src File, from, off, n int64) error {
	return copyRange(f, src, from, off, n)
}

// copyRange copies by reading and writing.
func copyRange(to, src File, from, off, n int64) error {
	buf := make([]byte, min(n, 128<<10))
	for n > 0 {
		b := buf[:min(int64(len(buf)), n)]
		m, err := src.ReadAt(b, from)
		if m < len(b) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := to.WriteAt(b, off); err != nil {
			return err
		}
		from, off, n = from+int64(m), off+int64(m), n-int64(m)
	}
	return nil
}

// Info implements File.
func (f *portableFile) Info() (Info, error) {
	fi, err := f.file.Stat()
	if err != nil {
		return Info{}, fail("stat", f.name, err)
	}
	return infoOf(fi), nil
}

// The whences of lseek(2) that look for data and holes. Systems without them
// refuse, and then everything is data.
const seekData, seekHole = 3, 4

// Extent implements File.
func (f *portableFile) Extent(off int64) (from, to int64, err error) {
	from, err = f.file.Seek(off, seekData)
	if err == nil {
		to, err = f.file.Seek(from, seekHole)
	}
	return extent(off, from, to, err, f.name)
}

// Allocate implements File.
func (f *portableFile) Allocate(int64, int64) error {
	return f.done("allocate", errors.ErrUnsupported)
}

// Truncate implements File.
func (f *portableFile) Truncate(size int64) error {
	return f.done("truncate", f.file.Truncate(size))
}

// Chmod implements File.
func (f *portableFile) Chmod(perm uint16) error {
	return f.done("chmod", f.file.Chmod(modeOf(perm)))
}

// SetTime implements File.
func (f *portableFile) SetTime(t tree.Time) error {
	err := checkTime(t)
	if err == nil {
		err = setFileTime(f.file, t)
	}
	return f.done("utimes", err)
}

// Sync implements File.
func (f *portableFile) Sync() error { return f.done("fsync", f.file.Sync()) }

// Close implements File.
func (f *portableFile) Close() error { return f.done("close", f.file.Close()) }

// done returns the error of a call on the file.
func (f *portableFile) done(op string, err error) error {
	if err != nil {
		return fail(op, f.name, err)
	}
	return nil
}
