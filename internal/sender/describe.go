package sender

import (
	"context"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// page is how long a Listing grows before it is sent.
	page = 48 << 10
	// sectionBytes is how much of one directory goes into a section: a
	// page and a section fit into a message.
	sectionBytes = 128 << 10
	// rangeBytes is about what a range takes, and rangesMax how many of
	// them an answer has: beyond, another round costs less.
	rangeBytes = 26
	rangesMax  = 512
	// leastBudget is what a directory below the asked one must be given to
	// be worth a section.
	leastBudget = 3 * rangeBytes
)

// describer answers questions about the tree. It is used by one goroutine.
type describer struct {
	s        *session
	list     *wire.Listing
	answered int    // asks completed in list
	ranged   uint64 // entries that were digested for ranges
}

// part is a range of names in a directory, and how many bytes its
// description may take; 0 for everything below.
type part struct {
	dir    *tree.Dir
	id     uint64
	lo, hi int // positions in dir.Entries
	from   string
	to     string
	budget int
}

// answer describes what q asks for.
func (d *describer) answer(_ context.Context, q wire.Question) error {
	dir, err := d.s.directory(q.Dir)
	if err != nil {
		return err
	}
	p := part{dir: dir, id: q.Dir, from: q.From, to: q.To, budget: int(min(q.Budget, wire.MaxMessage))}
	p.lo, p.hi = dir.Between(q.From, q.To)
	for parts := []part{p}; len(parts) > 0; {
		below, err := d.part(parts[0])
		if err != nil {
			return err
		}
		parts = append(parts[1:], below...)
	}
	d.answered++
	if d.answered == wire.MaxAnswered || d.list.Len() > page {
		return d.flush()
	}
	return nil
}

// part describes p and returns the parts below that it leaves budget for.
func (d *describer) part(p part) ([]part, error) {
	size := 0
	for i := p.lo; i < p.hi && (p.budget == 0 || size <= p.budget); i++ {
		size += wire.EntryBytes(&p.dir.Entries[i])
	}
	if p.budget > 0 && size > p.budget && p.hi-p.lo >= 2 {
		return nil, d.ranges(p)
	}
	first := d.s.number(p.dir, p.lo, p.hi-p.lo)
	if err := d.entries(p); err != nil {
		return nil, err
	}
	return d.below(p, first, p.budget-size), nil
}

// entries lists the entries of p, which have their numbers.
func (d *describer) entries(p part) error {
	from, lo := p.from, p.lo
	for {
		size, hi := 0, lo
		for hi < p.hi && size < sectionBytes {
			size += wire.EntryBytes(&p.dir.Entries[hi])
			hi++
		}
		to := p.to
		if hi < p.hi {
			to = p.dir.Entries[hi].Name
		}
		// Before, not after: what is listed last goes with the number of
		// answers that it completes.
		if d.list.Len() > page {
			if err := d.flush(); err != nil {
				return err
			}
		}
		d.list.Entries(p.id, from, to, p.dir.Entries[lo:hi])
		if hi == p.hi {
			return nil
		}
		from, lo = to, hi
	}
}

// below returns the directories in p as parts, each with its share of the
// budget, or none when that is too little.
func (d *describer) below(p part, first uint64, budget int) []part {
	var parts []part
	for i := p.lo; i < p.hi; i++ {
		if c := p.dir.Entries[i].Dir; c != nil && !c.Closed {
			parts = append(parts, part{dir: c, id: first + uint64(i-p.lo), hi: len(c.Entries)})
		}
	}
	if p.budget == 0 || len(parts) == 0 {
		return parts
	}
	share := budget / len(parts)
	if share < leastBudget {
		return nil
	}
	for i := range parts {
		parts[i].budget = share
	}
	return parts
}

// mostRanged bounds how many entries are digested for ranges, as a multiple of those that
// there are: a receiver asks for ever smaller parts, of which a third is what it learns
// least; one that asks for the same again and again could have a million digested for each
// few bytes.
const mostRanged = 64

// ranges lists p as ranges of equal numbers of entries.
func (d *describer) ranges(p part) error {
	n := p.hi - p.lo
	if d.ranged += uint64(n); d.ranged > mostRanged*d.s.entries+1<<16 {
		return errAgain
	}
	k := min(max(2, p.budget/rangeBytes), rangesMax, n)
	ranges := make([]wire.Range, k)
	lo := p.lo
	for i := range ranges {
		hi := p.lo + (i+1)*n/k
		end := p.to
		if hi < p.hi {
			end = between(p.dir.Entries[hi-1].Name, p.dir.Entries[hi].Name)
		}
		ranges[i] = wire.Range{End: end, Count: uint64(hi - lo), Digest: d.s.summer.Range(p.dir.Entries[lo:hi])}
		lo = hi
	}
	d.list.Ranges(p.id, p.from, p.to, ranges)
	return nil
}

// between returns the shortest name after a and not after b, where a < b.
func between(a, b string) string {
	n := 0
	for n < len(a) && a[n] == b[n] {
		n++
	}
	if name := b[:n+1]; tree.CheckName(name) == nil {
		return name
	}
	return b
}

// flush sends what is listed.
func (d *describer) flush() error {
	if d.list.Empty() {
		return nil
	}
	b := d.list.Finish(d.answered)
	// The receiver may go on before Write returns.
	d.s.asked(-d.answered)
	d.answered = 0
	d.list = wire.NewListing(page)
	return d.s.tell(b)
}
