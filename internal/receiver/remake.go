package receiver

import (
	"errors"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// What tasks and writers do for a change. They use the files of c within
// c.with, and what the session has set before they began.

// tick is more than what the clocks of common file systems take to go on.
const tick = 20 * time.Millisecond

// outlineOf opens and outlines what the destination has. What can not be read
// has nothing; an error is one of writing ahead.
func (s *session) outlineOf(t *target, c *change, candidates []candidate) (*delta.Outline, error) {
	var outlines []*delta.Outline
	for i, one := range candidates {
		f, err := s.openIn(one.dir, one.name)
		if err != nil {
			continue
		}
		o, err := s.outlineOne(t, c, f, i == 0)
		if o == nil {
			f.Close()
		}
		switch {
		case err != nil:
			return nil, err
		case o != nil:
			c.basis.add(f)
			outlines = append(outlines, o)
		}
	}
	return delta.Join(outlines), nil
}

// outlineOne outlines one file of the basis, of which the first one is written ahead.
// It returns nil where that cannot be read; an error is one of writing.
func (s *session) outlineOne(t *target, c *change, f *supply.File, first bool) (*delta.Outline, error) {
	if ct := f.Info().CTime; time.Since(time.Unix(ct.Sec, int64(ct.Nsec))).Abs() < tick {
		time.Sleep(tick) // so that a change from here on is seen by its time
	}
	var along supply.Along
	if first {
		along = c.writeAlong
	}
	o, err := f.Outline(c.scale, func(n int, known *delta.Growing) error {
		s.Counters.Compared.Add(int64(n))
		if first && c.ahead.learn(known) {
			s.results.put(outcome{then: func() error {
				if t.change == c && s.writesAhead(c) {
					s.openAhead(t, c)
				}
				return nil
			}})
		}
		return s.going(c)
	}, along)
	if err != nil {
		if first {
			c.ahead.made = delta.Made{} // it is no part of the basis
		}
		return nil, c.ahead.failed
	}
	return o, nil
}

// copyMost is how much is copied before somebody may stop that.
const copyMost = 8 << 20

// copy copies what the old file has and is not written ahead.
func (s *session) copy(c *change) error {
	to := c.file.File()
	rest := c.ahead.made.Rest(c.plan.Runs)
	s.Counters.Bytes.Add(delta.Total(c.plan.Runs) - delta.Total(rest))
	for _, r := range rest {
		for r.Length > 0 {
			if err := s.going(c); err != nil {
				return err
			}
			n := min(r.Length, copyMost)
			if err := c.basis.copyTo(to, r.From, r.Off, n); err != nil {
				return err
			}
			s.Counters.Bytes.Add(n)
			r.From, r.Off, r.Length = r.From+n, r.Off+n, r.Length-n
		}
	}
	return nil
}

// signFragment signs what a fragment may have in common with the old content.
func (s *session) signFragment(c *change, f *fragment) (sig delta.Signature, err error) {
	n := int64(0)
	for _, span := range f.Signed {
		n += span.Length
	}
	if n > 0 {
		old := make([]byte, n)
		at := int64(0)
		for _, span := range f.Signed {
			if err := c.basis.readAt(old[at:at+span.Length], span.Off); err != nil {
				return sig, err
			}
			at += span.Length
		}
		sig = delta.Sign(old, delta.BlockFor(int(n)), s.key, int(f.Length))
	}
	f.shape = sig.Shape()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts[f.Off] = f
	return sig, nil
}

// writeFragment makes a fragment of a large file.
func (s *session) writeFragment(d *wire.Delta) error {
	t, err := s.wants(d.ID, false)
	if err != nil {
		return err
	}
	c := t.changeNow()
	if c == nil {
		return wire.Errorf("a fragment of entry %d, of which none is asked for", d.ID)
	}
	c.mu.Lock()
	f := c.parts[d.Off]
	delete(c.parts, d.Off)
	c.mu.Unlock()
	if f == nil {
		return wire.Errorf("a fragment of entry %d that is not asked for", d.ID)
	}
	err = c.with(func() error { return c.patch(f, d.Ops) })
	if errors.Is(err, delta.ErrMalformed) {
		return wire.Errorf("a malformed delta of entry %d", d.ID)
	}
	if err == nil {
		s.Counters.Bytes.Add(f.Length)
	}
	s.results.put(outcome{then: func() error {
		return s.taskDone(t, c, func() error { return s.advance(t) }, err)
	}})
	return nil
}

func (c *change) patch(f *fragment, ops []byte) error {
	buf := wire.NewBuffer(wire.MaxMessage)
	defer buf.Free()
	err := delta.Patch(ops, f.shape, int(f.Length),
		func(b []byte) error {
			buf.Append(b...)
			return nil
		},
		func(off, n int) error { return c.read(buf, f, int64(off), int64(n)) })
	if err != nil {
		return err
	}
	_, err = c.file.File().WriteAt(buf.Bytes(), f.Off)
	return err
}

// read adds a range of what was signed for f to buf.
func (c *change) read(buf *wire.Buffer, f *fragment, off, n int64) error {
	for _, span := range f.Signed {
		if off >= span.Length {
			off -= span.Length
			continue
		}
		m := min(n, span.Length-off)
		if err := c.basis.readAt(buf.Extend(int(m)), span.Off+off); err != nil {
			return err
		}
		if off, n = 0, n-m; n == 0 {
			break
		}
	}
	return nil
}

// verify verifies what came by the digests of its segments, and that what was
// copied was what it was taken for: the old file has not changed since it was
// outlined. It returns what does not match.
func (s *session) verify(c *change) (bad []delta.Gap, err error) {
	if err := c.basis.unchanged(); err != nil {
		return nil, err
	}
	buf := make([]byte, digest.ChunkSize)
	for _, g := range c.gaps {
		off := g.Off
		for _, n := range g.Segments {
			sum, err := s.sumRange(c, off, n.Length, buf)
			if err != nil {
				return nil, err
			}
			if sum != n.Digest {
				bad = append(bad, delta.Gap{Off: off, Length: n.Length, Segments: []delta.Node{n}})
			}
			off += n.Length
		}
	}
	return bad, nil
}

// sumRange returns the content digest of a range of the file that is made.
func (s *session) sumRange(c *change, off, length int64, buf []byte) (digest.Digest, error) {
	h := digest.NewHasher()
	for length > 0 {
		if err := s.going(c); err != nil {
			return digest.Digest{}, err
		}
		b := buf[:min(int64(len(buf)), length)]
		if _, err := c.file.File().ReadAt(b, off); err != nil {
			return digest.Digest{}, err
		}
		d := digest.Sum(b)
		h.Write(d[:])
		s.Counters.Compared.Add(int64(len(b)))
		off, length = off+int64(len(b)), length-int64(len(b))
	}
	return h.Sum(), nil
}
