package supply

import (
	"runtime"
	"sync"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// span is how much of a file is read at once for its outline: enough for all
// processors to have something to digest.
const span = 4 << 20

// Outline returns what the file's content consists of, in segments at the given
// scale. It calls progress with the bytes read, until that returns an error.
func (f *File) Outline(scale uint8, progress func(int) error) (*delta.Outline, error) {
	o := outliner{cutter: delta.NewCutter(scale), h: digest.NewHasher()}
	size := int(min(span, f.Meta.Size)) + digest.ChunkSize
	reading, digesting := make([]byte, 0, size), make([]byte, size)
	defer o.working.Wait()
	for off := int64(0); off < f.Meta.Size; {
		have := len(reading)
		n := int(min(span, f.Meta.Size-off))
		reading = reading[:have+n]
		if err := f.read(reading[have:], off); err != nil {
			return nil, err
		}
		off += int64(n)
		blocks, rest := o.cut(reading, have, off == f.Meta.Size)
		o.fold() // so that the other buffer is free
		o.digest(blocks)
		reading, digesting = append(digesting[:0], rest...), reading
		if err := progress(n); err != nil {
			return nil, err
		}
	}
	o.fold()
	if err := f.Unchanged(); err != nil {
		return nil, err
	}
	return delta.NewOutline(o.segments), nil
}

// outliner puts an outline together. Segments are digested in blocks of
// digest.ChunkSize, as content is everywhere.
type outliner struct {
	cutter *delta.Cutter
	block  int // bytes of the block that is not complete

	working  sync.WaitGroup
	blocks   []block        // that are being digested
	h        *digest.Hasher // over the blocks of the segment that is not complete
	length   int64          // of these blocks
	segments []delta.Node
}

// block is a part of a segment that is digested by itself.
type block struct {
	content []byte
	ends    bool // the segment ends with it
	sum     digest.Digest
}

// cut returns the blocks that are complete in b, of which the first bytes have
// been cut before, and what is left. The content ends with the last b.
func (o *outliner) cut(b []byte, before int, last bool) (blocks []block, rest []byte) {
	for at := before; at < len(b); {
		n, ends := o.cutter.Cut(b[at:min(len(b), at+digest.ChunkSize-o.block)])
		at += n
		o.block += n
		ends = ends || last && at == len(b)
		if ends || o.block == digest.ChunkSize {
			blocks = append(blocks, block{content: b[at-o.block : at], ends: ends})
			o.block = 0
		}
	}
	return blocks, b[len(b)-o.block:]
}

// digest has blocks digested by as many workers as there are processors.
func (o *outliner) digest(blocks []block) {
	o.blocks = blocks
	workers := min(runtime.GOMAXPROCS(0), len(blocks))
	for w := range workers {
		o.working.Go(func() {
			for i := w; i < len(blocks); i += workers {
				blocks[i].sum = digest.Sum(blocks[i].content)
			}
		})
	}
}

// fold makes segments of the blocks once they are digested.
func (o *outliner) fold() {
	o.working.Wait()
	for i := range o.blocks {
		b := &o.blocks[i]
		o.h.Write(b.sum[:])
		if o.length += int64(len(b.content)); b.ends {
			o.segments = append(o.segments, delta.Node{Digest: o.h.Sum(), Length: o.length})
			o.h.Reset()
			o.length = 0
		}
	}
	o.blocks = nil
}

// ReadAt fills b from off on; the end of the file before that is ErrChanged.
func (f *File) ReadAt(b []byte, off int64) error { return f.read(b, off) }

// Handle returns what the file is read from.
func (f *File) Handle() dirfs.File { return f.f }
