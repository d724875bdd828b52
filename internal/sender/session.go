package sender

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// read takes the receiver's messages until it is done. It never waits for
// anything but the next message, so the receiver can always write.
func (s *session) read(context.Context) error {
	defer s.end()
	for s.done == nil {
		b, err := s.conn.Read()
		if err != nil {
			return err
		}
		err = s.handle(b.Bytes())
		b.Free()
		if err != nil {
			return err
		}
	}
	return nil
}

// handle takes one message in.
func (s *session) handle(message []byte) error {
	t, body, err := wire.Split(message)
	if err != nil {
		return err
	}
	switch t {
	case wire.TypeAsk:
		questions, err := wire.DecodeAsk(body)
		if err != nil {
			return err
		}
		return s.ask(questions)
	case wire.TypeProve:
		return s.proveWanted(body)
	case wire.TypeWant:
		what, ids, err := wire.DecodeWant(body)
		if err != nil {
			return err
		}
		how := byContent
		if what == wire.WantDigest {
			how = byDigest
		}
		_, err = s.want(how, ids, job{})
		return err
	case wire.TypeSignature:
		return s.signatures(body)
	case wire.TypeProbe:
		return s.probe(body)
	case wire.TypeProgress:
		s.Counters.Peer.Add(1)
		return nil
	case wire.TypeProblem, wire.TypeDone, wire.TypeKnown:
		m, err := wire.Decode(t, body)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Problem:
			s.Problems.Add(report.FromPeer(m.Path, m.Operation, m.Cause, m.Vanished))
		case *wire.Done:
			return s.finish(m)
		case *wire.Known:
			if !s.asksWhatIsKnown() || s.told {
				return wire.Errorf("what is known was not asked")
			}
			s.told = true
			if !m.Contents {
				s.lookup.End()
			}
			s.theirs <- m.Contents
		}
		return nil
	}
	return wire.Errorf("message type %d from a receiver", t)
}

// described reports whether the description is complete, after which alone the
// receiver asks and wants.
func (s *session) described() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed
}

// question is what the receiver asks about a directory: what is in it, or for a
// proof of its content.
type question struct {
	wire.Question
	proves bool
}

func (s *session) ask(questions []wire.Question) error {
	asks := make([]question, len(questions))
	for i := range questions {
		asks[i].Question = questions[i]
	}
	return s.put(asks)
}

// put takes in questions to be answered.
func (s *session) put(asks []question) error {
	if s.streams() || !s.described() || s.wanting {
		return wire.Errorf("a question that is out of phase")
	}
	if s.asked(len(asks)) > wire.MaxAsks {
		return wire.Errorf("more than %d questions at once", wire.MaxAsks)
	}
	s.asks.Put(asks...)
	return nil
}

// asked notes that n more questions are open, fewer where n is negative, and
// returns how many are.
func (s *session) asked(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking += n
	return s.asking
}

// errAgain is about a receiver that learns nothing by what it asks.
var errAgain = wire.Errorf("the same questions again and again")

// directory returns the directory with a number that was given out.
func (s *session) directory(id uint64) (*tree.Dir, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index.Len() > s.maxIndex {
		return nil, errAgain
	}
	_, e := s.index.Entry(id)
	if e == nil || e.Dir == nil || e.Dir.Closed {
		return nil, wire.Errorf("question about entry %d, which is no described directory", id)
	}
	return e.Dir, nil
}

// number gives out the numbers of n entries of d, and returns the first.
func (s *session) number(d *tree.Dir, at, n int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.index.Len()
	s.index.Add(d, at, n)
	return first
}

// want takes in that files are wanted in some way; like has what else there is
// to know of all of them. It returns the jobs that this is.
func (s *session) want(how way, ids []uint64, like job) ([]job, error) {
	// What is being described must not change, as a file may that is sent.
	if s.streams() || !s.described() || s.asked(0) > 0 {
		return nil, wire.Errorf("a want that is out of phase")
	}
	s.wanting = true
	jobs, err := s.jobs(how, ids, like)
	if err == nil && s.desk.put(jobs) > wire.MaxWants {
		err = wire.Errorf("more than %d wants at once", wire.MaxWants)
	}
	return jobs, err
}

func (s *session) jobs(how way, ids []uint64, like job) ([]job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	content, digests, deltas := &s.wanted[0], &s.wanted[1], &s.wanted[2]
	asked := content
	switch how {
	case byDigest:
		asked = digests
	case byDelta, byOutline:
		asked = deltas
	}
	jobs := make([]job, len(ids))
	for i, id := range ids {
		dir, e := s.index.Entry(id)
		if e == nil || e.Type != tree.File {
			return nil, wire.Errorf("entry %d is wanted, which is no described file", id)
		}
		if !asked.Add(id) {
			return nil, wire.Errorf("entry %d is wanted twice", id)
		}
		jobs[i] = job{id, how, dir, e, e.Size, like.sig, like.scale}
		// Content may be wanted after a delta that led to nothing.
		if how != byDigest && !(how == byContent && deltas.Has(id)) {
			s.Counters.TotalFiles.Add(1)
			s.Counters.TotalBytes.Add(e.Size)
		}
	}
	return jobs, nil
}

func (s *session) finish(m *wire.Done) error {
	if !s.described() || s.desk.unanswered() > 0 || s.asked(0) > 0 {
		return wire.Errorf("done before everything was answered")
	}
	if m.Contents && !s.byContent {
		return wire.Errorf("done with a digest over contents that were not compared")
	}
	s.done = m
	return nil
}

// problem tells both sides that an entry failed; answers is the want that
// this answers, or 0.
func (s *session) problem(path, op string, err error, answers uint64) {
	p := report.Problem{Path: path, Operation: op, Cause: report.Cause(err), Vanished: vanished(err)}
	s.Problems.Add(p)
	m := &wire.Problem{Path: []byte(p.Path), Operation: op, Cause: fault.ForPeer(err, report.NotTold), Vanished: p.Vanished, Answers: answers}
	if err := s.conn.Write(wire.Encode(m)); err != nil {
		s.fail(fault.With(fault.Lost, wire.Fault(err)))
	}
}

// vanished reports whether err says that something is not any more what it was
// when it was scanned: nobody's fault, and no reason to keep what else goes.
func vanished(err error) bool {
	for _, gone := range []error{fs.ErrNotExist, supply.ErrChanged, dirfs.ErrReplaced, dirfs.ErrNotRegular, dirfs.ErrNotLink, syscall.ELOOP, syscall.ENOTDIR, syscall.ESTALE} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}
