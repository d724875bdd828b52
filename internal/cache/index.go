package cache

import (
	"encoding/binary"
	"math/bits"
	"sort"
)

// Records are found by blocks of 64 inode numbers in a row: a hash table says
// where the first record of each block is, and the others of the block follow it. The files of
// a directory mostly have numbers in a row too, so that looking them up one after the
// other stays where it is in memory.

func block(ino uint64) uint64 { return ino >> 6 }

// blocks returns the table for records in ascending order: of each block the number of its
// first record plus one, and at least as many zeros.
func blocks(records string) []uint32 {
	n := 0
	eachBlock(records, func(int, uint64) { n++ })
	slots := make([]uint32, 1<<bits.Len(uint(2*n)))
	eachBlock(records, func(i int, b uint64) {
		at := home(slots, b)
		for slots[at] != 0 {
			at = next(slots, at)
		}
		slots[at] = uint32(i) + 1
	})
	return slots
}

// eachBlock calls f with the number of the first record of each block.
func eachBlock(records string, f func(i int, b uint64)) {
	dev, last := uint64(0), uint64(0)
	for i := range len(records) / recordSize {
		d, b := devOf(records, i), block(inoOf(records, i))
		if i == 0 || d != dev || b != last {
			f(i, b)
		}
		dev, last = d, b
	}
}

// home returns where in slots the search for a block begins, and next where it goes
// on. A multiplication spreads blocks whose numbers have a common stride (Knuth,
// The Art of Computer Programming 3, 6.4).
func home(slots []uint32, b uint64) int {
	return int(b * 0x9E3779B97F4A7C15 >> (64 - bits.Len(uint(len(slots)-1))))
}

func next(slots []uint32, at int) int { return (at + 1) & (len(slots) - 1) }

func devOf(records string, i int) uint64 { return number(records[i*recordSize:]) }
func inoOf(records string, i int) uint64 { return number(records[i*recordSize+8:]) }

func number(s string) uint64 { return binary.LittleEndian.Uint64([]byte(s[:8])) }

// index returns which of the records has a key.
func index(records string, slots []uint32, k Key) (i int, ok bool) {
	for at := home(slots, block(k.Ino)); slots[at] != 0; at = next(slots, at) {
		first := int(slots[at] - 1)
		ino := inoOf(records, first)
		if block(ino) != block(k.Ino) || devOf(records, first) != k.Dev || ino > k.Ino {
			continue
		}
		// No two have the same number, so it is not further on than this.
		end := min(first+int(k.Ino-ino), len(records)/recordSize-1)
		if inoOf(records, end) != k.Ino || devOf(records, end) != k.Dev {
			end = first + sort.Search(end-first, func(n int) bool { return compare(keyAt(records, first+n), k) >= 0 })
		}
		if has(records, end, k) {
			return end, true
		}
	}
	return 0, false
}

// has reports whether the i-th record is that of a key.
func has(records string, i int, k Key) bool {
	return readKey(records[i*recordSize:][:keySize]) == k
}

// keyAt returns of the key of the i-th record what orders them.
func keyAt(records string, i int) Key { return Key{Dev: devOf(records, i), Ino: inoOf(records, i)} }
