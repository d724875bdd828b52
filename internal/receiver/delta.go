package receiver

import (
	"errors"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// smallDelta is the size of the largest file that is asked for with a
	// signature of all of the old one, smallBasis that of the largest old one
	// that takes.
	smallDelta = 256 << 10
	smallBasis = 1 << 20
	// leastDelta is the size below which a file is not worth a signature, and
	// leastPart how many times the size of the other one either may have.
	leastDelta = 512
	leastPart  = 8
	// leastVerified is the size of the smallest file that is outlined at once where its
	// content may be what it should be: if it is not, it need not be read again. Of
	// smaller ones, and of many, most are the same after all, which digests tell for
	// thousands in one round trip.
	leastVerified = 64 << 20
	// signed is how many bytes of signatures of small files are in the
	// sender's hands at most.
	signed = wire.MaxSigned / 2
)

// method is how the content of a changed file is got.
type method int

const (
	whole   method = iota
	byDelta        // a small file, by one signature
	byOutline
)

// method returns how to get the content of t.
func (s *session) method(t *target) method {
	if s.part(t) != nil {
		return byOutline
	}
	have, want := t.step.Have, t.step.Entry()
	switch {
	case s.WholeFile || have == nil || have.Type != tree.File || want.Flags&tree.Sparse != 0:
		return whole // of a file with holes only the data is read and sent
	case want.Size < leastDelta || have.Size < want.Size/leastPart || have.Size/leastPart > want.Size:
		return whole
	case want.Size <= smallDelta && have.Size <= smallBasis:
		return byDelta
	case want.Size > smallDelta:
		return byOutline
	}
	return whole
}

// verifiesByOutline reports whether the content of t, of which nobody knows whether it
// differs, is compared by outlines.
func (s *session) verifiesByOutline(t *target) bool {
	return t.step.From == nil && t.step.Entry().Size >= leastVerified && !s.unsaved() &&
		s.part(t) == nil && s.method(t) == byOutline && s.changing+len(s.later) < changes
}

// get gets the content of t the best way, and returns t where it is to be asked
// for whole.
func (s *session) get(t *target) (*target, error) {
	t.tried, t.what = true, wire.WantContent
	switch t.method = s.method(t); t.method {
	case byDelta:
		s.sign(t)
		return nil, nil
	case byOutline:
		s.waiting++
		s.later = append(s.later, t)
		return nil, s.outline()
	}
	return s.expect(t, wire.WantContent)
}

// basis opens the file that the destination has in place of t.
func (s *session) basis(t *target) (*supply.File, error) { return s.openIn(t.dir, t.step.Have.Name) }

// sign has the signature of what there is of t made and sent. A file that can
// not be read is got whole.
func (s *session) sign(t *target) {
	s.waiting++
	size := int(t.step.Have.Size)
	t.sums = (size/delta.BlockFor(size) + 1) * (delta.WeakSize + delta.MostStrong)
	s.sums += t.sums
	s.tasks.Put(func() {
		sig, err := s.signature(t)
		s.results.put(outcome{then: func() error {
			if err != nil {
				s.getWhole(t)
				return nil
			}
			return s.askDelta(t, sig)
		}})
	})
}

func (s *session) signature(t *target) (sig delta.Signature, err error) {
	f, err := s.basis(t)
	if err != nil {
		return sig, err
	}
	defer f.Close()
	if f.Meta.Size != t.step.Have.Size {
		return sig, supply.ErrChanged
	}
	old := make([]byte, f.Meta.Size)
	if err := f.ReadAt(old, 0); err != nil {
		return sig, err
	}
	return delta.Sign(old, delta.BlockFor(len(old)), s.key, int(t.step.Entry().Size)), nil
}

// getWhole gets the content of t whole: what was tried has led to nothing.
func (s *session) getWhole(t *target) {
	s.waiting--
	s.released(t)
	t.unchange(s)
	t.mu.Lock()
	t.settled = false
	t.mu.Unlock()
	t.method = whole
	s.refetch = append(s.refetch, t)
}

// released notes that the sender has no signature of t any more.
func (s *session) released(t *target) {
	s.sums -= t.sums
	t.sums = 0
}

// askDelta asks for the delta of t, with others.
func (s *session) askDelta(t *target, sig delta.Signature) error {
	t.shape = sig.Shape()
	s.mu.Lock()
	s.targets[t.id] = t
	s.mu.Unlock()
	return s.askSigned(&wire.Signed{ID: t.id, Whole: true, Signature: sig})
}

// askSigned adds to the message that goes out when it is full, or when there is
// nothing more to add.
func (s *session) askSigned(one *wire.Signed) error {
	if s.signatures != nil && s.signatures.Add(one) {
		return nil
	}
	if err := s.flushSigned(); err != nil {
		return err
	}
	s.signatures = wire.NewSignatures(s.key)
	if !s.signatures.Add(one) {
		panic("receiver: a signature is too long")
	}
	return nil
}

func (s *session) flushSigned() error {
	if s.signatures == nil {
		return nil
	}
	m := s.signatures
	s.signatures = nil
	return s.conn.Write(m.Finish())
}

// writeDeltas makes the files, and fragments of files, of a message.
func (s *session) writeDeltas(body []byte) error {
	var failed error
	err := wire.DecodeDeltas(body, func(d *wire.Delta) bool {
		if d.Whole {
			failed = s.writeDelta(d)
		} else {
			failed = s.writeFragment(d)
		}
		return failed == nil
	})
	return errors.Join(failed, err)
}

// errMismatch says that content is not what its digest says.
var errMismatch = fault.Errorf("content does not match its digest")

// writeDelta makes a small file of the old one. Where that leads to anything
// else than it should, the file is got whole.
func (s *session) writeDelta(d *wire.Delta) error {
	t, err := s.wants(d.ID, true)
	if err == nil {
		err = s.claim(t)
	}
	if err != nil {
		return err
	}
	if t.method != byDelta {
		return wire.Errorf("a delta of entry %d, for which there is no signature", d.ID)
	}
	content, err := s.rebuild(t, d)
	if errors.Is(err, delta.ErrMalformed) {
		return wire.Errorf("a malformed delta of entry %d", d.ID)
	}
	if err != nil {
		s.Log.Debug("a delta led to nothing, the file is got whole", "entry", d.ID, "cause", err)
		s.results.put(outcome{then: func() error {
			s.getWhole(t)
			return nil
		}})
		return nil
	}
	o := outcome{t: t, size: d.Size}
	o.err = t.dirHandle(s, func(h dirfs.Dir) (err error) {
		o.info, err = s.area.Put(h, t.name, content, d.Meta)
		return err
	})
	s.Counters.Bytes.Add(d.Size)
	s.results.put(o)
	return nil
}

// rebuild returns the verified content of a small file.
func (s *session) rebuild(t *target, d *wire.Delta) ([]byte, error) {
	f, err := s.basis(t)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := make([]byte, 0, d.Size)
	err = delta.Patch(d.Ops, t.shape, int(d.Size),
		func(b []byte) error {
			content = append(content, b...)
			return nil
		},
		func(off, n int) error {
			at := len(content)
			content = content[:at+n]
			return f.ReadAt(content[at:], int64(off))
		})
	if err != nil {
		return nil, err
	}
	if digest.ContentOf(content) != d.Sum {
		return nil, errMismatch
	}
	return content, nil
}
