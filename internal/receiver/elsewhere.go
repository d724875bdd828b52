package receiver

import (
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
	id         uint64
	depth      int
	want       *tree.Dir
	candidates []*tree.Dir
	origin     *tree.Origin // the one that it shall be
}

// find reports whether a new directory has the digest of one that is elsewhere,
// and if so gives it what that one holds, for the time being.
func (d *descent) find(id uint64, depth int, want *tree.Dir) bool {
	if d.elsewhere == nil {
		d.elsewhere = directories(d.s.have.Dir)
	}
	candidates := d.elsewhere[want.Digest.Short()]
	if len(candidates) == 0 || !tree.Graft(want, candidates[0]) {
		return false
	}
	d.found = append(d.found, found{id: id, depth: depth, want: want, candidates: candidates})
	return true
}

// directories returns the directories below root that hold something, by their
// digests.
func directories(root *tree.Dir) map[digest.Digest][]*tree.Dir {
	all := make(map[digest.Digest][]*tree.Dir)
	for stack := []*tree.Dir{root}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range d.Entries {
			if below := d.Entries[i].Dir; below != nil && len(below.Entries) > 0 {
				all[below.Digest.Short()] = append(all[below.Digest.Short()], below)
				stack = append(stack, below)
			}
		}
	}
	return all
}

// meet decides which directories that are elsewhere shall be the new ones that
// were found, has that proved, and opens the rest, to be asked about. All else of
// the source is known.
func (d *descent) meet(ctx context.Context) error {
	if len(d.found) == 0 {
		return nil
	}
	all := d.found
	d.found = nil
	var proving []*found
	for i := range all {
		f := &all[i]
		if f.origin = d.mover.Choose(f.candidates); f.origin == nil {
			d.reopen(f, false)
		} else {
			proving = append(proving, f)
		}
	}
	if err := d.prove(ctx, proving); err != nil {
		return err
	}
	for _, f := range proving {
		if f.origin.Proved {
			d.origins[f.want] = f.origin
			continue
		}
		d.s.Log.Debug("a directory of equal names, sizes and times has other content", "path", f.origin.Path())
		d.mover.Stay(f.origin)
		d.reopen(f, true)
	}
	return nil
}

// reopen has a directory asked about after all: in full where its content is not
// what was found; otherwise what is in it may be found elsewhere, and only the
// directory itself is described once more, not what is below.
func (d *descent) reopen(f *found, full bool) {
	level := 0
	for i := range f.want.Entries {
		level += wire.EntryBytes(&f.want.Entries[i])
	}
	f.want.Entries, f.want.Digest = nil, digest.Digest{}
	delete(d.ignored, f.id)
	b := d.build(f.id, f.depth, f.want, nil)
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
	sums := make(map[uint64]digest.Digest, len(ids))
	err := d.s.whileReading(ctx, func(ctx context.Context) error {
		for _, f := range proving {
			sum, ok, err := contents.Prove(ctx, f.origin.Entry().Dir, d.s.handles, d.s.Checkers, nil, &d.s.Counters.Compared)
			if err != nil {
				return err
			}
			if ok {
				sums[f.id] = sum
			}
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
		sum, ok := sums[f.id]
		p := d.proofs[f.id]
		f.origin.Proved = ok && p != nil && p.Known && p.Sum == sum
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
