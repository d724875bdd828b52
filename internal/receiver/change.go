package receiver

import (
	"sync"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// changes is how many large files are made of old ones at once.
	changes = 3
	// inFlight is how many tasks and fragments of each of them are not done.
	inFlight = wire.MaxProbes / 8 / changes
)

// change is a large file that is made of the old one and of what differs. But
// for what is named otherwise it is owned by the session, and runs so: both
// sides outline their version, and as the sender's becomes known, what is
// read of the old one is written to the new one meanwhile; what the new one has
// that the old one lacks is found out by a survey; what the old one has, and is not
// written, is copied while the gaps are got in fragments; what came is verified by
// the digests of the outline; then the sender is told, and answers with an End. Where
// it turns out that nothing differs, that is at once, and the old file stays.
type change struct {
	scale  uint8
	old    *delta.Outline // until the survey begins
	top    *wire.Outline
	survey *delta.Survey // until it is complete
	level  int           // of the groups that are asked for
	asked  []int         // groups that are not told of yet
	told   []delta.Members
	nodes  int // in them

	ahead   ahead
	plan    *delta.Plan
	gaps    []delta.Gap      // to be verified
	rest    *delta.Fragments // of gaps, not asked for yet
	waiting int              // tasks and fragments that are not done
	again   bool             // what did not match was got again
	failed  bool             // the old file is of no use: the new one is to be got whole
	same    bool             // the old file has the new content

	file    *stage.Large // set before what uses it begins
	closing atomic.Bool  // the sender was told that all is there
	stop    atomic.Bool  // nobody waits for tasks any more
	giveUp  atomic.Bool  // failed, for tasks

	// use is held by those who work on the files, for whom end waits.
	use   sync.RWMutex
	ended bool
	basis basis

	mu    sync.Mutex
	parts map[int64]*fragment // that are asked for, by where they begin
}

// fragment is one that is asked for, with a signature of that shape.
type fragment struct {
	delta.Fragment
	shape delta.Shape
}

// end lets go of the old file. Who works on it stops soon, and is waited for.
func (c *change) end() {
	c.stop.Store(true)
	c.use.Lock()
	defer c.use.Unlock()
	c.ended = true
	c.basis.close()
}

// errUnwanted is why a task is not done: nobody waits for it.
var errUnwanted = fault.Errorf("the file comes otherwise")

// with calls f unless c has ended, which waits for it.
func (c *change) with(f func() error) error {
	c.use.RLock()
	defer c.use.RUnlock()
	if c.ended {
		return errUnwanted
	}
	return f()
}

// going returns an error once nobody waits for what a task does.
func (s *session) going(c *change) error {
	select {
	case <-s.ended:
		return errEnded
	default:
	}
	if c.stop.Load() || c.giveUp.Load() {
		return errUnwanted
	}
	return nil
}

// changeNow returns the change that t is, or nil. It is for writers.
func (t *target) changeNow() *change {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.change
}

// unchangeLocked lets go of the old file of t, if it has one. Tasks do not wait
// for t.mu, which must be held.
func (t *target) unchangeLocked(s *session) {
	if t.change == nil {
		return
	}
	t.change.end()
	t.change = nil
	s.changing--
}

func (t *target) unchange(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unchangeLocked(s)
}

// outline begins with large files that wait.
func (s *session) outline() error {
	for len(s.later) > 0 && s.changing < changes {
		t := s.later[0]
		s.later = s.later[1:]
		s.changing++
		candidates := s.candidates(t)
		size := t.step.Entry().Size
		for _, one := range candidates {
			size = max(size, one.size)
		}
		c := &change{
			scale: delta.Scale(size),
			parts: make(map[int64]*fragment),
			ahead: ahead{doubts: t.step.Kind == tree.Verify, even: len(candidates) > 0 && candidates[0].size == t.step.Entry().Size},
		}
		t.step.Kind = tree.Fetch
		t.mu.Lock()
		t.change = c
		t.mu.Unlock()
		s.mu.Lock()
		s.targets[t.id] = t
		s.mu.Unlock()
		if err := s.conn.Write(wire.EncodeProbe(&wire.Probe{ID: t.id, Kind: wire.ProbeOpen, Scale: c.scale})); err != nil {
			return err
		}
		// Which may take hours, in which tasks for other files must go on.
		s.start(s.prepare(t, func() (func() error, error) {
			old, err := s.outlineOf(t, c, candidates)
			return func() error {
				c.old = old
				return s.meet(t)
			}, err
		}))
	}
	return nil
}

// task has f done for a change, and after it what f returns by the session,
// unless the change has ended meanwhile. An error says that the old file is of
// no use, or that of the disk.
func (s *session) task(t *target, f func() (then func() error, err error)) {
	s.tasks.Put(s.prepare(t, f))
}

// prepare returns what does so.
func (s *session) prepare(t *target, f func() (then func() error, err error)) func() {
	c := t.change
	c.waiting++
	return func() {
		var then func() error
		err := c.with(func() (err error) {
			then, err = f()
			return err
		})
		s.results.put(outcome{then: func() error { return s.taskDone(t, c, then, err) }})
	}
}

func (s *session) taskDone(t *target, c *change, then func() error, err error) error {
	if t.change != c {
		return nil
	}
	c.waiting--
	switch {
	case err == nil && !c.failed:
		return then()
	case err == nil:
		return s.advance(t)
	case apply.DiskFailed(err):
		s.note(t, err)
	}
	s.Log.Debug("an old file is of no use, the new one is got whole", "entry", t.id, "cause", err)
	c.failed = true
	c.giveUp.Store(true)
	return s.advance(t)
}

// outlined takes in what the sender tells of an outline.
func (s *session) outlined(body []byte) error {
	o, err := wire.DecodeOutline(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t := s.targets[o.ID]
	s.mu.Unlock()
	if t == nil || t.change == nil {
		return wire.Errorf("an outline of entry %d, which is not asked for", o.ID)
	}
	c := t.change
	switch {
	case o.Kind == wire.OutlineEarly:
		return s.outlinedEarly(t, o)
	case o.Kind == wire.OutlineTop && c.top == nil:
		c.top = o
		if c.failed {
			return s.closeChange(t)
		}
		if s.writesAhead(c) {
			c.ahead.tellTop(o)
			if !c.ahead.doubts {
				s.openAhead(t, c)
			}
		}
		return s.meet(t)
	case o.Kind == wire.OutlineTop || len(c.asked) == 0 || o.Level != c.level-1 || len(o.Groups) > len(c.asked):
		return wire.Errorf("an outline of entry %d that is not asked for", o.ID)
	}
	for i := range o.Groups {
		c.nodes += len(o.Groups[i].Nodes)
	}
	if c.nodes > c.survey.Most() {
		return s.doubt(t, false)
	}
	c.asked = c.asked[len(o.Groups):]
	c.told = append(c.told, o.Groups...)
	if len(c.asked) > 0 {
		return s.probe(t)
	}
	told := c.told
	c.told, c.nodes = nil, 0
	return s.doubt(t, c.survey.Resolve(told))
}

// meet begins to compare, once both outlines are there.
func (s *session) meet(t *target) error {
	c := t.change
	if c.old == nil || c.top == nil {
		return nil
	}
	var ok bool
	c.survey, ok = delta.NewSurvey(c.old, c.scale, c.top.Size, c.top.Level, c.top.Groups[0].Nodes)
	c.old = nil
	return s.doubt(t, ok)
}

// doubt asks for what is not known yet of the new outline, or goes on, if what
// was told can be true.
func (s *session) doubt(t *target, ok bool) error {
	c := t.change
	if !ok {
		return wire.Errorf("an outline of entry %d that contradicts itself", t.id)
	}
	if c.level, c.asked = c.survey.Doubts(); len(c.asked) > 0 {
		return s.probe(t)
	}
	c.plan = delta.NewPlan(c.survey.Pieces(), c.basis.size) // which no task changes any more
	c.survey = nil
	if c.same = c.ahead.doubts && c.plan.Same(c.basis.size); c.same {
		return s.closeChange(t)
	}
	return s.assemble(t)
}

func (s *session) probe(t *target) error {
	c := t.change
	numbers := c.asked[:min(len(c.asked), wire.MaxGroups)]
	return s.conn.Write(wire.EncodeProbe(&wire.Probe{ID: t.id, Kind: wire.ProbeGroups, Level: c.level, Numbers: numbers}))
}

// assemble begins to make the new file: copies what the old one has, and asks
// for the rest.
func (s *session) assemble(t *target) (err error) {
	c := t.change
	if c.file == nil {
		if c.file, err = t.open(s); c.file == nil {
			s.note(t, err) // t has failed, which is told at its end
			return s.closeChange(t)
		}
		t.leave()
	}
	c.gaps, c.rest = c.plan.Gaps, c.plan.Fragments()
	s.task(t, func() (func() error, error) {
		return func() error { return s.advance(t) }, s.copy(c)
	})
	return s.advance(t)
}

// advance asks for fragments, and goes on when everything is there.
func (s *session) advance(t *target) error {
	c := t.change
	for c.waiting < inFlight && !c.failed {
		next, ok := c.rest.Next()
		if !ok {
			break
		}
		f := &fragment{Fragment: next}
		s.task(t, func() (func() error, error) {
			sig, err := s.signFragment(c, f)
			return func() error {
				c.waiting++ // until it is there
				return s.askSigned(&wire.Signed{ID: t.id, Off: f.Off, Length: f.Length, Signature: sig})
			}, err
		})
	}
	switch {
	case c.waiting > 0:
		return nil
	case c.failed:
		return s.closeChange(t)
	}
	s.task(t, func() (func() error, error) {
		bad, err := s.verify(c)
		return func() error { return s.verified(t, bad) }, err
	})
	return nil
}

// verified gets what does not match once more, without a signature. Where that
// does not help either, something has changed on one of the two sides, and the
// file is got whole.
func (s *session) verified(t *target, bad []delta.Gap) error {
	c := t.change
	if len(bad) == 0 {
		return s.closeChange(t)
	}
	s.Log.Debug("segments do not match", "entry", t.id, "segments", len(bad), "again", c.again)
	c.failed = c.again
	c.again = true
	c.gaps, c.rest = bad, delta.FragmentsOf(bad)
	return s.advance(t)
}

// closeChange has the sender end the file, once that is open there. No task of it is
// left.
func (s *session) closeChange(t *target) error {
	if t.change.top == nil {
		return nil
	}
	t.change.closing.Store(true)
	return s.conn.Write(wire.EncodeProbe(&wire.Probe{ID: t.id, Kind: wire.ProbeClose}))
}

// remadeLocked gives the file that was made its metadata, once the sender has
// ended it. t.mu must be held.
func (t *target) remadeLocked(s *session) outcome {
	c := t.change
	if c.same && c.basis.unchanged() != nil { // RACE: between this and the touch it may change
		c.same, c.failed = false, true
	}
	c.end()
	o := outcome{t: t, size: t.ended.Size}
	switch e := t.ended; {
	case e.Parts != 0 || e.Meta != c.top.Meta:
		t.discardLocked()
		o.err = wire.Errorf("entry %d ends with what it did not begin with", t.id)
	case c.failed:
		t.discardLocked()
		t.ended, t.settled = nil, false
		o.then = func() error {
			s.getWhole(t)
			return nil
		}
	case c.same:
		t.discardLocked()
		t.ended, t.settled = nil, false // it may be wanted whole yet
		o.then = func() error {
			s.waiting--
			t.unchange(s)
			t.restate(&c.top.Meta)
			return s.equal(t)
		}
	default:
		o.info, o.err = t.large.Remade(e.Meta)
	}
	return o
}
