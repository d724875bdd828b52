package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// ErrProtocol is what every error about a message of the peer wraps.
var ErrProtocol = errors.New("protocol broken")

// Errorf returns an error that wraps ErrProtocol. Its text quotes nothing
// that the peer sent but numbers, or escaped with %q.
func Errorf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// reader takes a body apart. Its error is sticky: after the first one every
// method returns zero values, so that a decoder checks once at its end.
type reader struct {
	b     []byte
	err   error
	names int // bytes of the names of entries so far, in full
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = Errorf("%s", what)
		r.b = nil
	}
}

// more reports whether there is anything left, and no error.
func (r *reader) more() bool { return len(r.b) > 0 }

// end returns the error, which there is also when something is left.
func (r *reader) end() error {
	if r.more() {
		r.fail("bytes after the end of a message")
	}
	return r.err
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail("message too short")
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("length beyond the end of a message")
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// uvarint reads a number in its shortest form.
func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || r.b[n-1] == 0 {
		r.fail("malformed number")
		return 0
	}
	r.b = r.b[n:]
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

func (r *reader) digest() (d digest.Digest) {
	copy(d[:], r.bytes(digest.Size))
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

// sealed takes the digest that a body begins with and compares it with the
// rest of the body.
func (r *reader) sealed() {
	if want := r.digest(); r.err == nil && digest.Sum(r.b) != want {
		r.fail("message does not match its digest")
	}
}

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
