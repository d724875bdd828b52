package digest

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
	"lukechampine.com/blake3/guts"
)

// wide says that this processor hashes sixteen of BLAKE3's own chunks of 1 KiB
// at once. The library that is used otherwise hashes eight, and is the faster
// one by far on processors that can do no more. Measured for one large file,
// sender and receiver on two cores: a tenth less processor time.
var wide = cpu.X86.HasAVX512F

// group is what is hashed at once, and narrow the length beyond which that is
// faster also where the group is not full.
const (
	group  = guts.MaxSIMD * guts.ChunkSize
	narrow = 8 * guts.ChunkSize
)

// sumWide returns the same as Sum. It hashes whole groups and merges them as
// section 2.1 of the BLAKE3 paper says, keeping on a stack the left subtrees
// that wait for their right ones.
func sumWide(b []byte) Digest {
	var stack [48][8]uint32
	depth, groups := 0, uint64(0)
	for len(b) > group {
		cv := guts.ChainingValue(guts.CompressBuffer((*[group]byte)(b), group, &guts.IV, groups*guts.MaxSIMD, 0))
		groups++
		for n := groups; n%2 == 0; n /= 2 {
			depth--
			cv = guts.ChainingValue(guts.ParentNode(stack[depth], cv, &guts.IV, 0))
		}
		stack[depth] = cv
		depth++
		b = b[group:]
	}
	node := lastGroup(b, groups*guts.MaxSIMD)
	for depth > 0 {
		depth--
		node = guts.ParentNode(stack[depth], guts.ChainingValue(node), &guts.IV, 0)
	}
	node.Flags |= guts.FlagRoot
	words := guts.CompressNode(node)
	var d Digest
	for i := range Size / 4 {
		binary.LittleEndian.PutUint32(d[4*i:], words[i])
	}
	return d
}

// lastGroup returns the node of the last group, which may be shorter. It is
// not a chaining value yet, since it may be the root.
func lastGroup(b []byte, counter uint64) guts.Node {
	if len(b) == group {
		return guts.CompressBuffer((*[group]byte)(b), group, &guts.IV, counter, 0)
	}
	var padded [group]byte
	n := copy(padded[:], b)
	return guts.CompressBuffer(&padded, n, &guts.IV, counter, 0)
}
