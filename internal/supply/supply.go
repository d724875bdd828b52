// Package supply reads the source's content: whole small files into messages,
// large ones chunk by chunk, and digests of either.
//
// Its law: what it hands out is one version of a file. The file is examined
// before and after it is read, and content that may be a mixture is never
// passed on as complete. A link is never followed and nothing but a regular
// file is read. It fails with ErrChanged, or with the system's error.
package supply

import (
	"errors"
	"io"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// ErrChanged says that a file changed while it was read.
var ErrChanged = fault.Errorf("changed while it was read")

// ErrLarge says that a file does not fit into the message.
var ErrLarge = fault.Errorf("does not fit into one message")

// Into adds a file to a pack, as number id. On failure the pack is as before.
func Into(p *wire.Pack, in dirfs.Dir, name string, id uint64) (wire.Meta, error) {
	f, err := open(in, name)
	if err != nil {
		return wire.Meta{}, err
	}
	defer f.Close()
	if !p.Fits(f.Meta.Size) {
		return wire.Meta{}, ErrLarge
	}
	mark := p.Mark()
	if err := f.whole(p.Add(id, f.Meta)); err != nil {
		p.Undo(mark)
		return wire.Meta{}, err
	}
	return f.Meta, nil
}

// File is an open file of the source. Its methods are safe for concurrent
// use, but for Close.
type File struct {
	Meta wire.Meta // when it was opened
	f    dirfs.File
	info dirfs.Info

	sparse bool // it may have holes
}

// Open opens a regular file.
func Open(in dirfs.Dir, name string) (*File, error) {
	f, err := open(in, name)
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// open returns the file itself: of small ones there are many.
func open(in dirfs.Dir, name string) (File, error) {
	f, err := dirfs.Patiently(func() (dirfs.File, error) { return in.Open(name) })
	if err != nil {
		return File{}, err
	}
	info, err := f.Info()
	if err != nil {
		f.Close()
		return File{}, err
	}
	return File{f: f, info: info, Meta: MetaOf(info), sparse: info.Alloc < info.Size}, nil
}

// Info returns what the system said of the file when it was opened.
func (f *File) Info() dirfs.Info { return f.info }

// MetaOf returns of info what crosses the wire.
func MetaOf(info dirfs.Info) wire.Meta {
	return wire.Meta{Perm: info.Perm & tree.MaxPerm, MTime: info.MTime, Size: info.Size}
}

// whole reads all of the file into b, which has its size.
func (f *File) whole(b []byte) error {
	if err := f.read(b, 0); err != nil {
		return err
	}
	return f.Unchanged()
}

// read fills b from off on; the end of the file before that is a change.
func (f *File) read(b []byte, off int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := f.f.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return ErrChanged
	}
	return err
}

// Unchanged returns ErrChanged if the file is not as it was when it was
// opened.
//
// RACE: a write within the same tick of the file system's clock that keeps
// the size is not seen. The receiver's copy then has a time so close to its
// change that the next run compares content.
func (f *File) Unchanged() error {
	now, err := f.f.Info()
	if err != nil {
		return err
	}
	if now.Size != f.info.Size || now.MTime != f.info.MTime || now.CTime != f.info.CTime {
		return ErrChanged
	}
	return nil
}

// Chunks returns how many chunks the file has.
func (f *File) Chunks() int64 { return digest.Chunks(f.Meta.Size) }

// Sum returns the digest of the file's content. It calls progress with the
// bytes read, until that returns an error.
func (f *File) Sum(progress func(int) error) (digest.Digest, error) {
	buf := wire.NewBuffer(min(int(min(f.Meta.Size, digest.ChunkSize)), wire.MaxMessage))
	defer buf.Free()
	b := buf.Extend(int(min(f.Meta.Size, digest.ChunkSize)))
	if len(b) < digest.ChunkSize {
		err := f.whole(b)
		if err == nil {
			err = progress(len(b))
		}
		return digest.ContentOf(b), err
	}
	h := digest.NewHasher()
	for off := int64(0); off < f.Meta.Size; {
		p := f.Part(off / digest.ChunkSize)
		if p.Extents != nil && len(p.Extents) == 0 && p.Length >= digest.ChunkSize {
			p.Length = digest.ChunkSize
			d := zeros()
			h.Write(d[:])
		} else {
			b = b[:p.Length]
			if err := f.read(b, off); err != nil {
				return digest.Digest{}, err
			}
			d := digest.Sum(b)
			h.Write(d[:])
		}
		off += p.Length
		if err := progress(int(p.Length)); err != nil {
			return digest.Digest{}, err
		}
	}
	return h.Sum(), f.Unchanged()
}

// Close frees the handle.
func (f *File) Close() {
	// Nothing was written, so there is nothing that closing could lose.
	_ = f.f.Close()
}
