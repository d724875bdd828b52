package wire

import (
	"encoding/binary"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// digestSize returns how much of a directory's digest is told. Nobody else can
// tell that of one into which the sender could not look.
func digestSize(closed bool) uint64 {
	if closed {
		return digest.Size
	}
	return digest.ShortSize
}

// Section is a part of a description: a range of the names in one directory,
// From ≤ name < To where "" is no bound, either as Entries or as Ranges.
type Section struct {
	Dir      uint64
	From, To string
	Entries  []tree.Entry // their directories hold a name and a digest only, which is short unless they are closed
	Ranges   []Range      // two or more; nil says that Entries count
}

// Range summarises the names from where the range before it ends up to End.
type Range struct {
	End    string // exclusive; the section's To in the last
	Count  uint64
	Digest digest.Digest // short
}

// Bits of the byte that an entry begins with.
const (
	bitsType  = 1<<3 - 1
	bitTime   = 1 << 3 // same time as the entry before
	bitPerm   = 1 << 4 // same permission as the entry before
	bitDigest = 1 << 5 // a digest follows: a directory's, or of a file's content
	bitClosed = 1 << 6 // a directory that was not looked into
	bitSparse = 1 << 7 // a file with holes
)

const (
	sectionEntries = 1
	sectionRanges  = 2
)

// Listing writes Listing messages. The zero value is not ready: see
// NewListing.
type Listing struct{ buf *Buffer }

// NewListing returns an empty message that holds about size bytes.
func NewListing(size int) *Listing {
	l := &Listing{buf: NewBuffer(size)}
	l.buf.Append(byte(TypeListing), 0)
	l.buf.Extend(digest.ChecksumSize)
	l.buf.Append(0) // the number of answers: one byte is kept for it
	return l
}

// MaxAnswered is the largest number of answers that one Listing completes.
const MaxAnswered = 127

// Len returns the length of the message so far.
func (l *Listing) Len() int { return len(l.buf.Bytes()) }

// Empty reports whether nothing was added.
func (l *Listing) Empty() bool { return l.Len() == sealedHead+1 }

// Finish completes the message with the number of asks that are answered with
// it, at most MaxAnswered, and returns it for sending.
func (l *Listing) Finish(answered int) *Buffer {
	b := l.buf.Bytes()
	b[sealedHead] = byte(answered)
	seal(b)
	return l.buf
}

// Entries adds a section of entries.
func (l *Listing) Entries(dir uint64, from, to string, entries []tree.Entry) {
	b := l.head(sectionEntries, dir, from, to, len(entries))
	var prev tree.Entry
	for i := range entries {
		b = appendEntry(b, &entries[i], &prev)
	}
	l.buf.set(b)
}

// Ranges adds a section of ranges.
func (l *Listing) Ranges(dir uint64, from, to string, ranges []Range) {
	b := l.head(sectionRanges, dir, from, to, len(ranges))
	for i := range ranges {
		b = appendName(b, ranges[i].End)
		b = binary.AppendUvarint(b, ranges[i].Count)
		b = append(b, ranges[i].Digest[:digest.ShortSize]...)
	}
	l.buf.set(b)
}

// EntryBytes is about what an entry takes: what counts against a budget.
func EntryBytes(e *tree.Entry) int {
	n := 14 + len(e.Name) + len(e.Target)
	if e.Dir != nil {
		n += digest.ShortSize
	}
	return n
}

func (l *Listing) head(kind byte, dir uint64, from, to string, n int) []byte {
	b := append(l.buf.b, kind)
	b = binary.AppendUvarint(b, dir)
	b = appendName(appendName(b, from), to)
	return binary.AppendUvarint(b, uint64(n))
}

// appendEntry writes e against the entry before it, and makes it that.
func appendEntry(b []byte, e, prev *tree.Entry) []byte {
	head := byte(e.Type)
	if e.Type != tree.Opaque {
		if e.Sec == prev.Sec && e.Nsec == prev.Nsec {
			head |= bitTime
		}
		if e.Perm == prev.Perm {
			head |= bitPerm
		}
		if e.Dir != nil && !e.Dir.Digest.IsZero() || e.Type == tree.File && e.Target != "" {
			head |= bitDigest
		}
		if e.Dir != nil && e.Dir.Closed {
			head |= bitClosed
		}
		if e.Flags&tree.Sparse != 0 {
			head |= bitSparse
		}
	}
	b = append(b, head)
	shared := sharedPrefix(prev.Name, e.Name)
	b = binary.AppendUvarint(b, uint64(shared))
	b = appendName(b, e.Name[shared:])
	prev.Name = e.Name
	if e.Type == tree.Opaque {
		return b
	}
	if head&bitPerm == 0 {
		b = binary.AppendUvarint(b, uint64(e.Perm))
	}
	if head&bitTime == 0 {
		b = binary.AppendVarint(b, e.Sec-prev.Sec)
		b = binary.AppendUvarint(b, uint64(e.Nsec))
	}
	prev.Perm, prev.Sec, prev.Nsec = e.Perm, e.Sec, e.Nsec
	switch {
	case e.Type == tree.File:
		b = append(binary.AppendUvarint(b, uint64(e.Size)), e.Target...)
	case head&bitDigest != 0:
		b = append(b, e.Dir.Digest[:digestSize(e.Dir.Closed)]...)
	case e.Type == tree.Link:
		b = appendName(b, e.Target)
	}
	return b
}

func sharedPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// DecodeListing takes a Listing message apart. Sections share no memory with
// the message.
func DecodeListing(body []byte) (answered int, sections []Section, err error) {
	r := reader{b: body}
	r.sealed()
	answered = int(r.atMost(MaxAnswered, "too many answers"))
	for {
		sections = append(sections, r.section())
		if !r.more() {
			return answered, sections, r.end()
		}
	}
}

func (r *reader) section() (s Section) {
	kind := r.byte()
	s.Dir = r.uvarint()
	s.From, s.To = r.bound(), r.bound()
	if s.To != "" && s.From >= s.To {
		r.fail("empty range of names")
	}
	n := r.uvarint()
	switch kind {
	case sectionEntries:
		s.Entries = r.entries(n, s.From, s.To)
	case sectionRanges:
		s.Ranges = r.ranges(n, s.From, s.To)
	default:
		r.fail("unknown kind of section")
	}
	return s
}

// minEntry and minRange are the fewest bytes that one of them takes: a count
// beyond what is left to read is refused before anything is allocated for it.
const (
	minEntry = 4
	minRange = 2 + digest.ShortSize
)

// maxNames bounds the bytes of all names in a message. Names share prefixes,
// so that a megabyte could stand for hundreds; what a sender lists in a
// message (see page in package sender) stays below a half of this.
const maxNames = 16 << 20

func (r *reader) ranges(n uint64, from, to string) []Range {
	if n < 2 || n > uint64(r.left()/minRange) {
		r.fail("number of ranges")
		return nil
	}
	ranges := make([]Range, n)
	for i := range ranges {
		g := Range{End: r.bound(), Count: r.uvarint(), Digest: r.digestOf(digest.ShortSize)}
		last := i == len(ranges)-1
		if last && g.End != to || !last && (g.End <= from || to != "" && g.End >= to) {
			r.fail("bounds of ranges")
			return nil
		}
		from = g.End
		ranges[i] = g
	}
	return ranges
}

// entries reads n entries whose names ascend within the bounds. All names
// share one allocation.
func (r *reader) entries(n uint64, from, to string) []tree.Entry {
	if n > uint64(r.left()/minEntry) {
		r.fail("number of entries")
		return nil
	}
	entries := make([]tree.Entry, n)
	r.names, r.ends = r.names[:0], r.ends[:0]
	var prev tree.Entry
	for i := range entries {
		if r.entry(&entries[i], &prev); r.err != nil {
			return nil
		}
	}
	arena, begin := string(r.names), 0
	for i := range entries {
		e := &entries[i]
		e.Name = arena[begin:r.ends[i]]
		if e.Dir != nil {
			e.Dir.Name = e.Name
		}
		begin = r.ends[i]
	}
	r.checkOrder(entries, from, to)
	return entries
}

func (r *reader) checkOrder(entries []tree.Entry, from, to string) {
	for i := range entries {
		name := entries[i].Name
		if err := tree.CheckName(name); err != nil {
			r.fail(err.Error())
			return
		}
		if name < from || i > 0 && name <= entries[i-1].Name || to != "" && name >= to {
			r.fail("names out of order")
			return
		}
	}
}

// entry reads one entry, but for its name, against the one before it.
func (r *reader) entry(e, prev *tree.Entry) {
	head := r.byte()
	e.Type = tree.Type(head & bitsType)
	r.name()
	if e.Type == tree.Opaque {
		if head != byte(tree.Opaque) {
			r.fail("bits of an opaque entry")
		}
		return
	}
	if head&bitPerm == 0 {
		prev.Perm = r.changed16(prev.Perm)
	}
	if head&bitTime == 0 {
		r.time(prev)
	}
	e.Perm, e.Sec, e.Nsec = prev.Perm, prev.Sec, prev.Nsec
	r.rest(e, head)
}

// name adds to names one that shares a prefix with the one before it.
func (r *reader) name() {
	var prev []byte
	switch n := len(r.ends); n {
	case 0:
	case 1:
		prev = r.names[:r.ends[0]]
	default:
		prev = r.names[r.ends[n-2]:r.ends[n-1]]
	}
	shared := r.atMost(uint64(len(prev)), "shared prefix of a name")
	rest := r.bytes(r.atMost(tree.MaxName, "name too long"))
	if shared < uint64(len(prev)) && len(rest) > 0 && rest[0] == prev[shared] {
		r.fail("prefix of a name not shared in full")
	}
	if r.nameBytes += int(shared) + len(rest); r.nameBytes > maxNames {
		r.fail("too many bytes of names")
	}
	r.names = append(append(r.names, prev[:shared]...), rest...)
	r.ends = append(r.ends, len(r.names))
}

func (r *reader) changed16(prev uint16) uint16 {
	v := uint16(r.atMost(tree.MaxPerm, "permission out of range"))
	if v == prev {
		r.fail("permission repeated")
	}
	return v
}

func (r *reader) time(prev *tree.Entry) {
	sec, nsec := prev.Sec+r.varint(), uint32(r.atMost(maxNsec, "nanoseconds out of range"))
	if sec == prev.Sec && nsec == prev.Nsec {
		r.fail("time repeated")
	}
	prev.Sec, prev.Nsec = sec, nsec
}

// rest reads what only one type of entry has.
func (r *reader) rest(e *tree.Entry, head byte) {
	switch e.Type {
	case tree.File:
		e.Size = int64(r.atMost(MaxSize, "size out of range"))
		if head&bitSparse != 0 {
			e.Flags = tree.Sparse
		}
		if head&bitDigest != 0 {
			e.Target = string(r.bytes(digest.Size))
		}
	case tree.Directory:
		e.Dir = &tree.Dir{Closed: head&bitClosed != 0}
		if head&bitDigest != 0 {
			if e.Dir.Digest = r.digestOf(digestSize(e.Dir.Closed)); e.Dir.Digest.IsZero() {
				r.fail("digest of zero")
			}
		}
	case tree.Link:
		target := r.bytes(r.atMost(tree.MaxTarget, "link target too long"))
		if len(target) == 0 {
			r.fail("empty link target")
		}
		e.Target = string(target)
	default:
		r.fail("unknown type of entry")
	}
	if e.Type != tree.Directory && head&bitClosed != 0 || e.Type == tree.Link && head&bitDigest != 0 || e.Type != tree.File && head&bitSparse != 0 {
		r.fail("bits of an entry")
	}
}
