package wire

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// Part is a piece of a large file, from chunk Index on: one chunk, or a hole
// of any length. Length is a multiple of digest.ChunkSize but at the end of the
// file.
type Part struct {
	Index  uint64
	Length int64
	// Extents are where there is data; nil says everywhere, and an empty
	// list nowhere.
	Extents []Extent
}

// Extent is a range of data in a Part.
type Extent struct{ Off, Len int64 } // Off from where the part begins

const (
	// MaxExtents is how many extents a Part has at most.
	MaxExtents = 64
	// MaxHole is how long a Part without data is at most, in bytes: the
	// receiver may have to write it, and should be free again soon.
	MaxHole = 1 << 30
)

// Data returns how many bytes of content p has.
func (p *Part) Data() (n int64) {
	if p.Extents == nil {
		return p.Length
	}
	for _, e := range p.Extents {
		n += e.Len
	}
	return n
}

// Offset returns where in its file p begins.
func (p *Part) Offset() int64 { return int64(p.Index) * digest.ChunkSize }

// The kinds of Chunk.
const (
	chunkData    = 0
	chunkExtents = 1
)

// chunkHead is the most that stands before the content of a Chunk, but for
// what each extent takes.
const (
	chunkHead  = sealedHead + 10 + 10 + 1 + 10 + 1
	extentHead = 3 + 3
)

// ChunkData is a Chunk message of which the content is to be filled in.
type ChunkData struct{ buf *Buffer }

// NewChunk returns a message and where the content of the part is to be put:
// of one extent after the other.
func NewChunk(id uint64, p Part) (ChunkData, []byte) {
	n := int(p.Data())
	c := ChunkData{NewBuffer(min(chunkHead+extentHead*len(p.Extents)+n, MaxMessage))}
	c.buf.Append(byte(TypeChunk), 0)
	c.buf.Extend(digest.ChecksumSize)
	b := binary.AppendUvarint(c.buf.b, id)
	b = binary.AppendUvarint(b, p.Index)
	if p.Extents == nil {
		b = append(b, chunkData)
	} else {
		b = binary.AppendUvarint(append(b, chunkExtents), uint64(p.Length))
		b = binary.AppendUvarint(b, uint64(len(p.Extents)))
		at := int64(0)
		for _, e := range p.Extents {
			b = binary.AppendUvarint(b, uint64(e.Off-at))
			b = binary.AppendUvarint(b, uint64(e.Len))
			at = e.Off + e.Len
		}
	}
	c.buf.set(b)
	return c, c.buf.Extend(n)
}

// Finish completes the message, whose content is there, and returns it for
// sending and its checksum.
func (c ChunkData) Finish() (*Buffer, digest.Checksum) { return c.buf, seal(c.buf.Bytes()) }

// Discard frees the message unsent.
func (c ChunkData) Discard() { c.buf.Free() }

// Chunk is a piece of a large file.
type Chunk struct {
	ID uint64
	Part
	Checksum digest.Checksum // of the message
	Content  []byte          // in the message: valid until that is freed
}

// DecodeChunk takes a Chunk message apart and verifies it.
func DecodeChunk(body []byte) (c Chunk, err error) {
	r := reader{b: body}
	c.Checksum = r.sealed()
	c.ID, c.Index = r.uvarint(), r.atMost(MaxSize/digest.ChunkSize, "chunk beyond the end of any file")
	switch r.byte() {
	case chunkData:
		c.Length = int64(r.left())
		if r.err == nil && (c.Length == 0 || c.Length > digest.ChunkSize) {
			r.fail("size of a chunk")
		}
	case chunkExtents:
		c.Length = int64(r.atMost(MaxHole, "length out of range"))
		c.Extents = r.extents(c.Length)
		if r.err == nil && c.Data() == c.Length {
			r.fail("a hole without a hole")
		}
	default:
		r.fail("unknown kind of chunk")
	}
	if r.err == nil && c.Length > MaxSize-c.Offset() {
		r.fail("chunk beyond the end of any file")
	}
	c.Content = r.bytes(uint64(c.Data()))
	return c, r.end()
}

// extents reads the extents of a part of the given length.
func (r *reader) extents(length int64) []Extent {
	n := r.atMost(MaxExtents, "too many extents")
	if n > 0 && length > digest.ChunkSize {
		r.fail("extents in more than a chunk")
	}
	extents := make([]Extent, 0, n)
	for at := int64(0); uint64(len(extents)) < n && r.err == nil; {
		gap := int64(r.atMost(digest.ChunkSize, "extent out of range"))
		e := Extent{at + gap, int64(r.atMost(digest.ChunkSize, "extent out of range"))}
		if at = e.Off + e.Len; at > length || e.Len == 0 || gap == 0 && len(extents) > 0 {
			r.fail("extent out of range")
		}
		extents = append(extents, e)
	}
	return extents
}
