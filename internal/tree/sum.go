package tree

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// Summer computes the digests of directories. Both sides use the same canon,
// the receiver's. It is not safe for concurrent use.
type Summer struct {
	canon Canon
	h     *digest.Hasher
	buf   []byte
}

// NewSummer returns a Summer that brings times to c.
func NewSummer(c Canon) *Summer { return &Summer{canon: c, h: digest.NewHasher()} }

// Sum sets Digest and Unproved of d and of every directory below whose Digest
// is zero. It does not recurse, so depth costs heap and no stack.
func (s *Summer) Sum(d *Dir) {
	type frame struct {
		d    *Dir
		next int
	}
	if !d.Digest.IsZero() {
		return
	}
	stack := []frame{{d: d}}
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		child := f.d.nextUnsummed(&f.next)
		if child != nil {
			stack = append(stack, frame{d: child})
			continue
		}
		f.d.Digest = s.Range(f.d.Entries)
		f.d.Unproved = unproved(f.d.Entries)
		stack = stack[:len(stack)-1]
	}
}

// nextUnsummed returns the next directory in d, from entry *i on, that has no
// digest yet, or nil.
func (d *Dir) nextUnsummed(i *int) *Dir {
	for ; *i < len(d.Entries); *i++ {
		if c := d.Entries[*i].Dir; c != nil && c.Digest.IsZero() {
			*i++
			return c
		}
	}
	return nil
}

func unproved(entries []Entry) bool {
	for i := range entries {
		e := &entries[i]
		if e.Flags&Unproved != 0 || e.Dir != nil && e.Dir.Unproved {
			return true
		}
	}
	return false
}

// Range returns the digest over entries, which are in order and whose
// directories have theirs. For every entry that is not Opaque it covers
//
//	byte type (| 0x80 for a closed directory, | 0x40 for a file with a content
//	           digest), uvarint length of the name, name
//	file:      uint16 permission, int64 seconds, uint32 nanoseconds, uint64 size, [content digest]
//	directory: uint16 permission, int64 seconds, uint32 nanoseconds, digest
//	link:      uvarint length of the target, target
//	           [int64 seconds, uint32 nanoseconds]  where links have times
//	other:     nothing more
//
// with numbers in little-endian order.
func (s *Summer) Range(entries []Entry) digest.Digest {
	s.h.Reset()
	buf := s.buf[:0]
	for i := range entries {
		if entries[i].Type == Opaque {
			continue
		}
		buf = s.append(buf, &entries[i])
		if len(buf) > 32<<10 {
			s.h.Write(buf)
			buf = buf[:0]
		}
	}
	s.h.Write(buf)
	s.buf = buf
	return s.h.Sum()
}

// Root returns the digest over a root: its permission, its time and what is
// in it, whose digest is computed where it is not known.
func (s *Summer) Root(root *Entry) digest.Digest {
	s.Sum(root.Dir)
	return digest.Sum(s.append(nil, root))
}

func (s *Summer) append(b []byte, e *Entry) []byte {
	t := byte(e.Type)
	if e.Dir != nil && e.Dir.Closed {
		t |= 0x80
	}
	if e.Type == File && e.Target != "" {
		t |= 0x40
	}
	b = append(b, t)
	b = binary.AppendUvarint(b, uint64(len(e.Name)))
	b = append(b, e.Name...)
	switch e.Type {
	case File:
		b = s.appendTime(binary.LittleEndian.AppendUint16(b, e.Perm), e)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Size))
		b = append(b, e.Target...)
	case Directory:
		b = s.appendTime(binary.LittleEndian.AppendUint16(b, e.Perm), e)
		b = append(b, e.Dir.Digest[:]...)
	case Link:
		b = binary.AppendUvarint(b, uint64(len(e.Target)))
		b = append(b, e.Target...)
		if s.canon.LinkTimes {
			b = s.appendTime(b, e)
		}
	}
	return b
}

func (s *Summer) appendTime(b []byte, e *Entry) []byte {
	t := s.canon.Time(e.MTime())
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Sec))
	return binary.LittleEndian.AppendUint32(b, t.Nsec)
}

// Reset forgets the digest of d, and whether files below are unproved.
func (d *Dir) Reset() { d.Digest, d.Unproved = digest.Digest{}, false }

// Changed forgets the digests of d and of all directories above it, because
// an entry of d is another now.
func (d *Dir) Changed() {
	for ; d != nil && !d.Digest.IsZero(); d = d.Parent {
		d.Digest = digest.Digest{}
	}
}

// Prove takes Unproved from all files below d whose content is known, and from
// all directories, and gives it to the other files, if there are any: then the
// directories are to be summed after that.
func (d *Dir) Prove() {
	for stack := []*Dir{d}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d.Unproved = false
		for i := range d.Entries {
			switch e := &d.Entries[i]; {
			case e.Dir != nil:
				stack = append(stack, e.Dir)
			case e.Type != File:
			case e.Target != "":
				e.Flags &^= Unproved
			default:
				e.Flags |= Unproved
			}
		}
	}
}
