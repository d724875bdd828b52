package receiver

import (
	"context"
	"errors"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// window is how many targets wait for an answer at most: enough to keep
	// the sender busy for a round trip, and a quarter of what it allows.
	window = wire.MaxWants / 4
	// wantBatch is how many ids gather before they are sent.
	wantBatch = 512
)

// transfer carries out the steps of the plan: wants go out while there is
// room in the window, answers and the writers' outcomes come in.
func (s *session) transfer(ctx context.Context) error {
	for {
		if err := s.feed(ctx); err != nil {
			return err
		}
		if s.waiting == 0 {
			return nil
		}
		if err := s.event(ctx); err != nil {
			return err
		}
	}
}

// event takes in one message, or what the writers have done.
func (s *session) event(ctx context.Context) error {
	select {
	case b, ok := <-s.incoming:
		if !ok {
			return context.Cause(ctx)
		}
		return s.handle(b)
	case <-s.results.ready:
		return s.outcomes(ctx)
	case <-ctx.Done():
		return s.last(ctx)
	}
}

// outcomes takes in what the workers have done.
func (s *session) outcomes(ctx context.Context) error {
	for _, o := range s.results.take() {
		if err := s.settle(o); err != nil {
			return err
		}
	}
	if err := s.flushSigned(); err != nil {
		return err
	}
	// What is taken from elsewhere must still be there.
	if s.apply.Full() && s.reusing == 0 {
		return s.apply.Install(ctx)
	}
	return nil
}

// feed begins steps while there is room in the window.
func (s *session) feed(ctx context.Context) error {
	var contents, digests []uint64
	send := func(least int) error {
		for _, w := range []struct {
			what wire.Wanted
			ids  *[]uint64
		}{{wire.WantContent, &contents}, {wire.WantDigest, &digests}} {
			if len(*w.ids) < max(1, least) {
				continue
			}
			if err := s.ask(w.what, *w.ids); err != nil {
				return err
			}
			*w.ids = (*w.ids)[:0]
		}
		return nil
	}
	for s.waiting < window {
		t, err := s.begin(ctx)
		if err != nil {
			return err
		}
		if t == nil {
			break
		}
		if t.what == wire.WantContent {
			contents = append(contents, t.id)
		} else {
			digests = append(digests, t.id)
		}
		if err := send(wantBatch); err != nil {
			return err
		}
	}
	return send(0)
}

func (s *session) ask(what wire.Wanted, ids []uint64) error {
	for _, b := range wire.EncodeWant(what, ids) {
		if err := s.conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// begin begins steps until one wants something of the sender, and returns
// what; nil when there are no more.
func (s *session) begin(ctx context.Context) (*target, error) {
	for n := len(s.refetch); n > 0 && s.waiting < window && s.sums < signed; n = len(s.refetch) {
		t := s.refetch[n-1]
		s.refetch = s.refetch[:n-1]
		if t.tried {
			return s.expect(t, wire.WantContent)
		}
		if t, err := s.get(t); t != nil || err != nil {
			return t, err
		}
	}
	if err := s.outline(); err != nil {
		return nil, err
	}
	for s.next < len(s.steps) && s.waiting < window && s.sums < signed {
		if ctx.Err() != nil { // there may be a million steps that want nothing
			return nil, context.Cause(ctx)
		}
		step := s.steps[s.next]
		if s.copying > 0 && turn(&step) == 1 {
			break
		}
		s.next++
		t, err := s.step(step)
		if t != nil || err != nil {
			return t, err
		}
	}
	return nil, nil
}

// errNoDelete is why something of another type does not make way.
var errNoDelete = fault.Errorf("something of another type is there, and nothing shall be removed")

// errNotSaved is why a file whose content turns out to be another does not make way.
var errNotSaved = fault.Errorf("what it holds is to be saved (--backup), and there is no --backup-dir")

// step begins one step and returns what it wants of the sender.
func (s *session) step(step tree.Step) (*target, error) {
	if s.Policy.NoDelete && step.Displaces() {
		s.problem(step.Path(), "replace", errNoDelete)
		s.apply.Skip(step)
		return nil, nil
	}
	switch step.Kind {
	case tree.Make:
		return nil, s.apply.Make(step)
	case tree.Point:
		return nil, s.apply.Point(step)
	case tree.Touch:
		err := s.apply.Touch(step)
		if errors.Is(err, apply.ErrUnopened) {
			step.Kind = tree.Fetch
			return s.fetch(step)
		}
		return nil, err
	case tree.Move:
		s.apply.Move(step)
	case tree.Reuse:
		s.takeFrom(step)
	case tree.Fetch:
		return s.fetch(step)
	case tree.Verify:
		t, err := s.fetchTarget(step)
		if err != nil {
			return nil, err
		}
		if s.verifiesByOutline(t) {
			return s.get(t)
		}
		s.tasks.Put(func() { s.results.put(s.hash(t)) })
		return s.expect(t, wire.WantDigest)
	}
	return nil, nil
}

func (s *session) fetch(step tree.Step) (*target, error) {
	if s.apply.Lost(&step) {
		return nil, nil
	}
	t, err := s.fetchTarget(step)
	if err != nil {
		return nil, err
	}
	return s.get(t)
}

func (s *session) fetchTarget(step tree.Step) (*target, error) {
	id, ok := s.index.ID(step.Dir, step.Index)
	if !ok && step.From == nil {
		return nil, wire.Errorf("%q has no number", step.Path())
	}
	return s.newTarget(id, step, s.apply.Builds(step.Dir)), nil
}

// slab is how many targets are allocated together: there is one for every file,
// and neighbours are done at about the same time.
const slab = 64

// newTarget returns a target that goes right to its place, where that is in a
// directory that is built, or into the stage. While streaming s.mu must be held.
func (s *session) newTarget(id uint64, step tree.Step, build bool) *target {
	if len(s.unused) == 0 {
		s.unused = make([]target, slab)
	}
	t := &s.unused[0]
	s.unused = s.unused[1:]
	t.id, t.what, t.step, t.dir, t.name, t.build = id, wire.WantContent, step, step.Dir, step.Entry().Name, build
	if !build {
		t.name = s.area.NextFor(step.Path())
	}
	return t
}

// expect makes t one of the targets.
func (s *session) expect(t *target, what wire.Wanted) (*target, error) {
	t.what = what
	s.mu.Lock()
	s.targets[t.id] = t
	s.mu.Unlock()
	s.waiting++
	return t, nil
}

// take returns the target with a number and takes it off the list, or nil.
func (s *session) take(id uint64) *target {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.targets[id]
	if t == nil && s.streaming {
		return s.streamedTarget(id)
	}
	delete(s.targets, id)
	return t
}

// settle takes in what became of a target.
func (s *session) settle(o outcome) error {
	if o.then != nil {
		return o.then()
	}
	if o.hash {
		return s.hashed(o)
	}
	if o.t == nil { // the message was broken
		return o.err
	}
	s.waiting--
	t := o.t
	s.released(t)
	t.unchange(s)
	switch {
	case o.err == nil:
		s.written(o)
	case errors.Is(o.err, wire.ErrProtocol):
		return o.err
	case apply.DiskFailed(o.err):
		s.problem(t.step.Path(), "write", o.err)
		return apply.Disk("write "+t.step.Path(), o.err)
	default:
		s.problem(t.step.Path(), "write", o.err)
	}
	return nil
}

func (s *session) written(o outcome) {
	step := o.t.step
	apply.Observe(step.Entry(), o.info)
	step.Dir.Changed()
	s.Counters.Files.Add(1)
	s.apply.Changes.Bytes += uint64(o.size)
	if o.t.build {
		s.apply.Placed(step)
	} else {
		s.apply.Staged(step, o.t.name)
	}
}

// compareSums takes in digests of the sender's files.
func (s *session) compareSums(body []byte) error {
	sums, err := wire.DecodeSums(body)
	if err != nil {
		return err
	}
	for i := range sums {
		m := &sums[i]
		t := s.take(m.ID)
		if t == nil || t.what != wire.WantDigest {
			return wire.Errorf("a digest of entry %d, which is not wanted", m.ID)
		}
		t.restate(&m.Meta)
		t.remote = &m.Digest
		if t.local != nil {
			if err := s.compared(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashed takes in the digest of a file of the destination.
func (s *session) hashed(o outcome) error {
	t := o.t
	if t.local = o.local; t.local == nil {
		t.local = new(digest.Digest) // unreadable: equal to nothing
	}
	if t.remote != nil {
		return s.compared(t)
	}
	return nil
}

// compared decides about a file whose content is known on both sides.
func (s *session) compared(t *target) error {
	s.waiting--
	if t.step.From != nil {
		t.step.From.Proved = *t.local == *t.remote && t.step.From.Entry().Size == t.step.Entry().Size
		return nil
	}
	if *t.local != *t.remote || t.step.Have.Size != t.step.Entry().Size {
		if s.unsaved() {
			s.problem(t.step.Path(), "replace", errNotSaved)
			return nil
		}
		t.step.Kind = tree.Fetch
		s.refetch = append(s.refetch, t)
		return nil
	}
	return s.equal(t)
}

// equal goes on with a file whose content is what it should be.
func (s *session) equal(t *target) error {
	s.result.Verified++
	have, want, c := t.step.Have, t.step.Entry(), s.area.Canon
	if have.Perm == want.Perm && c.Time(have.MTime()) == c.Time(want.MTime()) {
		return nil
	}
	t.step.Kind = tree.Touch
	err := s.apply.Touch(t.step)
	if errors.Is(err, apply.ErrUnopened) {
		t.step.Kind = tree.Fetch
		s.refetch = append(s.refetch, t)
		return nil
	}
	return err
}
