package sender

import (
	"errors"
	"sync"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// large is a file whose chunks several workers send.
type large struct {
	job
	file    *supply.File
	attempt int

	mu     sync.Mutex // guards the rest
	next   int64      // the chunk to hand out next
	inHand int        // chunks that are handed out and not done
	parts  wire.Parts // that are sent
	err    error      // the first one: no more chunks are handed out
}

// take hands out a chunk. It is false where there is none now: all were
// handed out, which ended says, or one of them is so late that the receiver
// would not take those that are to come.
func (l *large) take() (chunk int64, ok, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil || l.next == l.file.Chunks():
		return 0, false, true
	case uint64(l.next) > l.parts.Next()+wire.MaxLead/2:
		return 0, false, false
	}
	l.next++
	l.inHand++
	return l.next - 1, true, false
}

// done notes what became of a chunk, and reports whether it was the last.
func (l *large) done(chunk int64, n int, sum digest.Checksum, err error) (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inHand--
	if err == nil {
		err = l.parts.Add(uint64(chunk), int64(n), sum)
	}
	if l.err == nil {
		l.err = err
	}
	return l.inHand == 0 && (l.err != nil || l.next == l.file.Chunks())
}

// sendLarge opens a file to be sent in chunks, and shares them out.
func (s *session) sendLarge(j *job) error { return s.startLarge(*j, 1) }

func (s *session) startLarge(j job, attempt int) error {
	f, err := s.open(&j)
	if err != nil {
		s.failed(&j, err)
		return nil
	}
	l := &large{job: j, file: f, attempt: attempt}
	s.mu.Lock()
	s.opened[l] = true
	s.mu.Unlock()
	if f.Chunks() == 0 {
		return s.endLarge(l)
	}
	s.desk.spread(l)
	return nil
}

// sendChunk sends one chunk, and after the last one the end.
func (s *session) sendChunk(l *large, i int64) error {
	began := time.Now()
	n := l.file.ChunkLen(i)
	c, content := wire.NewChunk(n)
	err := l.file.Chunk(i, content)
	var sum digest.Checksum
	if err != nil {
		c.Discard()
	} else {
		var b *wire.Buffer
		b, sum = c.Finish(l.id, uint64(i), n)
		if err := s.send(b, began); err != nil {
			return err // the session is over, which closes the file
		}
		s.Counters.Bytes.Add(int64(n))
	}
	if l.done(i, n, sum, err) {
		return s.endLarge(l)
	}
	s.desk.wake()
	return nil
}

// endLarge ends a file of which nothing more is to be sent.
func (s *session) endLarge(l *large) error {
	defer s.closeLarge(l)
	err := l.err
	if err == nil {
		err = l.file.Unchanged()
	}
	if err == nil {
		s.sent(&l.job, l.file.Meta)
		s.desk.answered(1)
		n, _, sum, _ := l.parts.Whole()
		return s.conn.Write(wire.EncodeEnd(wire.End{ID: l.id, Meta: l.file.Meta, Parts: n, Checksum: sum}))
	}
	if errors.Is(err, supply.ErrChanged) && l.attempt < attempts {
		if err := s.conn.Write(wire.EncodeEnd(wire.End{ID: l.id, Again: true})); err != nil {
			return err
		}
		return s.startLarge(l.job, l.attempt+1)
	}
	s.failed(&l.job, err)
	return nil
}

func (s *session) closeLarge(l *large) {
	l.file.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.opened, l)
}
