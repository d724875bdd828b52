// Package digest is the one place that knows which hashes the project uses:
// BLAKE3 with 256 bits of output for what content is, XXH3 with 128 for
// whether it arrived as it was sent (see Checksum).
//
// A file's content digest has two levels: the BLAKE3 of the BLAKE3 digests of
// its chunks of ChunkSize bytes, in order. Chunks can be hashed in any order, and a
// hole is a chunk like any other. The two levels cannot be
// confused: a content digest hashes a multiple of Size bytes that are digests
// themselves, a chunk digest hashes the content.
//
// Source of the algorithm: https://github.com/BLAKE3-team/BLAKE3-specs.
package digest

import (
	"encoding/hex"

	"github.com/zeebo/blake3"
)

const (
	// Size is the length of a digest in bytes.
	Size = 32

	// ChunkSize is the length in bytes of every chunk of a file but the
	// last. It is part of protocol v1: 1 MiB is where BLAKE3 has reached its
	// full speed and a message still is small beside the memory limit.
	ChunkSize = 1 << 20
)

// Digest is a BLAKE3-256 digest. The zero value stands for "not known".
type Digest [Size]byte

// IsZero reports whether d is not known.
func (d Digest) IsZero() bool { return d == Digest{} }

// ShortSize is the length in bytes of a digest that is cut short: enough to find
// out what is most likely the same where a whole digest proves it in the end.
const ShortSize = 12

// Short returns d with all but its first ShortSize bytes zero.
func (d Digest) Short() (s Digest) {
	copy(s[:ShortSize], d[:])
	return s
}

// String returns d in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Sum returns the digest of b.
func Sum(b []byte) Digest { return blake3.Sum256(b) }

// Chunks returns how many chunks a file of size bytes has: 0 for an empty one.
func Chunks(size int64) int64 {
	n := size / ChunkSize
	if size%ChunkSize > 0 {
		n++
	}
	return n
}

// ContentOf returns the content digest of a file whose whole content is b.
func ContentOf(b []byte) Digest {
	if 0 < len(b) && len(b) <= ChunkSize {
		d := Sum(b)
		return Sum(d[:]) // as below, without the state
	}
	h := NewHasher()
	for len(b) > 0 {
		n := min(len(b), ChunkSize)
		d := Sum(b[:n])
		h.Write(d[:])
		b = b[n:]
	}
	return h.Sum()
}

// Hasher digests what is written to it. It is not safe for concurrent use.
type Hasher struct{ h *blake3.Hasher }

// NewHasher returns a Hasher that has seen nothing.
func NewHasher() *Hasher { return &Hasher{blake3.New()} }

// Write adds b to what is digested.
func (h *Hasher) Write(b []byte) { h.h.Write(b) }

// Sum returns the digest of all that was written.
func (h *Hasher) Sum() (d Digest) {
	h.h.Sum(d[:0])
	return d
}

// Reset makes h as NewHasher returns it.
func (h *Hasher) Reset() { h.h.Reset() }
