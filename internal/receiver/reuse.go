package receiver

import (
	"context"
	"slices"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// leastReuse is the size below which a file is not looked for elsewhere: asking
// for its digest takes as many bytes as its content.
const leastReuse = 128

// stays reports whether nothing moves out of its place: what a source that is
// known in part lacks may be there all the same.
func (s *session) stays() bool { return s.Policy.NoDelete || s.seal.Incomplete }

// reuse compares the content of what the plan has found elsewhere with the
// source's, before anything is changed, and lets the plan take what is the same.
func (s *session) reuse(ctx context.Context) error {
	s.steps, s.next = nil, 0
	for i := range s.plan.Steps {
		if step := &s.plan.Steps[i]; waitsForProof(step) && !(s.Policy.NoDelete && step.Displaces()) {
			verify := *step
			verify.Kind = tree.Verify
			s.steps = append(s.steps, verify)
		}
	}
	if err := s.transfer(ctx); err != nil {
		return err
	}
	s.plan.Steps = slices.DeleteFunc(s.plan.Steps, s.failed)
	found := false
	for i := range s.plan.Steps {
		step := &s.plan.Steps[i]
		found = s.decide(step) || found
	}
	if found { // what is elsewhere is taken before anything may replace it
		s.trade()
		slices.SortStableFunc(s.plan.Steps, func(a, b tree.Step) int { return turn(&a) - turn(&b) })
	}
	return nil
}

// waitsForProof reports whether a step has a file elsewhere that is not compared.
func waitsForProof(step *tree.Step) bool {
	return step.From != nil && !step.From.Proved && (step.Kind == tree.Fetch || step.Kind == tree.Verify)
}

// failed reports whether a step is over: the sender could not read the file.
func (s *session) failed(step tree.Step) bool { return step.From != nil && step.From.Failed }

// decide makes of a step one that takes what is elsewhere, if that is proved to be
// the same.
func (s *session) decide(step *tree.Step) bool {
	switch {
	case step.From == nil || step.Kind != tree.Fetch && step.Kind != tree.Verify:
	case step.From.Proved:
		step.Kind = tree.Reuse
		if step.From.Moves {
			step.From.Entry().Flags |= tree.Moved
		}
	default:
		if step.From.Staged {
			s.partly(step, step.From)
		}
		step.Kind, step.From = tree.Fetch, nil
	}
	return step.Kind == tree.Reuse
}

// trade lets files move that make way for others which are here as well: in a swap,
// or in what a rotation of logs leaves of its names.
func (s *session) trade() {
	replaced := make(map[*tree.Entry]bool)
	for i := range s.plan.Steps {
		if step := &s.plan.Steps[i]; step.Kind == tree.Reuse && step.Have != nil && step.Have.Type == tree.File {
			replaced[step.Have] = true
		}
	}
	for i := range s.plan.Steps {
		step := &s.plan.Steps[i]
		if step.Kind == tree.Reuse && replaced[step.From.Entry()] && !s.stays() {
			step.From.Moves = true
			delete(replaced, step.From.Entry()) // others copy it
		}
	}
}

// turn returns when it is a step's turn: after what is copied comes what changes
// a file that may be copied, if only its time of change, and last what may wait
// for content.
func turn(step *tree.Step) int {
	switch {
	case step.Kind == tree.Fetch || step.Kind == tree.Verify:
		return 2
	case moves(step) || step.Kind == tree.Touch && step.Entry().Type == tree.File:
		return 1
	}
	return 0
}

// moves reports whether a step takes a file that moves.
func moves(step *tree.Step) bool { return step.Kind == tree.Reuse && step.From.Moves }

// compares opens the file of the destination that t is compared with.
func (s *session) compares(t *target) (*supply.File, error) {
	from := t.step.From
	if from == nil {
		return s.basis(t)
	}
	f, err := s.openIn(from.Dir, from.Entry().Name)
	if err != nil {
		return nil, err
	}
	info := f.Info()
	if e := from.Entry(); info.Size != e.Size || info.MTime != e.MTime() {
		f.Close()
		return nil, dirfs.ErrReplaced
	}
	from.Ino, from.CTime = info.Ino, info.CTime
	return f, nil
}

// takeFrom begins to take the content for a step from elsewhere.
func (s *session) takeFrom(step tree.Step) {
	if s.apply.Lost(&step) {
		return
	}
	t, err := s.fetchTarget(step)
	if err != nil {
		panic("receiver: " + err.Error())
	}
	s.waiting++
	s.reusing++
	if !moves(&step) {
		s.copying++
	}
	s.tasks.Put(func() {
		info, err := s.taken(t)
		s.results.put(outcome{then: func() error { return s.tookFrom(t, info, err) }})
	})
}

// taken makes the file of t of one that is elsewhere.
func (s *session) taken(t *target) (info dirfs.Info, err error) {
	e, from := t.step.Entry(), t.step.From
	left := e.Size // that is not counted yet
	copied := func(n int64) error {
		left -= n
		s.Counters.Bytes.Add(n)
		select {
		case <-s.ended:
			return errEnded
		default:
			return nil
		}
	}
	err = t.dirHandle(s, func(to dirfs.Dir) error {
		h, err := s.handles.Acquire(from.Dir)
		if err != nil {
			return err
		}
		defer s.handles.Release(from.Dir)
		info, err = s.area.Take(h, from, to, t.name, meta(e), copied)
		return err
	})
	if err == nil {
		s.Counters.Bytes.Add(left) // what has got a further name
	}
	return info, err
}

// meta returns what is to become of a file.
func meta(e *tree.Entry) wire.Meta {
	return wire.Meta{Perm: e.Perm, MTime: e.MTime(), Size: e.Size}
}

// tookFrom notes what came of a target whose content was elsewhere. What could not
// be taken, since somebody has changed it, is got from the sender, if it can be
// named; what is in a directory that was found as a whole can not.
func (s *session) tookFrom(t *target, info dirfs.Info, err error) error {
	s.reusing--
	if !moves(&t.step) {
		s.copying--
	}
	if err == nil {
		return s.settle(outcome{t: t, info: info})
	}
	if t.step.From.Moves {
		t.step.From.Entry().Flags &^= tree.Moved
	}
	if t.id == 0 || apply.DiskFailed(err) {
		return s.settle(outcome{t: t, err: err})
	}
	s.Log.Debug("what was elsewhere is not any more, the file is got", "entry", t.id, "cause", err)
	s.waiting--
	t.step.Kind, t.step.From = tree.Fetch, nil
	s.refetch = append(s.refetch, t)
	return nil
}
