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

// Along is what is done with the content of a file while it is outlined: it is
// called with one range after the other, as they were read, which are its own until
// it returns.
type Along func(off int64, content []byte) error

// Outline returns what the file's content consists of, in segments at the given
// scale. It calls progress with the bytes read and what is known of the outline,
// and along, if there is one, but not both at once, until either returns an error.
func (f *File) Outline(scale uint8, progress func(int, *delta.Growing) error, along Along) (*delta.Outline, error) {
	o := outliner{cutter: delta.NewCutter(scale), h: digest.NewHasher(), outline: delta.NewGrowing()}
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
		err := o.fold() // so that the other buffer is free
		if err == nil {
			err = progress(n, o.outline)
		}
		if err != nil {
			return nil, err
		}
		if along != nil { // which takes longest
			at, content := off-int64(n), reading[have:]
			o.working.Go(func() { o.err = along(at, content) })
		}
		o.digest(blocks)
		reading, digesting = append(digesting[:0], rest...), reading
	}
	if err := o.fold(); err != nil {
		return nil, err
	}
	if err := f.Unchanged(); err != nil {
		return nil, err
	}
	return o.outline.Outline(), nil
}

// outliner puts an outline together. Segments are digested in blocks of
// digest.ChunkSize, as content is everywhere.
type outliner struct {
	cutter *delta.Cutter
	block  int // bytes of the block that is not complete

	working sync.WaitGroup
	blocks  []block // that are being digested
	err     error   // of what is done along

	h       *digest.Hasher // over the blocks of the segment that is not complete
	length  int64          // of these blocks
	outline *delta.Growing
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

// fold makes segments of the blocks once they are digested, and returns the error
// of what was done along.
func (o *outliner) fold() error {
	o.working.Wait()
	for i := range o.blocks {
		b := &o.blocks[i]
		o.h.Write(b.sum[:])
		if o.length += int64(len(b.content)); b.ends {
			o.outline.Add(delta.Node{Digest: o.h.Sum(), Length: o.length})
			o.h.Reset()
			o.length = 0
		}
	}
	o.blocks = nil
	return o.err
}

// ReadAt fills b from off on; the end of the file before that is ErrChanged.
func (f *File) ReadAt(b []byte, off int64) error { return f.read(b, off) }

// Handle returns what the file is read from.
func (f *File) Handle() dirfs.File { return f.f }
