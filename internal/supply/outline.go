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
	o := outliner{cutter: delta.NewCutter(scale)}
	reading, digesting := make([]byte, 0, span+digest.ChunkSize), make([]byte, span+digest.ChunkSize)
	var working sync.WaitGroup
	defer working.Wait()
	for off := int64(0); off < f.Meta.Size; {
		have := len(reading)
		n := int(min(span, f.Meta.Size-off))
		reading = reading[:have+n]
		if err := f.read(reading[have:], off); err != nil {
			return nil, err
		}
		off += int64(n)
		blocks, rest := o.cut(reading, have, off == f.Meta.Size)
		working.Wait() // so that the other buffer is free
		o.take(blocks, &working)
		reading, digesting = append(digesting[:0], rest...), reading
		if err := progress(n); err != nil {
			return nil, err
		}
	}
	working.Wait()
	if err := f.Unchanged(); err != nil {
		return nil, err
	}
	return delta.NewOutline(o.segments()), nil
}

// outliner puts an outline together. Chunks are digested in blocks of
// digest.ChunkSize, as content is everywhere.
type outliner struct {
	cutter *delta.Cutter
	block  int // bytes of the block that is not complete
	digest []*[]block
}

// block is a part of a segment that is digested by itself.
type block struct {
	content []byte // until it is digested
	length  int
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
		if ends || o.block == digest.ChunkSize || last && at == len(b) {
			blocks = append(blocks, block{content: b[at-o.block : at], length: o.block, ends: ends || last && at == len(b)})
			o.block = 0
		}
	}
	return blocks, b[len(b)-o.block:]
}

// take has blocks digested by as many workers as there are processors.
func (o *outliner) take(blocks []block, working *sync.WaitGroup) {
	o.digest = append(o.digest, &blocks)
	workers := min(runtime.GOMAXPROCS(0), len(blocks))
	for w := range workers {
		working.Go(func() {
			for i := w; i < len(blocks); i += workers {
				blocks[i].sum = digest.Sum(blocks[i].content)
				blocks[i].content = nil
			}
		})
	}
}

// segments returns the segments, once all blocks are digested.
func (o *outliner) segments() (segments []delta.Node) {
	h := digest.NewHasher()
	length := int64(0)
	for _, blocks := range o.digest {
		for i := range *blocks {
			b := &(*blocks)[i]
			h.Write(b.sum[:])
			if length += int64(b.length); b.ends {
				segments = append(segments, delta.Node{Digest: h.Sum(), Length: length})
				h.Reset()
				length = 0
			}
		}
	}
	return segments
}

// ReadAt fills b from off on; the end of the file before that is ErrChanged.
func (f *File) ReadAt(b []byte, off int64) error { return f.read(b, off) }

// Handle returns what the file is read from.
func (f *File) Handle() dirfs.File { return f.f }
