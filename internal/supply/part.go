package supply

import (
	"errors"
	"io"
	"sync"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Part returns the part of the file that begins with a chunk: that chunk, or
// the hole up to the next one with data. Where the system fails to tell holes
// it is the chunk; reading it says what is wrong.
func (f *File) Part(chunk int64) wire.Part {
	p := wire.Part{Index: uint64(chunk)}
	off := p.Offset()
	p.Length = min(f.Meta.Size-off, digest.ChunkSize)
	if !f.sparse {
		return p
	}
	extents, next, err := f.extents(off, off+p.Length)
	if err != nil || len(extents) == 1 && extents[0].Len == p.Length {
		return p
	}
	if len(extents) == 0 { // up to the chunk in which there is data again
		p.Length = min(max(next-next%digest.ChunkSize-off, p.Length), wire.MaxHole, f.Meta.Size-off)
	}
	p.Extents = extents
	return p
}

// extents returns where there is data from off up to end, relative to off, and
// the offset of the first data from end on, or more where there is none.
func (f *File) extents(off, end int64) (extents []wire.Extent, next int64, err error) {
	extents = []wire.Extent{}
	for at := off; at < end; {
		from, to, err := f.f.Extent(at)
		switch {
		case errors.Is(err, io.EOF):
			return extents, f.Meta.Size + digest.ChunkSize, nil
		case err != nil:
			return nil, 0, err
		case from >= end:
			return extents, from, nil
		}
		to = min(to, end)
		if len(extents) == wire.MaxExtents-1 {
			to = end // the rest as data, holes and all
		}
		extents = append(extents, wire.Extent{Off: from - off, Len: to - from})
		at = to
	}
	return extents, end, nil
}

// Read reads the content of a part into b, which has its length.
func (f *File) Read(p wire.Part, b []byte) error {
	if p.Extents == nil {
		return f.read(b, p.Offset())
	}
	for _, e := range p.Extents {
		if err := f.read(b[:e.Len], p.Offset()+e.Off); err != nil {
			return err
		}
		b = b[e.Len:]
	}
	return nil
}

// zeros is the digest of a chunk that is a hole.
var zeros = sync.OnceValue(func() digest.Digest { return digest.Sum(make([]byte, digest.ChunkSize)) })
