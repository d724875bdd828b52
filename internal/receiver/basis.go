package receiver

import (
	"cmp"
	"slices"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// basis is what the destination has of a large file: the old version, what an
// earlier session has staged of the new one, or both, one after the other as if
// they were one content. Its methods are safe for concurrent use, but for close.
type basis struct {
	files []*supply.File
	size  int64 // of all
}

func (b *basis) add(f *supply.File) {
	b.files = append(b.files, f)
	b.size += f.Meta.Size
}

// each calls f for the parts of a range that lie in one file each: where in the
// file, and where in the range.
func (b *basis) each(off, n int64, f func(file *supply.File, off, at, n int64) error) error {
	at := int64(0)
	for _, file := range b.files {
		if off < file.Meta.Size && at < n {
			m := min(n-at, file.Meta.Size-off)
			if err := f(file, off, at, m); err != nil {
				return err
			}
			at, off = at+m, off+m
		}
		off -= file.Meta.Size
	}
	if at < n {
		return supply.ErrChanged
	}
	return nil
}

// readAt fills p from off on.
func (b *basis) readAt(p []byte, off int64) error {
	return b.each(off, int64(len(p)), func(file *supply.File, off, at, n int64) error {
		return file.ReadAt(p[at:at+n], off)
	})
}

// copyTo copies n bytes from a place in the basis to one in a file.
func (b *basis) copyTo(to dirfs.File, from, off, n int64) error {
	return b.each(from, n, func(file *supply.File, from, at, n int64) error {
		return to.CopyFrom(file.Handle(), from, off+at, n)
	})
}

// unchanged returns supply.ErrChanged if one of the files is not what it was when
// it was opened.
func (b *basis) unchanged() error {
	for _, f := range b.files {
		if err := f.Unchanged(); err != nil {
			return err
		}
	}
	return nil
}

func (b *basis) close() {
	for _, f := range b.files {
		f.Close()
	}
	b.files = nil
}

// candidate is a file that can be a basis.
type candidate struct {
	dir  *tree.Dir
	name string
	size int64
}

// candidates returns what the destination has of t, a large file, the largest first:
// that one is written ahead.
func (s *session) candidates(t *target) (all []candidate) {
	if have := t.step.Have; have != nil && have.Type == tree.File && !s.WholeFile {
		all = append(all, candidate{t.dir, have.Name, have.Size})
	}
	if o := s.part(t); o != nil {
		all = append(all, candidate{o.Dir, o.Entry().Name, o.Entry().Size})
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Compare(b.size, a.size) })
	return all
}

// openIn opens a file of the destination.
func (s *session) openIn(d *tree.Dir, name string) (*supply.File, error) {
	h, err := s.handles.Acquire(d)
	if err != nil {
		return nil, err
	}
	defer s.handles.Release(d)
	return supply.Open(h, name)
}
