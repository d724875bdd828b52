package delta

import (
	"math"
	"math/bits"

	"github.com/sync-directory/sync-directory/internal/digest"
)

const (
	// LeastBlock and MostBlock bound the length in bytes of a block.
	LeastBlock = 64
	MostBlock  = 2 << 10
	// MaxSigned is how much content a signature is of at most.
	MaxSigned = 4 << 20
	// WeakSize is the length in bytes of a sum that can be rolled, LeastStrong
	// and MostStrong bound that of one that can not.
	WeakSize    = 4
	LeastStrong = 1
	MostStrong  = 8
)

// Signature is what finding the blocks of an old content in a new one takes:
// for each whole block, in order, a sum that can be rolled and, cut short, one
// that can not; and the same of the shorter one at the end.
type Signature struct {
	Block  int    // length in bytes of a block
	Tail   int    // of the last block, where that is shorter, or 0
	Strong int    // bytes of a sum that can not be rolled
	Key    uint64 // of the sums that can, odd: nobody can choose content that collides
	Sums   []byte // 4 + Strong bytes for each block
}

// Blocks returns how many blocks there are, the shorter one included.
func (s *Signature) Blocks() int { return len(s.Sums) / (WeakSize + s.Strong) }

// Shape returns what the blocks are.
func (s *Signature) Shape() Shape { return Shape{s.Block, s.Tail, s.Blocks()} }

// Shape is into what blocks a content is cut: as in a Signature, and how many
// they are.
type Shape struct{ Block, Tail, Blocks int }

// Size returns the length of the content in bytes.
func (s Shape) Size() int {
	n := s.Blocks * s.Block
	if s.Tail > 0 {
		n += s.Tail - s.Block
	}
	return n
}

// BlockFor returns the length of blocks for n bytes in which one change is
// likely: with it the sums, and what has to be sent around the change, take the
// least together.
func BlockFor(n int) int {
	return min(max(int(math.Sqrt(6*float64(n))), LeastBlock), MostBlock)
}

// Sign returns the signature of old, at most MaxSigned bytes, against new
// content of about size bytes.
func Sign(old []byte, block int, key uint64, size int) Signature {
	n := (len(old) + block - 1) / block
	s := Signature{Block: block, Tail: len(old) % block, Strong: strongFor(n, size), Key: key}
	s.Sums = make([]byte, 0, n*(WeakSize+s.Strong))
	for len(old) > 0 {
		b := old[:min(block, len(old))]
		old = old[len(b):]
		weak := mix(rollOver(b, key))
		strong := digest.Check(b)
		s.Sums = append(s.Sums, byte(weak), byte(weak>>8), byte(weak>>16), byte(weak>>24))
		s.Sums = append(s.Sums, strong[:s.Strong]...)
	}
	return s
}

// strongFor returns how long the strong sums of n blocks are so that the chance
// that any of them is found where it is not, in size bytes, is about 2⁻¹⁶.
func strongFor(n, size int) int {
	want := bits.Len(uint(n)) + bits.Len(uint(size)) + 16 - 8*WeakSize
	return min(max((want+7)/8, LeastStrong), MostStrong)
}

// rollOver returns the hash of b that can be rolled: the polynomial with its
// bytes as coefficients at key, without a constant term, so that the last byte too has a
// say in the high bits, modulo 2⁶⁴.
func rollOver(b []byte, key uint64) (h uint64) {
	// Eight polynomials, each of every eighth byte, do not wait for each other's
	// products: three times as fast as one.
	var lanes [8]uint64
	if n := len(b) &^ 7; n > 0 {
		key8 := power(key, 8)
		var l0, l1, l2, l3, l4, l5, l6, l7 uint64
		for i := 0; i < n; i += 8 {
			c := b[i : i+8 : i+8]
			l0 = l0*key8 + uint64(c[0]) + 1
			l1 = l1*key8 + uint64(c[1]) + 1
			l2 = l2*key8 + uint64(c[2]) + 1
			l3 = l3*key8 + uint64(c[3]) + 1
			l4 = l4*key8 + uint64(c[4]) + 1
			l5 = l5*key8 + uint64(c[5]) + 1
			l6 = l6*key8 + uint64(c[6]) + 1
			l7 = l7*key8 + uint64(c[7]) + 1
		}
		lanes = [8]uint64{l0, l1, l2, l3, l4, l5, l6, l7}
		b = b[n:]
	}
	for _, l := range lanes {
		h = (h + l) * key
	}
	for _, c := range b {
		h = (h + uint64(c) + 1) * key
	}
	return h
}

// power returns key to the power of n.
func power(key uint64, n int) uint64 {
	p := uint64(1)
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			p *= key
		}
		key *= key
	}
	return p
}

// mix makes a short sum of a hash, whose high bits depend on all of the block.
func mix(h uint64) uint32 { return uint32(h >> 32) }
