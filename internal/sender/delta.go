package sender

import (
	"bytes"
	"errors"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// signatures takes in what the receiver has of some files.
func (s *session) signatures(body []byte) error {
	signed, err := wire.DecodeSignatures(body)
	if err != nil {
		return err
	}
	for i := range signed {
		one := &signed[i]
		if !one.Whole {
			err = s.fragmentWanted(one)
		} else {
			err = s.deltaWanted(one)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deltaWanted takes in that the delta of a small file is wanted.
func (s *session) deltaWanted(one *wire.Signed) error {
	s.mu.Lock()
	s.sums += len(one.Sums)
	over := s.sums > wire.MaxSigned
	s.mu.Unlock()
	if over {
		return wire.Errorf("more than %d bytes of signatures at once", wire.MaxSigned)
	}
	one.Sums = bytes.Clone(one.Sums) // the message goes
	_, err := s.want(byDelta, []uint64{one.ID}, job{sig: &one.Signature})
	return err
}

func (s *session) encode(sig *delta.Signature, content []byte) []byte {
	return delta.Encode(make([]byte, 0, len(content)/8), sig, content)
}

// sendDeltas sends small files as what they differ in from what the receiver
// has.
func (s *session) sendDeltas(batch []job) error {
	began := time.Now()
	m := wire.NewDeltas()
	buf := wire.NewBuffer(wire.MaxMessage)
	defer buf.Free()
	flush := func() error {
		if m.Count == 0 {
			m.Discard()
			return nil
		}
		s.desk.answered(m.Count)
		return s.send(m.Finish(), began)
	}
	for i := range batch {
		j := &batch[i]
		d, err := s.delta(j, buf)
		s.mu.Lock()
		s.sums -= len(j.sig.Sums)
		s.mu.Unlock()
		switch {
		case errors.Is(err, supply.ErrLarge):
			if err := s.sendLarge(j); err != nil {
				return err
			}
			continue
		case err != nil:
			s.failed(j, err)
			continue
		}
		s.Counters.Bytes.Add(d.Size)
		s.sent(j, d.Meta)
		if m.Add(d) {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		began = time.Now()
		if m = wire.NewDeltas(); !m.Add(d) {
			panic("sender: the delta of a small file is too long")
		}
	}
	return flush()
}

// delta reads a small file and says it in terms of what the receiver has.
func (s *session) delta(j *job, buf *wire.Buffer) (*wire.Delta, error) {
	d := &wire.Delta{ID: j.id, Whole: true}
	err := s.inDir(j.dir, func(h dirfs.Dir) error {
		return retry(func() error {
			f, err := supply.Open(h, j.entry.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			if f.Meta.Size > wire.MaxFragment {
				return supply.ErrLarge
			}
			buf.Truncate(0)
			content := buf.Extend(int(f.Meta.Size))
			if err := f.ReadAt(content, 0); err != nil {
				return err
			}
			d.Meta, d.Sum, d.Ops = f.Meta, digest.ContentOf(content), s.encode(j.sig, content)
			return f.Unchanged()
		})
	})
	return d, err
}
