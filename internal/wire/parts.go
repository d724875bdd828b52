package wire

import "github.com/sync-directory/sync-directory/internal/digest"

// Parts follows the parts of a large file, which come in about their order:
// the sender's workers overtake each other. It needs the same memory whatever
// the size of the file. The zero value has no parts. It is not safe for
// concurrent use.
type Parts struct {
	next  uint64          // all chunks before this one are there
	size  int64           // bytes in them
	sums  digest.Checks   // of their messages
	early map[uint64]part // those that wait for one before them, by index
	count uint64          // of all
}

type part struct {
	length int64
	sum    digest.Checksum
}

// MaxLead is how many chunks a Chunk may be ahead of the first one that the
// receiver does not have. Senders keep within half of it, since several
// writers take messages in.
const MaxLead = 1 << 10

// Next returns the first chunk that is missing.
func (p *Parts) Next() uint64 { return p.next }

// Add notes a part. Its error wraps ErrProtocol: no file has such a part
// besides those that it has.
func (p *Parts) Add(index uint64, length int64, sum digest.Checksum) error {
	switch {
	case index > p.next+MaxLead:
		return Errorf("chunk %d of a file that has %d", index, p.next)
	case index < p.next || p.early[index].length > 0:
		return Errorf("chunk %d came twice", index)
	}
	if p.early == nil {
		p.early = make(map[uint64]part)
	}
	p.early[index] = part{length, sum}
	p.count++
	for {
		n, ok := p.early[p.next]
		if !ok {
			return nil
		}
		if p.size%digest.ChunkSize != 0 {
			return Errorf("a chunk after one that is short")
		}
		delete(p.early, p.next)
		p.size += n.length
		p.sums.Add(n.sum)
		p.next += uint64(digest.Chunks(n.length))
	}
}

// Whole returns how many parts the file has, its size, and the checksum over
// those of the parts. It is false while one is missing.
func (p *Parts) Whole() (count uint64, size int64, sum digest.Checksum, ok bool) {
	return p.count, p.size, p.sums.Sum(), len(p.early) == 0
}
