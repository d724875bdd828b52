package digest

import (
	"encoding/hex"

	"github.com/zeebo/xxh3"
)

// ChecksumSize is the length of a checksum in bytes.
const ChecksumSize = 16

// Checksum is the XXH3-128 of bytes that travel. It proves that what arrived
// is what was read: damage of any kind passes with a probability of 2⁻¹²⁸.
//
// It does not withstand somebody who chooses content so that it collides, and
// need not: a sender may send what it likes, and who can change messages on
// their way can change any sum that comes with them (that is for TLS to
// prevent). So it never decides whether two files are the same, which is what
// a Digest is for. A core computes it ten times as fast and more.
//
// Source of the algorithm: https://github.com/Cyan4973/xxHash.
type Checksum [ChecksumSize]byte

// String returns c in lower-case hexadecimal.
func (c Checksum) String() string { return hex.EncodeToString(c[:]) }

// Check returns the checksum of b.
func Check(b []byte) Checksum { return xxh3.Hash128(b).Bytes() }

// CheckString returns the checksum of the bytes of s.
func CheckString(s string) Checksum { return xxh3.HashString128(s).Bytes() }

// Checks joins checksums: its sum is the checksum of the bytes of all of them,
// in the order in which they were added. The zero value has none. It is not
// safe for concurrent use.
type Checks struct{ h xxh3.Hasher128 }

// Add adds the next checksum.
func (j *Checks) Add(c Checksum) {
	_, _ = j.h.Write(c[:]) // as any hash: without an error
}

// Sum returns the checksum of what was added.
func (j *Checks) Sum() Checksum { return j.h.Sum128().Bytes() }
