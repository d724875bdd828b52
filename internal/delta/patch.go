package delta

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed says that operations make no content of the size that they
// should, or not of what is there.
var ErrMalformed = errors.New("malformed delta")

// Patch carries out operations that Encode has made for blocks of that shape:
// size bytes of content. It
// calls literal for bytes as they are and copied for ranges of the old content, in the
// order of the new one, until one of them fails. Nothing is taken for granted
// of ops; fails with ErrMalformed where they make anything else.
func Patch(ops []byte, shape Shape, size int, literal func([]byte) error, copied func(off, n int) error) error {
	blocks, expect := shape.Blocks, 0
	for done := 0; done < size; {
		n, w := binary.Uvarint(ops)
		if w <= 0 || n > uint64(size-done) || n > uint64(len(ops)-w) {
			return ErrMalformed
		}
		if n > 0 {
			if err := literal(ops[w : w+int(n)]); err != nil {
				return err
			}
		}
		ops = ops[w+int(n):]
		if done += int(n); done == size {
			break
		}
		count, w := binary.Uvarint(ops)
		if w <= 0 {
			return ErrMalformed
		}
		step, v := binary.Varint(ops[w:])
		if v <= 0 || step > int64(blocks-expect) || step < int64(-expect) {
			return ErrMalformed
		}
		ops = ops[w+v:]
		first := expect + int(step)
		if count == 0 || count > uint64(blocks-first) {
			return ErrMalformed
		}
		expect = first + int(count)
		length := int(count) * shape.Block
		if expect == blocks && shape.Tail > 0 {
			length += shape.Tail - shape.Block
		}
		if length > size-done {
			return ErrMalformed
		}
		if err := copied(first*shape.Block, length); err != nil {
			return err
		}
		done += length
	}
	if len(ops) > 0 {
		return ErrMalformed
	}
	return nil
}
