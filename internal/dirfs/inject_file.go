package dirfs

import "github.com/sync-directory/sync-directory/internal/tree"

// injectedFile is a File with a call ahead of each call.
type injectedFile struct {
	file    File
	name    string
	created bool // whether Create made it, so that closing it matters
	before  func(Call) error
}

// announce announces a call on the file.
func (f *injectedFile) announce(op string, mutates bool) error {
	return f.before(Call{Op: "File." + op, Name: f.name, Mutates: mutates})
}

// ReadAt implements File.
func (f *injectedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.announce("ReadAt", false); err != nil {
		return 0, err
	}
	return f.file.ReadAt(p, off)
}

// WriteAt implements File.
func (f *injectedFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.announce("WriteAt", true); err != nil {
		return 0, err
	}
	return f.file.WriteAt(p, off)
}

// CopyFrom implements File.
func (f *injectedFile) CopyFrom(src File, from, off, n int64) error {
	if err := f.announce("CopyFrom", true); err != nil {
		return err
	}
	if wrapped, ok := src.(*injectedFile); ok {
		src = wrapped.file
	}
	return f.file.CopyFrom(src, from, off, n)
}

// Info implements File.
func (f *injectedFile) Info() (Info, error) {
	if err := f.announce("Info", false); err != nil {
		return Info{}, err
	}
	return f.file.Info()
}

// Extent implements File.
func (f *injectedFile) Extent(off int64) (from, to int64, err error) {
	if err := f.announce("Extent", false); err != nil {
		return 0, 0, err
	}
	return f.file.Extent(off)
}

// Allocate implements File.
func (f *injectedFile) Allocate(off, n int64) error {
	if err := f.announce("Allocate", true); err != nil {
		return err
	}
	return f.file.Allocate(off, n)
}

// Truncate implements File.
func (f *injectedFile) Truncate(size int64) error {
	if err := f.announce("Truncate", true); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

// Chmod implements File.
func (f *injectedFile) Chmod(perm uint16) error {
	if err := f.announce("Chmod", true); err != nil {
		return err
	}
	return f.file.Chmod(perm)
}

// SetTime implements File.
func (f *injectedFile) SetTime(t tree.Time) error {
	if err := f.announce("SetTime", true); err != nil {
		return err
	}
	return f.file.SetTime(t)
}

// Sync implements File.
func (f *injectedFile) Sync() error {
	if err := f.announce("Sync", true); err != nil {
		return err
	}
	return f.file.Sync()
}

// Close implements File.
func (f *injectedFile) Close() error {
	err := f.announce("Close", f.created)
	if e := f.file.Close(); err == nil {
		err = e
	}
	return err
}
