package sender

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// outlined is a large file that the receiver asks about by Probe.
type outlined struct {
	job

	// Guarded by the session's mu. What is asked about a file that is over was
	// asked before the receiver knew.
	file    *supply.File // from when it is told of until it is over
	outline *delta.Outline
	over    bool  // it is answered, or about to be
	tasks   int   // that are not prepared
	sending int   // that are not sent
	err     error // why it is over, unless the receiver has ended it
	asked   int64 // bytes of fragments
}

// probe takes in a question about a large file.
func (s *session) probe(body []byte) error {
	p, err := wire.DecodeProbe(body)
	if err != nil {
		return err
	}
	if p.Kind == wire.ProbeOpen {
		return s.outlineWanted(p)
	}
	return s.onOutlined(p.ID, func(o *outlined) (func() (prepared, error), error) {
		if p.Kind == wire.ProbeClose {
			if o.tasks > 0 {
				return nil, wire.Errorf("entry %d is closed before it is answered", p.ID)
			}
			file := o.file
			return func() (prepared, error) { return s.endOutlined(o, file) }, nil
		}
		if p.Level > o.outline.Top() || p.Numbers[len(p.Numbers)-1] >= len(o.outline.Level(p.Level)) {
			return nil, wire.Errorf("no such group of entry %d", p.ID)
		}
		outline := o.outline
		return func() (prepared, error) { return s.groups(o, outline, p), nil }, nil
	})
}

// outlineWanted takes in that a large file is to be opened.
func (s *session) outlineWanted(p *wire.Probe) error {
	s.mu.Lock()
	s.outlining++
	over := s.outlining > wire.MaxOutlines
	s.mu.Unlock()
	if over {
		return wire.Errorf("more than %d large files open at once", wire.MaxOutlines)
	}
	jobs, err := s.want(byOutline, []uint64{p.ID}, job{scale: p.Scale})
	if err == nil {
		// Which may take hours, in which the workers have other files to send.
		s.start(func(ctx context.Context) error { return s.sendOutline(ctx, &jobs[0]) })
	}
	return err
}

// fragmentWanted takes in that a fragment of a large file is wanted.
func (s *session) fragmentWanted(one *wire.Signed) error {
	return s.onOutlined(one.ID, func(o *outlined) (func() (prepared, error), error) {
		if one.Off > o.file.Meta.Size-one.Length {
			return nil, wire.Errorf("a fragment beyond the end of entry %d", one.ID)
		}
		// What did not match is asked for once more.
		if o.asked += one.Length; o.asked > 2*o.file.Meta.Size+wire.MaxFragment {
			return nil, errAgain
		}
		wanted := *one
		wanted.Sums = bytes.Clone(one.Sums)
		file := o.file
		return func() (prepared, error) { return s.fragment(o.id, file, &wanted) }, nil
	})
}

// prepared is an answer that is ready to be sent.
type prepared func() error

// onOutlined has a worker prepare and send what f returns, for a file that is
// open.
func (s *session) onOutlined(id uint64, f func(*outlined) (func() (prepared, error), error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outlines[id]
	if o == nil || o.file == nil && !o.over {
		return wire.Errorf("a question about entry %d, which is not open", id)
	}
	if o.over {
		return nil
	}
	prepare, err := f(o)
	if err != nil {
		return err
	}
	if s.probing++; s.probing > wire.MaxProbes {
		return wire.Errorf("more than %d questions about large files at once", wire.MaxProbes)
	}
	o.tasks++
	o.sending++
	s.desk.add(func() error {
		send, err := prepare()
		s.prepared(o, err) // before the receiver can know
		if err == nil {
			if err := send(); err != nil {
				return err
			}
		}
		return s.sentOutlined(o)
	})
	return nil
}

// prepared notes that a task on o is done, or why it is not.
func (s *session) prepared(o *outlined, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probing--
	o.tasks--
	if err != nil && o.err == nil {
		o.err, o.over = err, true
	}
	s.closeLocked(o)
}

// closeLocked closes the file once nobody needs it any more.
func (s *session) closeLocked(o *outlined) {
	if o.over && o.tasks == 0 && o.file != nil {
		o.file.Close()
		o.file, o.outline = nil, nil
	}
}

// sentOutlined notes that an answer about o is sent. After the last one a file
// that has failed is answered: what was under way must not come after that.
func (s *session) sentOutlined(o *outlined) error {
	s.mu.Lock()
	o.sending--
	err := o.err
	last := o.sending == 0 && err != nil
	s.mu.Unlock()
	if !last {
		return nil
	}
	return s.outlineFailed(o, err)
}

// sendOutline opens a large file, and tells of its outline.
func (s *session) sendOutline(ctx context.Context, j *job) error {
	o := &outlined{job: *j}
	s.mu.Lock()
	s.outlines[j.id] = o
	s.mu.Unlock()
	began := time.Now()
	f, err := s.open(j)
	var outline *delta.Outline
	if err == nil {
		if outline, err = s.outline(ctx, j, f, began); err != nil {
			f.Close()
		}
	}
	switch {
	case ctx.Err() != nil:
		if err == nil {
			f.Close()
		}
		return context.Cause(ctx)
	case err != nil:
		s.mu.Lock()
		o.over = true
		s.mu.Unlock()
		return s.outlineFailed(o, err)
	}
	top := wire.Outline{ID: j.id, Kind: wire.OutlineTop, Meta: f.Meta, Level: outline.Top(), Groups: []delta.Members{{Nodes: outline.Level(outline.Top())}}}
	s.mu.Lock()
	o.file, o.outline = f, outline
	s.mu.Unlock()
	return s.tell(wire.EncodeOutline(&top))
}

// leastKept is the size in bytes of the smallest file whose outline is kept: a
// smaller one is read in the time that it takes to open the cache.
const leastKept = 8 << 20

// outline returns the outline of f, the file of a job, of which the reading began then.
// It is read only where that is not known, and told of meanwhile.
func (s *session) outline(ctx context.Context, j *job, f *supply.File, began time.Time) (*delta.Outline, error) {
	key, keeps := cache.KeyOf(f.Info())
	keeps = keeps && f.Meta.Size >= leastKept
	if keeps {
		if o, ok := s.Cache.FindOutline(key, j.scale); ok {
			return o, nil
		}
	}
	known := make(chan []delta.Node, 1)
	var telling sync.WaitGroup
	telling.Go(func() { s.tellEarly(j.id, known) })
	o, err := f.Outline(j.scale, func(n int, growing *delta.Growing) error {
		s.Counters.Compared.Add(int64(n))
		select { // only the newest is of interest
		case <-known:
		default:
		}
		known <- growing.Level(delta.EarlyLevel)
		return context.Cause(ctx)
	}, nil)
	close(known)
	telling.Wait()
	if err == nil && keeps {
		s.Cache.AddOutline(key, j.scale, o, began)
	}
	return o, err
}

// tellEarly tells of the nodes that became known of a file that is still read, so that the
// receiver need not wait for the end. The reading does not wait for a connection that is busy.
// Of one that is lost whoever tells of the top finds out.
func (s *session) tellEarly(id uint64, known <-chan []delta.Node) {
	told, lost := 0, false
	for nodes := range known {
		nodes = nodes[:min(len(nodes), delta.MaxEarly)]
		for told < len(nodes) && !lost {
			next := nodes[told:min(len(nodes), told+delta.MaxGroup)]
			early := wire.Outline{ID: id, Kind: wire.OutlineEarly, Level: delta.EarlyLevel, Groups: []delta.Members{{First: told, Nodes: next}}}
			lost = s.tell(wire.EncodeOutline(&early)) != nil
			told += len(next)
		}
	}
}

// outlineFailed answers for a file that can not be read, or sends it whole where
// it changes while it is read. Nothing else is said of it any more.
func (s *session) outlineFailed(o *outlined, err error) error {
	s.outlineOver()
	if !errors.Is(err, supply.ErrChanged) {
		s.failed(&o.job, err)
		return nil
	}
	if err := s.conn.Write(wire.EncodeEnd(wire.End{ID: o.id, Again: true})); err != nil {
		return err
	}
	return s.startLarge(o.job, 2)
}

// outlineOver notes that one file less is open, before the receiver can know.
func (s *session) outlineOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outlining--
}

func (s *session) groups(o *outlined, outline *delta.Outline, p *wire.Probe) prepared {
	answer := &wire.Outline{ID: o.id, Kind: wire.OutlineGroups, Level: p.Level - 1}
	for _, n := range p.Numbers {
		answer.Groups = append(answer.Groups, outline.Members(p.Level, n))
	}
	return func() error { return s.tell(wire.EncodeOutline(answer)) }
}

// fragment returns the delta of a fragment of a large file.
func (s *session) fragment(id uint64, f *supply.File, wanted *wire.Signed) (prepared, error) {
	began := time.Now()
	buf := wire.NewBuffer(wire.MaxMessage)
	defer buf.Free()
	content := buf.Extend(int(wanted.Length))
	if err := f.ReadAt(content, wanted.Off); err != nil {
		return nil, err
	}
	if err := f.Unchanged(); err != nil {
		return nil, err
	}
	s.Counters.Compared.Add(wanted.Length)
	m := wire.NewDeltas()
	if !m.Add(&wire.Delta{ID: id, Off: wanted.Off, Ops: s.encode(&wanted.Signature, content)}) {
		panic("sender: the delta of a fragment is too long")
	}
	return func() error { return s.send(m.Finish(), began) }, nil
}

// endOutlined ends a file that the receiver has got.
func (s *session) endOutlined(o *outlined, f *supply.File) (prepared, error) {
	if err := f.Unchanged(); err != nil {
		return nil, err
	}
	m := f.Meta
	s.mu.Lock()
	o.over = true
	s.mu.Unlock()
	return func() error {
		s.outlineOver()
		s.Counters.Bytes.Add(m.Size)
		s.sent(&o.job, m)
		s.desk.answered(1)
		return s.conn.Write(wire.EncodeEnd(wire.End{ID: o.id, Meta: m}))
	}, nil
}

// closeOutlines closes what a session that ended early has left open.
func (s *session) closeOutlines() {
	for _, o := range s.outlines {
		if o.file != nil {
			o.file.Close()
		}
	}
}
