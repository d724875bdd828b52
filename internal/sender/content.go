package sender

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// attempts is how often a file that changes while it is read is tried.
const attempts = 3

// work supplies content until there is nothing more to come. Messages stand
// for themselves, so workers need not know of each other.
func (s *session) work(ctx context.Context) error {
	for {
		w, ok := s.desk.take()
		if !ok {
			return nil
		}
		var err error
		switch {
		case w.task != nil:
			err = w.task()
		case w.large != nil:
			err = s.sendPart(w.large, w.part)
		case w.deltas != nil:
			err = s.sendDeltas(w.deltas)
		case w.open != nil:
			err = s.sendLarge(w.open)
		case w.sum != nil:
			err = s.sendSum(ctx, w.sum)
		default:
			err = s.sendBatch(w.batch)
		}
		if err != nil {
			return err
		}
	}
}

// inDir calls f with the handle of a directory of the source.
func (s *session) inDir(d *tree.Dir, f func(dirfs.Dir) error) error {
	h, err := s.source.Acquire(d)
	if err != nil {
		return err
	}
	defer s.source.Release(d)
	return f(h)
}

// retry calls f until the file does not change while it is read.
func retry(f func() error) (err error) {
	for range attempts {
		if err = f(); !errors.Is(err, supply.ErrChanged) {
			return err
		}
	}
	return err
}

// failed answers a want with the reason why there is no content.
func (s *session) failed(j *job, err error) {
	s.desk.answered(1)
	s.problem(j.dir.Join(j.entry.Name), "read", err, j.id)
}

// sent notes that a file was sent as m says, which stands for what the
// description said.
func (s *session) sent(j *job, m wire.Meta) {
	s.Counters.Files.Add(1)
	s.restate(j, m)
}

// restate notes what was told of a file last, which stands for what the
// description said.
func (s *session) restate(j *job, m wire.Meta) {
	if j.entry.Size == m.Size && j.entry.MTime() == m.MTime && j.entry.Perm == m.Perm {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j.entry.Size, j.entry.Perm = m.Size, m.Perm
	j.entry.SetMTime(m.MTime)
	j.dir.Changed()
}

// sendBatch sends small files, as many as fit into each message.
func (s *session) sendBatch(batch []job) error {
	began := time.Now()
	p := wire.NewPack()
	packed := batch[:0] // those in p
	for i := range batch {
		j := batch[i]
		meta, err := s.pack(p, &j)
		if errors.Is(err, supply.ErrLarge) && p.Files > 0 {
			if err := s.sendPack(p, packed, began); err != nil {
				return err
			}
			began = time.Now()
			p, packed = wire.NewPack(), packed[len(packed):]
			meta, err = s.pack(p, &j)
		}
		switch {
		case errors.Is(err, supply.ErrLarge): // it has grown that much
			if err := s.sendLarge(&j); err != nil {
				return err
			}
		case err != nil:
			s.failed(&j, err)
		default:
			s.sent(&j, meta)
			packed = append(packed, j)
		}
	}
	return s.sendPack(p, packed, began)
}

func (s *session) pack(p *wire.Pack, j *job) (m wire.Meta, err error) {
	err = s.inDir(j.dir, func(h dirfs.Dir) error {
		return retry(func() (err error) {
			m, err = supply.Into(p, h, j.entry.Name, j.id)
			return err
		})
	})
	return m, err
}

func (s *session) sendPack(p *wire.Pack, packed []job, began time.Time) error {
	n := p.Files
	if n == 0 {
		p.Discard()
		return nil
	}
	b := p.Finish()
	sum := wire.Sealed(b)
	b.Remake = func() (*wire.Buffer, error) { return s.repack(packed, sum) }
	b.Recipe = n * int(unsafe.Sizeof(packed[0]))
	s.Counters.Bytes.Add(int64(len(b.Bytes())))
	// The receiver may answer before Write returns.
	s.desk.answered(n)
	return s.send(b, began)
}

// repack makes a message once more of the files that were in it.
func (s *session) repack(packed []job, sum digest.Checksum) (*wire.Buffer, error) {
	p := wire.NewPack()
	for i := range packed {
		if _, err := s.pack(p, &packed[i]); err != nil {
			p.Discard()
			return nil, err
		}
	}
	return unchanged(p.Finish(), sum)
}

// unchanged returns a message that was made once more, if it is the one that it was.
func unchanged(b *wire.Buffer, was digest.Checksum) (*wire.Buffer, error) {
	if wire.Sealed(b) == was {
		return b, nil
	}
	b.Free()
	return nil, supply.ErrChanged
}

// sendSum answers with the digest of a file's content.
func (s *session) sendSum(ctx context.Context, j *job) error {
	sum := wire.Sum{ID: j.id}
	err := retry(func() error {
		f, err := s.open(j)
		if err != nil {
			return err
		}
		defer f.Close()
		sum.Meta = f.Meta
		sum.Digest, err = f.Sum(func(n int) error {
			s.Counters.Compared.Add(int64(n))
			return context.Cause(ctx)
		})
		return err
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		s.failed(j, err)
		return nil
	}
	s.restate(j, sum.Meta)
	s.desk.answered(1)
	return s.conn.Write(wire.EncodeSums([]wire.Sum{sum}))
}

func (s *session) open(j *job) (f *supply.File, err error) {
	err = s.inDir(j.dir, func(h dirfs.Dir) error {
		f, err = supply.Open(h, j.entry.Name)
		return err
	})
	return f, err
}
