package sender

import (
	"errors"
	"sync"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// large is a file whose parts several workers send.
type large struct {
	job
	file    *supply.File
	attempt int

	mu     sync.Mutex // guards the rest
	next   int64      // the chunk with which the next part to hand out begins
	inHand int        // parts that are handed out and not done
	parts  wire.Parts // that are sent
	err    error      // the first one: no more parts are handed out
}

// take hands out a part. It is false where there is none now: all were handed
// out, which ended says, or one of them is so late that the receiver would not
// take those that are to come.
func (l *large) take() (p wire.Part, ok, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil || l.next == l.file.Chunks():
		return p, false, true
	case uint64(l.next) > l.parts.Next()+wire.MaxLead/2:
		return p, false, false
	}
	p = l.file.Part(l.next)
	l.next += digest.Chunks(p.Length)
	l.inHand++
	return p, true, false
}

// done notes what became of a part, and reports whether it was the last.
func (l *large) done(p wire.Part, sum digest.Checksum, err error) (last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inHand--
	if err == nil {
		err = l.parts.Add(p.Index, p.Length, sum)
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

// sendPart sends a part, and after the last one the end.
func (s *session) sendPart(l *large, p wire.Part) error {
	began := time.Now()
	c, content := wire.NewChunk(l.id, p)
	err := l.file.Read(p, content)
	var sum digest.Checksum
	if err != nil {
		c.Discard()
	} else {
		var b *wire.Buffer
		b, sum = c.Finish()
		b.Remake = func() (*wire.Buffer, error) { return s.rereadPart(l.job, p, sum) }
		if err := s.send(b, began); err != nil {
			return err // the session is over, which closes the file
		}
		s.Counters.Bytes.Add(p.Length)
	}
	if l.done(p, sum, err) {
		return s.endLarge(l)
	}
	s.desk.wake()
	return nil
}

// rereadPart makes the message of a part once more.
func (s *session) rereadPart(j job, p wire.Part, sum digest.Checksum) (*wire.Buffer, error) {
	f, err := s.open(&j)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, content := wire.NewChunk(j.id, p)
	if err := f.Read(p, content); err != nil {
		c.Discard()
		return nil, err
	}
	b, _ := c.Finish()
	return unchanged(b, sum)
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
