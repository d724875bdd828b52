package receiver

import (
	"cmp"
	"errors"
	"slices"
	"sync"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

const (
	// changes is how many large files are made of old ones at once.
	changes = 4
	// fragments is how many fragments of them are asked for at once.
	fragments = wire.MaxProbes / 8
	// around is how much more of the old content is signed on either side of
	// where a fragment must lie if all that was changed in a gap is at one place.
	around = 16 << 10
	// elsewhere is how many bytes that no run is of are signed as well, for
	// each fragment of a gap that is longer than what was in its place: it may
	// have moved.
	elsewhere = 2 << 20
)

// change is a large file that is made of the old one and of what differs. But
// for what is named otherwise it is owned by the session, and runs so: both
// sides outline their version; what the new one has that the old one lacks is
// found out by a survey; what the old one has is copied while the gaps are got in
// fragments; what came is verified by the digests of the outline.
type change struct {
	old    *delta.Outline
	top    *wire.Outline
	survey *delta.Survey
	asked  []int // groups that are not told of yet, after those that are
	told   []delta.Members

	gaps    []gap
	wanted  []*fragment // to be asked for
	waiting int         // tasks and fragments that are not done
	again   bool        // what did not match was got again
	failed  bool        // the old file is of no use: it is to be got whole

	// use is held by tasks while they work on the files, which end waits for.
	use   sync.RWMutex
	ended bool
	basis *supply.File

	mu    sync.Mutex
	parts map[int64]*fragment // that are asked for, by where they begin
}

// gap is a range of segments that the old content lacks.
type gap struct {
	off, length int64
	from, to    int64 // what lies between its neighbours in the old content
	segments    []delta.Node
}

// fragment is a range of the new content that is asked for.
type fragment struct {
	off, length int64
	signed      []span // of the old content, one after the other
	shape       delta.Shape
}

// span is a range of the old content.
type span struct{ off, length int64 }

// end lets go of the files. Who works on them is waited for.
func (c *change) end() {
	c.use.Lock()
	defer c.use.Unlock()
	c.ended = true
	if c.basis != nil {
		c.basis.Close()
		c.basis = nil
	}
}

// errEndedChange is why a task is not done: nobody waits for it.
var errEndedChange = errors.New("the file comes otherwise")

// with calls f unless c has ended, which waits for it.
func (c *change) with(f func() error) error {
	c.use.RLock()
	defer c.use.RUnlock()
	if c.ended {
		return errEndedChange
	}
	return f()
}

// outline begins with large files that wait.
func (s *session) outline() error {
	for len(s.later) > 0 && s.changing < changes {
		t := s.later[0]
		s.later = s.later[1:]
		s.changing++
		c := &change{parts: make(map[int64]*fragment)}
		t.change = c
		s.mu.Lock()
		s.targets[t.id] = t
		s.mu.Unlock()
		scale := delta.Scale(t.step.Entry().Size)
		if err := s.conn.Write(wire.EncodeProbe(&wire.Probe{ID: t.id, Kind: wire.ProbeOpen, Scale: scale})); err != nil {
			return err
		}
		s.task(t, func() (func() error, error) {
			old, err := s.outlineOf(c, t, scale)
			return func() error {
				c.old = old
				return s.meet(t)
			}, err
		})
	}
	return nil
}

// outlineOf opens and outlines what the destination has. What can not be read
// has nothing.
func (s *session) outlineOf(c *change, t *target, scale uint8) (*delta.Outline, error) {
	f, err := s.basis(t)
	if err != nil {
		return delta.NewOutline(nil), nil
	}
	c.basis = f
	o, err := f.Outline(scale, func(n int) error {
		s.Counters.Compared.Add(int64(n))
		select {
		case <-s.ended:
			return errEnded
		default:
			return nil
		}
	})
	if err != nil {
		return delta.NewOutline(nil), nil
	}
	return o, nil
}

// task has f done for a change, and after it what f returns by the session,
// unless the change has ended meanwhile. An error is one of t's file.
func (s *session) task(t *target, f func() (then func() error, err error)) {
	c := t.change
	c.waiting++
	s.tasks.Put(func() outcome {
		var then func() error
		err := c.with(func() (err error) {
			then, err = f()
			return err
		})
		return outcome{then: func() error { return s.taskDone(t, c, then, err) }}
	})
}

func (s *session) taskDone(t *target, c *change, then func() error, err error) error {
	if t.change != c {
		return nil
	}
	c.waiting--
	if err == nil {
		return then()
	}
	if apply.DiskFailed(err) {
		s.note(t, err)
	}
	s.Log.Debug("an old file is of no use, the new one is got whole", "entry", t.id, "cause", err.Error())
	c.failed = true
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
	if t == nil || t.change == nil || o.Top != (t.change.top == nil) {
		return wire.Errorf("an outline of entry %d, which is not asked for", o.ID)
	}
	c := t.change
	if o.Top {
		c.top = o
		return s.meet(t)
	}
	if level, _ := c.survey.Doubts(); len(c.asked) == 0 || o.Level != level-1 || len(o.Groups) > len(c.asked) {
		return wire.Errorf("an outline of entry %d that is not asked for", o.ID)
	}
	c.asked = c.asked[len(o.Groups):]
	c.told = append(c.told, o.Groups...)
	if len(c.asked) > 0 {
		return s.probe(t)
	}
	if !c.survey.Resolve(c.told) {
		return wire.Errorf("an outline of entry %d that contradicts itself", o.ID)
	}
	c.told = nil
	return s.doubt(t)
}

// meet begins to compare, once both outlines are there.
func (s *session) meet(t *target) error {
	c := t.change
	if c.old == nil || c.top == nil {
		return nil
	}
	c.survey = delta.NewSurvey(c.old, c.top.Level, c.top.Groups[0].Nodes)
	c.old = nil
	return s.doubt(t)
}

// doubt asks for what is not known yet of the new outline, or goes on.
func (s *session) doubt(t *target) error {
	c := t.change
	if _, c.asked = c.survey.Doubts(); len(c.asked) > 0 {
		return s.probe(t)
	}
	fragments := c.survey.Pieces()
	c.survey = nil
	return s.assemble(t, fragments)
}

func (s *session) probe(t *target) error {
	c := t.change
	level, _ := c.survey.Doubts()
	numbers := c.asked[:min(len(c.asked), wire.MaxGroups)]
	return s.conn.Write(wire.EncodeProbe(&wire.Probe{ID: t.id, Kind: wire.ProbeGroups, Level: level, Numbers: numbers}))
}

// assemble makes the new file: copies what the old one has, and asks for the
// rest.
func (s *session) assemble(t *target, known []delta.Piece) error {
	c := t.change
	copies := c.plan(known)
	idle := c.idle(copies)
	for i := range c.gaps {
		c.wanted = append(c.wanted, c.gaps[i].fragments(idle)...)
	}
	s.task(t, func() (func() error, error) {
		return func() error { return s.advance(t) }, s.copy(t, copies)
	})
	return s.advance(t)
}

// run is a range of the new content that is copied.
type run struct{ from, off, length int64 }

// plan joins segments to runs and gaps.
func (c *change) plan(known []delta.Piece) (copies []run) {
	at, old := int64(0), int64(0) // old: where the last run ends in the old content
	var open *gap
	for _, p := range known {
		switch {
		case p.From < 0:
			if open == nil {
				c.gaps = append(c.gaps, gap{off: at, from: old, to: -1})
				open = &c.gaps[len(c.gaps)-1]
			}
			open.length += p.Length
			open.segments = append(open.segments, p.Node)
		default:
			if open != nil {
				open.to, open = p.From, nil
			}
			if n := len(copies); n > 0 && copies[n-1].off+copies[n-1].length == at && copies[n-1].from+copies[n-1].length == p.From {
				copies[n-1].length += p.Length
			} else {
				copies = append(copies, run{p.From, at, p.Length})
			}
			old = p.From + p.Length
		}
		at += p.Length
	}
	if open != nil && c.basis != nil {
		open.to = c.basis.Meta.Size
	}
	return copies
}

// idle returns what of the old content no run is of, up to elsewhere bytes.
func (c *change) idle(copies []run) (spans []span) {
	if c.basis == nil {
		return nil
	}
	used := slices.Clone(copies)
	slices.SortFunc(used, func(a, b run) int { return cmp.Compare(a.from, b.from) })
	used = append(used, run{from: c.basis.Meta.Size})
	at, left := int64(0), int64(elsewhere)
	for _, r := range used {
		if n := min(r.from-at, left); n > 0 {
			spans = append(spans, span{at, n})
			left -= n
		}
		at = max(at, r.from+r.length)
	}
	return spans
}

// fragments cuts a gap into fragments, each with what it may have in common
// with the old content: what lies as far from the beginning of what was in
// place of the gap, or from its end, and what is idle.
func (g *gap) fragments(idle []span) (fragments []*fragment) {
	n := (g.length + wire.MaxFragment - 1) / wire.MaxFragment
	each := (g.length + n - 1) / n
	old := g.to - g.from
	for off := int64(0); off < g.length; off += each {
		p := &fragment{off: g.off + off, length: min(each, g.length-off)}
		if old > 0 {
			p.signed = join(g.span(off, p.length), g.span(off+old-g.length, p.length))
		}
		if old < g.length/2 {
			for _, s := range idle {
				if s.off >= g.to || s.off+s.length <= g.from {
					p.signed = append(p.signed, s)
				}
			}
		}
		fragments = append(fragments, p)
	}
	return fragments
}

// span returns the range of the old content around an offset in the gap.
func (g *gap) span(off, length int64) span {
	from := max(g.from, g.from+off-around)
	return span{from, min(g.to, g.from+off+length+around) - from}
}

// join returns two ranges, as one where they meet.
func join(a, b span) (spans []span) {
	if a.off > b.off {
		a, b = b, a
	}
	if a.length > 0 && b.length > 0 && b.off <= a.off+a.length {
		a.length = max(a.length, b.off+b.length-a.off)
		b.length = 0
	}
	for _, s := range []span{a, b} {
		if s.length > 0 {
			spans = append(spans, s)
		}
	}
	return spans
}

// file returns the file that is made, or nil if t has failed.
func (s *session) file(t *target) (*stage.Large, error) {
	l, err := t.open(s)
	if l != nil {
		t.leave()
	}
	return l, err
}

// copyMost is how much is copied before somebody may stop that.
const copyMost = 64 << 20

func (s *session) copy(t *target, copies []run) error {
	l, err := s.file(t)
	if l == nil || err != nil {
		return err
	}
	for _, r := range copies {
		for r.length > 0 {
			select {
			case <-s.ended:
				return errEnded
			default:
			}
			n := min(r.length, copyMost)
			if err := l.File().CopyFrom(t.change.basis.Handle(), r.from, r.off, n); err != nil {
				return err
			}
			s.Counters.Bytes.Add(n)
			r.from, r.off, r.length = r.from+n, r.off+n, r.length-n
		}
	}
	return nil
}

// advance asks for fragments, and goes on when everything is there.
func (s *session) advance(t *target) error {
	c := t.change
	for len(c.wanted) > 0 && c.waiting < fragments/changes && !c.failed {
		p := c.wanted[0]
		c.wanted = c.wanted[1:]
		s.task(t, func() (func() error, error) {
			sig, err := s.signFragment(t, p)
			return func() error {
				c.waiting++ // until it is there
				return s.askSigned(&wire.Signed{ID: t.id, Off: p.off, Length: p.length, Signature: sig})
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
		bad, err := s.check(t)
		return func() error { return s.checked(t, bad) }, err
	})
	return nil
}

// signFragment signs what a fragment may have in common with the old content.
func (s *session) signFragment(t *target, p *fragment) (sig delta.Signature, err error) {
	c := t.change
	n := int64(0)
	for _, span := range p.signed {
		n += span.length
	}
	if n > 0 {
		old := make([]byte, n)
		at := int64(0)
		for _, span := range p.signed {
			if err := c.basis.ReadAt(old[at:at+span.length], span.off); err != nil {
				return sig, err
			}
			at += span.length
		}
		sig = delta.Sign(old, delta.BlockFor(int(n)), s.key, int(p.length))
	}
	p.shape = sig.Shape()
	c.mu.Lock()
	c.parts[p.off] = p
	c.mu.Unlock()
	return sig, nil
}

// writeFragment makes a fragment of a large file.
func (s *session) writeFragment(d *wire.Delta) error {
	t, err := s.wants(d.ID, false)
	if err != nil {
		return err
	}
	c := t.change
	if c == nil {
		if t.tried {
			return nil // it was on its way when the file began to come otherwise
		}
		return wire.Errorf("a fragment of entry %d, which is not asked for", d.ID)
	}
	c.mu.Lock()
	p := c.parts[d.Off]
	delete(c.parts, d.Off)
	c.mu.Unlock()
	if p == nil {
		return wire.Errorf("a fragment of entry %d that is not asked for", d.ID)
	}
	err = c.with(func() error { return s.patch(t, p, d.Ops) })
	if errors.Is(err, delta.ErrMalformed) {
		return wire.Errorf("a malformed delta of entry %d", d.ID)
	}
	if err == nil {
		s.Counters.Bytes.Add(p.length)
	}
	s.results.put(outcome{then: func() error {
		return s.taskDone(t, c, func() error { return s.advance(t) }, err)
	}})
	return nil
}

func (s *session) patch(t *target, p *fragment, ops []byte) error {
	l, err := s.file(t)
	if l == nil || err != nil {
		return err
	}
	buf := wire.NewBuffer(wire.MaxMessage)
	defer buf.Free()
	err = delta.Patch(ops, p.shape, int(p.length),
		func(b []byte) error {
			buf.Append(b...)
			return nil
		},
		func(off, n int) error { return t.change.readOld(buf, p, int64(off), int64(n)) })
	if err != nil {
		return err
	}
	_, err = l.File().WriteAt(buf.Bytes(), p.off)
	return err
}

// readOld adds a range of what was signed for p.
func (c *change) readOld(buf *wire.Buffer, p *fragment, off, n int64) error {
	for _, span := range p.signed {
		if off >= span.length {
			off -= span.length
			continue
		}
		m := min(n, span.length-off)
		if err := c.basis.ReadAt(buf.Extend(int(m)), span.off+off); err != nil {
			return err
		}
		off, n = 0, n-m
		if n == 0 {
			break
		}
	}
	return nil
}

// check verifies what came by the digests of its segments, and that what was
// copied was what it was taken for: the old file has not changed since it was
// outlined. It returns what does not match.
func (s *session) check(t *target) (bad []gap, err error) {
	c := t.change
	l, err := s.file(t)
	if l == nil || err != nil {
		return nil, err
	}
	if c.basis != nil {
		if err := c.basis.Unchanged(); err != nil {
			return nil, err
		}
	}
	buf := make([]byte, digest.ChunkSize)
	for _, g := range c.gaps {
		off := g.off
		for _, n := range g.segments {
			sum, err := sumRange(l.File(), off, n.Length, buf)
			if err != nil {
				return nil, err
			}
			if sum != n.Digest {
				bad = append(bad, gap{off: off, length: n.Length, segments: []delta.Node{n}})
			}
			off += n.Length
		}
	}
	return bad, nil
}

// sumRange returns the content digest of a range of a file.
func sumRange(f dirfs.File, off, length int64, buf []byte) (digest.Digest, error) {
	h := digest.NewHasher()
	for length > 0 {
		b := buf[:min(int64(len(buf)), length)]
		if _, err := f.ReadAt(b, off); err != nil {
			return digest.Digest{}, err
		}
		d := digest.Sum(b)
		h.Write(d[:])
		off, length = off+int64(len(b)), length-int64(len(b))
	}
	return h.Sum(), nil
}

// checked gets what does not match once more, without a signature, or has the
// file closed by the sender, which says that it is whole.
func (s *session) checked(t *target, bad []gap) error {
	c := t.change
	if len(bad) == 0 {
		return s.closeChange(t)
	}
	if c.again {
		s.problem(t.step.Path(), "write", errMismatch)
		return fault.New(fault.Protocol, "%s: %w, also when it came once more", t.step.Path(), errMismatch)
	}
	s.Log.Debug("segments do not match and are got again", "entry", t.id, "segments", len(bad))
	c.again = true
	c.gaps = bad
	for i := range bad {
		c.wanted = append(c.wanted, bad[i].fragments(nil)...)
	}
	return s.advance(t)
}

func (s *session) closeChange(t *target) error {
	return s.conn.Write(wire.EncodeProbe(&wire.Probe{ID: t.id, Kind: wire.ProbeClose}))
}

// rebuilt gives the file that was made its metadata. Nobody works on it.
func (t *target) rebuilt(s *session) outcome {
	c := t.change
	c.end()
	o := outcome{t: t, size: t.ended.Size}
	switch e := t.ended; {
	case e.Parts != 0 || c.top == nil || e.Meta != c.top.Meta || len(c.parts) > 0:
		t.large.Discard()
		o.err = wire.Errorf("entry %d ends with what it did not begin with", t.id)
	case c.failed:
		t.large.Discard()
		t.ended, t.settled = nil, false
		o.then = func() error {
			s.again(t)
			return nil
		}
	default:
		o.info, o.err = t.large.Rebuilt(e.Meta)
	}
	return o
}

// unchange lets go of the old file of t, if it has one.
func (t *target) unchange(s *session) {
	if t.change == nil {
		return
	}
	t.change.end()
	t.change = nil
	s.changing--
}
