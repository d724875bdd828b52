package receiver

import (
	"errors"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// write writes content until there is no more to come. Several of it run at
// once, and each message stands for itself.
func (s *session) write() {
	for b := range s.content {
		t, body, err := wire.Split(b.Bytes())
		if err == nil {
			switch t {
			case wire.TypePack:
				err = s.writePack(body)
			case wire.TypeChunk:
				err = s.writeChunk(body)
			case wire.TypeEnd:
				err = s.writeEnd(body)
			}
		}
		b.Free()
		if err != nil {
			s.results.put(outcome{err: err})
		}
		s.busy.Done()
	}
}

// wants returns the target with a number whose content is wanted.
func (s *session) wants(id uint64) (*target, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.targets[id]
	if t == nil || t.what != wire.WantContent {
		return nil, wire.Errorf("content of entry %d, which is not wanted", id)
	}
	return t, nil
}

// writePack writes the small files of a message.
func (s *session) writePack(body []byte) error {
	var done []outcome
	var failed error
	err := wire.DecodePack(body, func(f wire.Packed) bool {
		t := s.take(f.ID)
		if t == nil || t.what != wire.WantContent {
			failed = wire.Errorf("content of entry %d, which is not wanted", f.ID)
			return false
		}
		o := outcome{t: t, size: f.Size, err: t.lost}
		if o.err == nil {
			o.err = t.dirHandle(s, func(h dirfs.Dir) (err error) {
				o.info, err = s.area.Put(h, t.name, f.Content, f.Meta)
				return err
			})
		}
		s.Counters.Bytes.Add(f.Size)
		done = append(done, o)
		return true
	})
	s.results.put(done...)
	return errors.Join(failed, err)
}

func (s *session) writeChunk(body []byte) error {
	c, err := wire.DecodeChunk(body)
	if err != nil {
		return err
	}
	t, err := s.wants(c.ID)
	if err != nil {
		return err
	}
	large, err := t.use(s)
	if err == nil && large != nil {
		err = large.Write(c)
	}
	t.unuse(large, err)
	if errors.Is(err, wire.ErrProtocol) {
		return err
	}
	if err == nil {
		s.Counters.Bytes.Add(int64(len(c.Content)))
	}
	s.complete(t)
	return nil
}

// use returns the file of t, made when it is not there yet, or nil if t has
// failed. It stays open until unuse.
func (t *target) use(s *session) (*stage.Large, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	large, err := t.open(s)
	if large != nil {
		t.users++
	}
	return large, err
}

// unuse ends what use began, and notes what became of a chunk.
func (t *target) unuse(large *stage.Large, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	if large != nil {
		t.users--
	}
	if t.err == nil {
		t.err = err
	}
}

// open returns the file of t, made when it is not there yet, or nil if t has
// failed. t.mu must be held.
func (t *target) open(s *session) (*stage.Large, error) {
	if t.err == nil {
		t.err = t.lost
	}
	if t.err != nil {
		return nil, nil
	}
	if t.large == nil {
		if err := t.create(s); err != nil {
			return nil, err
		}
	}
	return t.large, nil
}

// writeEnd notes that all chunks of a file were sent.
func (s *session) writeEnd(body []byte) error {
	e, err := wire.DecodeEnd(body)
	if err != nil {
		return err
	}
	t, err := s.wants(e.ID)
	if err != nil {
		return err
	}
	t.mu.Lock()
	if _, err := t.open(s); err != nil { // a file without chunks is made now
		t.err = err
	}
	t.ended = &e
	t.mu.Unlock()
	s.complete(t)
	return nil
}

// complete finishes the file of t once the end is known and writers are done
// with all of it: one of them finds out. A disk that failed as a whole is told
// at once; t stays wanted then, since the rest of it may be on its way to other
// writers, until the session has ended.
func (s *session) complete(t *target) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if apply.DiskFailed(t.err) {
		if !t.told {
			t.told = true
			s.results.put(outcome{t: t, err: t.err})
		}
		return
	}
	all := t.ended != nil && t.done >= digest.Chunks(t.ended.Size)
	if t.users > 0 || !all || s.take(t.id) == nil {
		return
	}
	o := outcome{t: t, err: t.err}
	switch {
	case t.large == nil:
	case t.err == nil:
		o.size = t.ended.Size
		o.info, o.err = t.large.Seal(*t.ended)
	default:
		t.large.Discard()
	}
	t.large = nil
	t.release(s)
	s.results.put(o)
}

// hash digests files of the destination until there are no more.
func (s *session) hash() {
	for {
		t, ok := s.hashes.One()
		if !ok {
			return
		}
		select {
		case <-s.ended: // nobody waits for it any more
			continue
		default:
		}
		o := outcome{t: t, hash: true}
		if d, err := s.sum(t); err == nil {
			o.local = &d
		}
		s.results.put(o)
	}
}

func (s *session) sum(t *target) (d digest.Digest, err error) {
	h, err := s.handles.Acquire(t.dir)
	if err != nil {
		return d, err
	}
	f, err := supply.Open(h, t.step.Have.Name)
	s.handles.Release(t.dir)
	if err != nil {
		return d, err
	}
	defer f.Close()
	return f.Sum(func(n int) { s.Counters.Compared.Add(int64(n)) })
}
