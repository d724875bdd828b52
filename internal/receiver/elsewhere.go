package receiver

import (
	"cmp"
	"context"
	"slices"

	"github.com/sync-directory/sync-directory/internal/contents"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// found is a new directory with the digest of some that the destination has
// elsewhere.
type found struct {
	id     uint64
	at     reach
	want   *tree.Dir
	among  *pool
	origin *tree.Origin // the one that it shall be
}

// pool are the directories of the destination that have one digest, and so the
// same in them.
type pool struct {
	all     []*tree.Dir
	named   map[string][]*tree.Dir
	next    int       // the first of all that was not looked at
	copied  *tree.Dir // one that stays, and can be copied
	entries uint64    // in each of them
}

// find reports whether a new directory has the digest of one that is elsewhere.
func (d *descent) find(id uint64, at reach, want *tree.Dir) bool {
	if d.elsewhere == nil {
		d.elsewhere = pools(d.s.have.Dir)
		d.mostGrafted = mostGrafted*d.s.have.Entries() + 1<<20
	}
	among := d.elsewhere[want.Digest]
	if among == nil {
		return false
	}
	d.found = append(d.found, found{id: id, at: at, want: want, among: among})
	return true
}

// pools returns the directories below root that hold something, by their digests
// cut short.
func pools(root *tree.Dir) map[digest.Digest]*pool {
	pools := make(map[digest.Digest]*pool)
	for stack := []*tree.Dir{root}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range d.Entries {
			below := d.Entries[i].Dir
			if below == nil || len(below.Entries) == 0 {
				continue
			}
			p := pools[below.Digest.Short()]
			if p == nil {
				p = new(pool)
				pools[below.Digest.Short()] = p
			}
			p.all = append(p.all, below)
			stack = append(stack, below)
		}
	}
	return pools
}

// choose returns which directory of the pool a new one of that name shall be:
// rather one that goes, and rather one of the same name; nil if there is none.
// Each is looked at once.
func (p *pool) choose(m *tree.Mover, name string) *tree.Origin {
	if p.named == nil {
		p.named = make(map[string][]*tree.Dir)
		for _, d := range p.all {
			p.named[d.Name] = append(p.named[d.Name], d)
		}
	}
	if same := p.named[name]; len(same) > 0 {
		p.named[name] = same[1:]
		if o := p.one(m, same[0]); o != nil {
			return o
		}
	}
	for p.next < len(p.all) {
		p.next++
		if o := p.one(m, p.all[p.next-1]); o != nil {
			return o
		}
	}
	if p.copied == nil {
		return nil
	}
	return m.Choose([]*tree.Dir{p.copied})
}

// one returns a directory of the pool if it moves.
func (p *pool) one(m *tree.Mover, d *tree.Dir) *tree.Origin {
	o := m.Choose([]*tree.Dir{d})
	if o != nil && o.Moves {
		p.copied = d // which whoever comes next may do before it moves
		return o
	}
	if o != nil && p.copied == nil {
		p.copied = d
	}
	return nil
}

// meet decides which directories that are elsewhere shall be the new ones that
// were found, the largest first, has that proved, and opens the rest, to be asked
// about. All else of the source is known.
func (d *descent) meet(ctx context.Context) error {
	all := d.found
	d.found = nil
	for i := range all {
		if p := all[i].among; p.entries == 0 {
			p.entries = (&tree.Entry{Dir: p.all[0]}).Entries()
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.among.entries, a.among.entries) })
	var proving []*found
	for i := range all {
		f := &all[i]
		if f.origin = f.among.choose(&d.mover, f.want.Name); f.origin == nil {
			d.reopen(f, false)
		} else {
			proving = append(proving, f)
		}
	}
	if err := d.prove(ctx, proving); err != nil {
		return err
	}
	for _, f := range proving {
		if f.origin.Proved && d.graft(f) {
			d.origins[f.want] = f.origin
			continue
		}
		d.s.Log.Debug("a directory of equal names, sizes and times is not the same", "path", f.origin.Path())
		d.mover.Stay(f.origin)
		d.reopen(f, true)
	}
	return nil
}

// mostGrafted bounds how many entries are known of directories that are not
// described, as a multiple of those that are here: a description may say "as that
// one" again and again in few bytes.
const mostGrafted = 4

// graft gives a new directory what the one elsewhere holds, if that can be.
func (d *descent) graft(f *found) bool {
	d.grafted += f.among.entries
	return d.grafted <= d.mostGrafted && tree.Graft(f.want, f.origin.Entry().Dir)
}

// reopen has a directory asked about after all: in full where its content is not
// what was found; otherwise what is in it may be found elsewhere, and only the
// directory itself is described once more, not what is below.
func (d *descent) reopen(f *found, full bool) {
	level := 0
	for i := range f.among.all[0].Entries {
		level += wire.EntryBytes(&f.among.all[0].Entries[i])
	}
	f.want.Entries, f.want.Digest = nil, digest.Digest{}
	delete(d.ignored, f.id)
	b := d.build(f.id, f.at, f.want, nil)
	if b.full = full; !full {
		b.level = uint64(level)
	}
}

// prove compares the content of directories on both sides. Where contents are
// compared in any case, the digests that were found prove it.
func (d *descent) prove(ctx context.Context, proving []*found) error {
	if d.s.Checksum || len(proving) == 0 {
		for _, f := range proving {
			f.origin.Proved = !f.origin.Entry().Dir.Unproved
		}
		return nil
	}
	for batch := range slices.Chunk(proving, askBatch) {
		if err := d.proveBatch(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// proveBatch proves as many as there may be questions at once.
func (d *descent) proveBatch(ctx context.Context, proving []*found) error {
	d.proofs = make(map[uint64]*wire.Proof, len(proving))
	ids := make([]uint64, len(proving))
	for i, f := range proving {
		ids[i] = f.id
		d.proofs[f.id] = nil
	}
	for _, b := range wire.EncodeProve(ids) {
		if err := d.s.conn.Write(b); err != nil {
			return err
		}
	}
	d.left = len(ids)
	sums := make(map[*tree.Dir]wire.Proof) // of what is here
	err := d.s.whileReading(ctx, func(ctx context.Context) (err error) {
		for _, f := range proving {
			dir := f.origin.Entry().Dir
			p, done := sums[dir]
			if done {
				continue
			}
			if p.Sum, p.Known, err = contents.Prove(ctx, dir, d.s.handles, d.s.Checkers, nil, &d.s.Counters.Compared); err != nil {
				return err
			}
			sums[dir] = p
		}
		return nil
	})
	for err == nil && d.left > 0 {
		err = d.s.message(ctx)
	}
	if err != nil {
		return err // while the other goroutine may still be at it
	}
	for _, f := range proving {
		mine, theirs := sums[f.origin.Entry().Dir], d.proofs[f.id]
		f.origin.Proved = mine.Known && theirs.Known && mine.Sum == theirs.Sum
	}
	d.proofs = nil
	return nil
}

// proof takes in what the sender says of a directory's content.
func (s *session) proof(body []byte) error {
	p, err := wire.DecodeProof(body)
	if err != nil {
		return err
	}
	d := s.descent
	if d == nil {
		return wire.Errorf("a proof that was not asked for")
	}
	if known, asked := d.proofs[p.ID]; !asked || known != nil {
		return wire.Errorf("a proof of entry %d, which was not asked for", p.ID)
	}
	d.proofs[p.ID] = &p
	d.left--
	return nil
}
