package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// ErrProtocol is what every error about a message of the peer wraps.
var ErrProtocol = fault.Errorf("protocol broken")

// Errorf returns an error that wraps ErrProtocol. Its text quotes nothing
// that the peer sent but numbers, or escaped with %q.
func Errorf(format string, args ...any) error {
	return fault.Errorf("%w: %s", ErrProtocol, fault.Told(fmt.Sprintf(format, args...)))
}

// reader takes a body apart. Its error is sticky: after the first one every
// method returns zero values, so that a decoder checks once at its end.
type reader struct {
	b   []byte
	at  int // where b is read on: a number costs the collector less than a slice
	err error

	// Of a Listing, used again for each section: the names in full, one
	// after the other, and where each ends. And how many bytes of names
	// there were in all sections.
	names     []byte
	ends      []int
	nameBytes int
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = Errorf("%s", what)
		r.at = len(r.b)
	}
}

// left returns how many bytes are to be read: none after an error.
func (r *reader) left() int { return len(r.b) - r.at }

// more reports whether there is anything left, and no error.
func (r *reader) more() bool { return r.at < len(r.b) }

// end returns the error, which there is also when something is left.
func (r *reader) end() error {
	if r.more() {
		r.fail("bytes after the end of a message")
	}
	return r.err
}

func (r *reader) byte() byte {
	if !r.more() {
		r.fail("message too short")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(r.left()) {
		r.fail("length beyond the end of a message")
		return nil
	}
	from := r.at
	r.at += int(n)
	return r.b[from:r.at:r.at]
}

// uvarint reads a number in its shortest form.
func (r *reader) uvarint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || r.b[r.at+n-1] == 0 {
		r.fail("malformed number")
		return 0
	}
	r.at += n
	return v
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// atMost reads a number that is at most limit.
func (r *reader) atMost(limit uint64, what string) uint64 {
	v := r.uvarint()
	if v > limit {
		r.fail(what)
		return 0
	}
	return v
}

func (r *reader) checksum() (c digest.Checksum) {
	copy(c[:], r.bytes(digest.ChecksumSize))
	return c
}

func (r *reader) digest() digest.Digest { return r.digestOf(digest.Size) }

// digestOf reads a digest that may be cut short.
func (r *reader) digestOf(size uint64) (d digest.Digest) {
	copy(d[:], r.bytes(size))
	return d
}

// bound reads the name where a range begins or ends: a valid name, or empty.
func (r *reader) bound() string {
	b := r.bytes(r.atMost(tree.MaxName, "name too long"))
	if len(b) == 0 {
		return ""
	}
	name := string(b)
	if err := tree.CheckName(name); err != nil {
		r.fail(err.Error())
	}
	return name
}

func (r *reader) meta() (m Meta) {
	m.Perm = uint16(r.atMost(tree.MaxPerm, "permission out of range"))
	m.MTime.Sec = r.varint()
	m.MTime.Nsec = uint32(r.atMost(maxNsec, "nanoseconds out of range"))
	m.Size = int64(r.atMost(MaxSize, "size out of range"))
	return m
}

// sealed takes the checksum that a body begins with, compares it with the rest
// of the body, and returns it.
func (r *reader) sealed() digest.Checksum {
	c := r.checksum()
	if r.err == nil && digest.Check(r.b[r.at:]) != c {
		r.fail("message does not match its checksum")
	}
	return c
}

// seal writes the checksum of what follows it into a message, and returns it.
func seal(message []byte) digest.Checksum {
	c := digest.Check(message[sealedHead:])
	copy(message[2:], c[:])
	return c
}

// Sealed returns the checksum that a Pack or Chunk carries.
func Sealed(b *Buffer) digest.Checksum { return digest.Checksum(b.Bytes()[2:sealedHead]) }

// sealedHead is what stands before the body of a message with a checksum.
const sealedHead = 2 + digest.ChecksumSize

func appendName(b []byte, name string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(name))), name...)
}

func appendMeta(b []byte, m Meta) []byte {
	b = binary.AppendUvarint(b, uint64(m.Perm))
	b = binary.AppendVarint(b, m.MTime.Sec)
	b = binary.AppendUvarint(b, uint64(m.MTime.Nsec))
	return binary.AppendUvarint(b, uint64(m.Size))
}

// Meta is the metadata of a file as it was when its content was read.
type Meta struct {
	Perm  uint16
	MTime tree.Time
	Size  int64
}

const (
	maxNsec = 999_999_999

	// MaxSize is the largest size of a file, in bytes.
	MaxSize = 1<<63 - 1
)
