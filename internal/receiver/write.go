package receiver

import (
	"errors"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// write writes content until there is no more to come. Several of it run at
// once, and each message stands for itself.
func (s *session) write() {
	var done []outcome // of a pack
	for b := range s.content {
		b, t, body, err := s.open(b)
		if err == nil {
			switch t {
			case wire.TypePack:
				done, err = s.writePack(body, done[:0])
			case wire.TypeChunk:
				err = s.writeChunk(body)
			case wire.TypeEnd:
				err = s.writeEnd(body)
			case wire.TypeDelta:
				err = s.writeDeltas(body)
			}
		}
		b.Free()
		if err != nil {
			s.results.put(outcome{err: err})
		}
		s.busy.Done()
	}
}

// wants returns the target with a number whose content is wanted. When it is
// the last that comes of it, it is taken off the list.
func (s *session) wants(id uint64, last bool) (*target, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.targets[id]
	if t == nil && s.streaming {
		if t = s.streamedTarget(id); t != nil && !last {
			s.targets[id] = t
		}
	}
	if t == nil || t.what != wire.WantContent {
		return nil, wire.Errorf("content of entry %d, which is not wanted", id)
	}
	if last {
		delete(s.targets, id)
	}
	return t, nil
}

// writePack writes the small files of a message, whose outcomes it adds to
// done.
func (s *session) writePack(body []byte, done []outcome) ([]outcome, error) {
	var failed error
	err := wire.DecodePack(body, func(f wire.Packed) bool {
		t, err := s.wants(f.ID, true)
		if err == nil {
			err = s.claim(t)
		}
		if err != nil {
			failed = err
			return false
		}
		o := outcome{t: t, size: f.Size, err: t.err}
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
	return done, errors.Join(failed, err)
}

// claim takes a target for a whole file. One of which chunks came stays on the
// list, so that the end of the session voids it.
func (s *session) claim(t *target) error {
	t.mu.Lock()
	begun := t.change != nil || t.large != nil || t.ended != nil || t.parts > 0 || t.writing > 0 || t.settled
	t.settled = true
	t.mu.Unlock()
	if !begun {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets[t.id] = t
	return wire.Errorf("entry %d in two ways", t.id)
}

func (s *session) writeChunk(body []byte) error {
	c, err := wire.DecodeChunk(body)
	if err != nil {
		return err
	}
	t, err := s.wants(c.ID, false)
	if err != nil {
		return err
	}
	if t.changeNow() != nil {
		return wire.Errorf("a chunk of entry %d, of which fragments are to come", c.ID)
	}
	large, err := t.open(s)
	if err == nil && large != nil {
		err = large.Write(c)
		t.leave()
	}
	if errors.Is(err, wire.ErrProtocol) {
		return err
	}
	if err == nil {
		s.Counters.Bytes.Add(c.Length)
	}
	t.mu.Lock()
	t.parts++
	t.mu.Unlock()
	s.note(t, err)
	return nil
}

// note notes what became of a part of t. A disk that failed as a whole is
// told at once, anything else when all of the file was sent.
func (s *session) note(t *target, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
		if apply.DiskFailed(err) {
			// It stays a target, which the end of the session voids.
			s.results.put(outcome{t: t, err: err})
		}
	}
	s.completeLocked(t)
}

// open returns the file of t, made when it is not there yet, or nil if t has
// failed. Who gets one says leave after using it.
func (t *target) open(s *session) (*stage.Large, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.settled:
		return nil, wire.Errorf("content of entry %d after its end", t.id)
	case t.err != nil:
		return nil, nil
	}
	if t.large == nil {
		if s.begunLarge.Load() >= wire.MaxLarge {
			return nil, wire.Errorf("more than %d files that are not complete", wire.MaxLarge)
		}
		if err := t.create(s); err != nil {
			return nil, err
		}
		s.begunLarge.Add(1)
	}
	t.writing++
	return t.large, nil
}

// leave says that the file that open returned is not used any more.
func (t *target) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writing--
}

// writeEnd notes that all chunks of a file were sent.
func (s *session) writeEnd(body []byte) error {
	e, err := wire.DecodeEnd(body)
	if err != nil {
		return err
	}
	t, err := s.wants(e.ID, false)
	if err != nil {
		return err
	}
	c := t.changeNow()
	if c != nil && !c.closing.Load() {
		return wire.Errorf("entry %d ends before it is there", e.ID)
	}
	var failed error
	if c == nil || !c.same {
		large, err := t.open(s) // a file without chunks is made now
		if errors.Is(err, wire.ErrProtocol) {
			return err
		}
		if large != nil {
			t.leave()
		}
		failed = err
	}
	if !t.endWith(&e) {
		return wire.Errorf("entry %d ends twice", e.ID)
	}
	s.note(t, failed)
	return nil
}

// endWith notes how t ends, and reports whether that was not known. The second of two
// may come while chunks are in the hands of writers.
func (t *target) endWith(e *wire.End) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return false
	}
	t.ended = e
	return true
}

// completeLocked finishes the file of t once all of it is written, the end is
// known and no writer is in it any more, which the last of them finds out. One
// that failed is wanted just as long: chunks of it may be in the hands of
// writers who have not come to ask. t.mu must be held.
func (s *session) completeLocked(t *target) {
	if t.settled || t.ended == nil || t.writing > 0 || t.parts < t.ended.Parts {
		return
	}
	t.settled = true
	s.take(t.id)
	o := outcome{t: t, size: t.ended.Size, err: t.err}
	switch {
	case t.err == nil && t.change != nil:
		o = t.remadeLocked(s)
	case t.large == nil:
	case t.err == nil:
		o.info, o.err = t.large.Seal(*t.ended)
	default:
		t.large.Discard()
	}
	t.doneLarge(s)
	t.release(s)
	s.results.put(o)
}

// work carries out tasks until there are no more.
func (s *session) work() {
	for {
		task, ok := s.tasks.One()
		if !ok {
			return
		}
		select {
		case <-s.ended: // nobody waits for it any more
		default:
			task()
		}
	}
}

// hash digests what the destination has of t.
func (s *session) hash(t *target) outcome {
	o := outcome{t: t, hash: true}
	if d, err := s.sum(t); err == nil {
		o.local = &d
	}
	return o
}

func (s *session) sum(t *target) (d digest.Digest, err error) {
	f, err := s.compares(t)
	if err != nil {
		return d, err
	}
	defer f.Close()
	return f.Sum(func(n int) error {
		s.Counters.Compared.Add(int64(n))
		select {
		case <-s.ended:
			return errEnded
		default:
			return nil
		}
	})
}

// errEnded is why a digest is not finished: nobody waits for it any more.
var errEnded = fault.Errorf("the session has ended")
