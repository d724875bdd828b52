package wire

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// Pack fills a Pack message with whole files.
type Pack struct {
	buf   *Buffer
	prev  uint64
	Files int // in the message so far
}

// packEntry is the most that stands before a file's content.
const packEntry = 10 + 3 + 10 + 5 + 10

// MaxPacked is the size in bytes of the largest file that a Pack is sure to
// hold.
const MaxPacked = MaxMessage - sealedHead - packEntry

// NewPack returns an empty message.
func NewPack() *Pack {
	p := &Pack{buf: NewBuffer(MaxMessage)}
	p.buf.Append(byte(TypePack), 0)
	p.buf.Extend(digest.ChecksumSize)
	return p
}

// Fits reports whether a file of the given size can still be added.
func (p *Pack) Fits(size int64) bool { return size <= int64(p.buf.Room()-packEntry) }

// Add adds a file, for which it Fits, and returns where its content of
// m.Size bytes is to be put.
func (p *Pack) Add(id uint64, m Meta) []byte {
	b := binary.AppendVarint(p.buf.b, int64(id-p.prev))
	p.buf.set(appendMeta(b, m))
	p.prev = id
	p.Files++
	return p.buf.Extend(int(m.Size))
}

// Mark returns a position to which Undo goes back.
func (p *Pack) Mark() Mark { return Mark{len(p.buf.b), p.prev, p.Files} }

// Mark is a position in a Pack.
type Mark struct {
	n     int
	prev  uint64
	files int
}

// Undo takes out what was added since m was taken.
func (p *Pack) Undo(m Mark) { p.buf.b, p.prev, p.Files = p.buf.b[:m.n], m.prev, m.files }

// Finish completes the message and returns it for sending.
func (p *Pack) Finish() *Buffer {
	seal(p.buf.Bytes())
	return p.buf
}

// Discard frees the message unsent.
func (p *Pack) Discard() { p.buf.Free() }

// Packed is a file in a Pack.
type Packed struct {
	ID uint64
	Meta
	Content []byte // in the message: valid until that is freed
}

// DecodePack verifies a Pack message and calls fn for each file in it, until
// fn returns false.
func DecodePack(body []byte, fn func(Packed) bool) error {
	r := reader{b: body}
	r.sealed()
	for id := uint64(0); ; {
		id += uint64(r.varint())
		f := Packed{ID: id, Meta: r.meta()}
		f.Content = r.bytes(uint64(f.Size))
		if r.err != nil {
			return r.err
		}
		if !fn(f) || !r.more() {
			return r.end()
		}
	}
}

// End says that all chunks of a file were sent, or that they are void.
type End struct {
	ID    uint64
	Again bool // what was sent is void and comes anew; the rest is zero
	Meta
	Parts    uint64          // Chunk messages
	Checksum digest.Checksum // of theirs, see Parts
}

// EncodeEnd returns an End message.
func EncodeEnd(e End) *Buffer {
	b := newMessage(TypeEnd, 128)
	p := binary.AppendUvarint(b.b, e.ID)
	if e.Again {
		b.set(append(p, 1))
		return b
	}
	p = appendMeta(append(p, 0), e.Meta)
	p = binary.AppendUvarint(p, e.Parts)
	b.set(append(p, e.Checksum[:]...))
	return b
}

// DecodeEnd takes an End message apart.
func DecodeEnd(body []byte) (e End, err error) {
	r := reader{b: body}
	e.ID = r.uvarint()
	switch r.byte() {
	case 0:
		e.Meta = r.meta()
		e.Parts = r.atMost(uint64(digest.Chunks(e.Size)), "more parts than chunks")
		e.Checksum = r.checksum()
	case 1:
		e.Again = true
	default:
		r.fail("unknown kind of end")
	}
	return e, r.end()
}

// Sum is the digest of a file's content.
type Sum struct {
	ID uint64
	Meta
	Digest digest.Digest
}

// MaxSums is how many sums a message holds at most.
const MaxSums = (SmallMessage - 2) / (10 + packEntry + digest.Size)

// EncodeSums returns a Sums message with the given sums, at most MaxSums.
func EncodeSums(sums []Sum) *Buffer {
	b := newMessage(TypeSums, SmallMessage)
	p := b.b
	var prev uint64
	for i := range sums {
		p = binary.AppendVarint(p, int64(sums[i].ID-prev))
		p = appendMeta(p, sums[i].Meta)
		p = append(p, sums[i].Digest[:]...)
		prev = sums[i].ID
	}
	b.set(p)
	return b
}

// DecodeSums takes a Sums message apart.
func DecodeSums(body []byte) (sums []Sum, err error) {
	r := reader{b: body}
	var id uint64
	for {
		id += uint64(r.varint())
		sums = append(sums, Sum{ID: id, Meta: r.meta(), Digest: r.digest()})
		if !r.more() {
			return sums, r.end()
		}
	}
}
