package sender

import (
	"context"

	"github.com/sync-directory/sync-directory/internal/contents"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// proveWanted takes in that the content of directories is to be proved.
func (s *session) proveWanted(body []byte) error {
	ids, err := wire.DecodeProve(body)
	if err != nil {
		return err
	}
	asks := make([]question, len(ids))
	for i, id := range ids {
		asks[i] = question{wire.Question{Dir: id}, true}
	}
	return s.put(asks)
}

// prove answers what content is below a directory.
func (d *describer) prove(ctx context.Context, q wire.Question) error {
	if err := d.flush(); err != nil {
		return err
	}
	s := d.s
	dir, err := s.directory(q.Dir)
	if err != nil {
		return err
	}
	if s.comparesContent() || !s.provesFirst(dir) {
		return wire.Errorf("entry %d is to be proved again", q.Dir)
	}
	p := wire.Proof{ID: q.Dir}
	if p.Sum, p.Known, err = contents.Prove(ctx, dir, s.source, s.Checkers, s.Cache, &s.Counters.Compared); err != nil {
		return err
	}
	s.asked(-1) // the receiver may go on before Write returns
	return s.conn.Write(wire.EncodeProof(&p))
}

// provesFirst reports whether nothing in dir, nor anything that it is in, was
// proved before: what one receiver can have read is all, once.
func (s *session) provesFirst(dir *tree.Dir) bool {
	if _, below := s.proved[dir]; below {
		return false
	}
	for d := dir; d != nil; d = d.Parent {
		if s.proved[d] {
			return false
		}
	}
	for d := dir.Parent; d != nil; d = d.Parent {
		s.proved[d] = false // something below it was
	}
	s.proved[dir] = true
	return true
}
