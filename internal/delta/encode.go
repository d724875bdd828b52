package delta

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// chainLimit bounds how many blocks are looked at in one place of the index, so
// that sums made for it cannot cost the square of the content's length.
const chainLimit = 64

// falseAlarms is how many blocks may have the weak sum of a place in the content, and not
// its strong one, before no more are looked for. By chance there is none in a thousand
// contents; who makes sums for it could cost a thousand times what reading costs.
const falseAlarms = 1 << 12

// Encode appends to ops what makes content of the blocks that s is of:
//
//	uvarint n, n bytes as they are, and unless the content is complete
//	uvarint count ≥ 1, varint first block less the one after those copied last
//
// in turn, until the content is complete. A copy takes whole blocks, or the
// shorter one at the end.
func Encode(ops []byte, s *Signature, content []byte) []byte {
	e := encoder{s: s, ops: ops, content: content}
	if n := s.Blocks(); n > 0 {
		e.index(n)
		e.scan()
		e.tail(n)
	}
	e.copied()
	if e.encoded < len(content) {
		e.literal(len(content))
	}
	return e.ops
}

type encoder struct {
	s       *Signature
	ops     []byte
	content []byte
	encoded int // bytes of content that ops make

	heads []int32 // by weak sum: 1 + the first block with it, or 0
	next  []int32 // for each block the same of the next one
	shift uint

	first, count int // the run of blocks found last, not encoded yet
	end          int // where in content it ends
	expect       int // the block after those encoded last

	alarms int // blocks whose weak sum was found, and whose strong one was another
}

// index makes the whole blocks findable.
func (e *encoder) index(n int) {
	whole := n
	if e.s.Tail > 0 {
		whole--
	}
	size := 1024
	e.shift = 22
	for size < 16*whole {
		size *= 2
		e.shift--
	}
	e.heads = make([]int32, size)
	e.next = make([]int32, n)
	for i := whole - 1; i >= 0; i-- { // so that the first one is found first
		slot := &e.heads[e.weak(i)*0x9e3779b1>>e.shift]
		e.next[i], *slot = *slot, int32(i+1)
	}
}

func (e *encoder) weak(i int) uint32 {
	return binary.LittleEndian.Uint32(e.s.Sums[i*(WeakSize+e.s.Strong):])
}

// is reports whether block i, whose weak sum is right, has that strong one.
func (e *encoder) is(strong *digest.Checksum, i int) bool {
	at := i*(WeakSize+e.s.Strong) + WeakSize
	if string(strong[:e.s.Strong]) == string(e.s.Sums[at:at+e.s.Strong]) {
		return true
	}
	e.alarms++
	return false
}

// find returns a whole block that b is, best the one after the run, or -1. However many
// blocks have the weak sum, the strong one of b is computed once.
func (e *encoder) find(b []byte, weak uint32) int {
	if e.alarms > falseAlarms {
		return -1
	}
	var strong digest.Checksum
	found, summed := -1, false
	for i, looked := e.heads[weak*0x9e3779b1>>e.shift], 0; i > 0 && looked < chainLimit; i = e.next[i-1] {
		if looked++; e.weak(int(i-1)) != weak {
			continue
		}
		if !summed {
			strong, summed = digest.Check(b), true
		}
		if !e.is(&strong, int(i-1)) {
			continue
		}
		if int(i-1) == e.first+e.count {
			return int(i - 1)
		}
		if found < 0 {
			found = int(i - 1)
		}
	}
	return found
}

// scan rolls over the content and takes the blocks that it finds.
func (e *encoder) scan() {
	size, key := e.s.Block, e.s.Key
	out := power(key, size)
	for at := 0; at+size <= len(e.content); {
		h := rollOver(e.content[at:at+size], key)
		skipped := e.roll(h, key, out, e.content[at:], size)
		if at += skipped; at+size > len(e.content) {
			return
		}
		at += size
	}
}

// roll takes the first block that is found in content, of whose beginning h is
// the hash, and returns where it lies, or a position beyond the last one.
func (e *encoder) roll(h, key, out uint64, content []byte, size int) int {
	heads, shift := e.heads, e.shift&31
	front := content[size:]
	back := content[:len(front)] // so that one check serves for both
	for i := 0; ; i++ {
		weak := mix(h)
		if heads[weak*0x9e3779b1>>shift] > 0 {
			if block := e.find(content[i:i+size], weak); block >= 0 {
				e.take(block, len(e.content)-len(content)+i, size)
				return i
			}
		}
		if i >= len(front) {
			return i + 1
		}
		h = (h + (uint64(front[i]) + 1 - (uint64(back[i])+1)*out)) * key
	}
}

// tail takes the shorter block where the content ends with it.
func (e *encoder) tail(n int) {
	size := e.s.Tail
	at := len(e.content) - size
	if size == 0 || at < e.end {
		return
	}
	b := e.content[at:]
	if mix(rollOver(b, e.s.Key)) != e.weak(n-1) {
		return
	}
	if strong := digest.Check(b); e.is(&strong, n-1) {
		e.take(n-1, at, size)
	}
}

// take adds the block that lies at in content to the run, or begins a new one
// with it.
func (e *encoder) take(i, at, size int) {
	if e.count == 0 || i != e.first+e.count || at != e.end {
		e.copied()
		e.literal(at)
		e.first = i
	}
	e.count++
	e.end = at + size
}

// copied encodes the run.
func (e *encoder) copied() {
	if e.count == 0 {
		return
	}
	e.ops = binary.AppendUvarint(e.ops, uint64(e.count))
	e.ops = binary.AppendVarint(e.ops, int64(e.first-e.expect))
	e.expect = e.first + e.count
	e.encoded, e.count = e.end, 0
}

// literal encodes the content up to there as it is.
func (e *encoder) literal(to int) {
	e.ops = binary.AppendUvarint(e.ops, uint64(to-e.encoded))
	e.ops = append(e.ops, e.content[e.encoded:to]...)
	e.encoded = to
}
