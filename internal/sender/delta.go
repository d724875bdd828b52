package sender

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// outlined is a large file that the receiver asks about by Probe.
type outlined struct {
	job
	file    *supply.File
	outline *delta.Outline

	// Guarded by the session's mu. What comes for a file that is over was sent
	// before the receiver knew.
	ready  bool // file and outline are there, and were told of
	over   bool // it is answered: ended, failed, or sent otherwise
	closed bool // file is
	tasks  int  // that work on it
}

// signatures takes in what the receiver has of some files.
func (s *session) signatures(body []byte) error {
	signed, err := wire.DecodeSignatures(body)
	if err != nil {
		return err
	}
	for i := range signed {
		one := &signed[i]
		if !one.Whole {
			err = s.fragmentWanted(one)
		} else {
			err = s.deltaWanted(one)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deltaWanted takes in that the delta of a small file is wanted.
func (s *session) deltaWanted(one *wire.Signed) error {
	s.mu.Lock()
	s.sums += len(one.Sums)
	over := s.sums > wire.MaxSigned
	s.mu.Unlock()
	if over {
		return wire.Errorf("more than %d bytes of signatures at once", wire.MaxSigned)
	}
	one.Sums = bytes.Clone(one.Sums) // the message goes
	return s.want(wire.WantContent, []uint64{one.ID}, &one.Signature)
}

// probe takes in a question about a large file.
func (s *session) probe(body []byte) error {
	p, err := wire.DecodeProbe(body)
	if err != nil {
		return err
	}
	if p.Kind == wire.ProbeOpen {
		return s.want(wantOutline, []uint64{p.ID}, &delta.Signature{Block: int(p.Scale)})
	}
	return s.onOutlined(p.ID, func(o *outlined) (func() (prepared, error), error) {
		if p.Kind == wire.ProbeClose {
			if o.tasks > 0 {
				return nil, wire.Errorf("entry %d is closed before it is answered", p.ID)
			}
			return func() (prepared, error) { return s.endOutlined(o) }, nil
		}
		if p.Level > o.outline.Top() || p.Numbers[len(p.Numbers)-1] >= len(o.outline.Level(p.Level)) {
			return nil, wire.Errorf("no such group of entry %d", p.ID)
		}
		return func() (prepared, error) { return s.groups(o, p), nil }, nil
	})
}

// fragmentWanted takes in that a piece of a large file is wanted.
func (s *session) fragmentWanted(one *wire.Signed) error {
	return s.onOutlined(one.ID, func(o *outlined) (func() (prepared, error), error) {
		if one.Off > o.file.Meta.Size-one.Length {
			return nil, wire.Errorf("a fragment beyond the end of entry %d", one.ID)
		}
		wanted := *one
		wanted.Sums = bytes.Clone(one.Sums)
		return func() (prepared, error) { return s.fragment(o, &wanted) }, nil
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
	if o == nil || !o.ready && !o.over {
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
	s.desk.add(func() error {
		send, err := prepare()
		s.prepared(o) // before the receiver can know
		if err != nil {
			return s.outlineFailed(o, err)
		}
		return send()
	})
	return nil
}

// prepared notes that a task on o is done.
func (s *session) prepared(o *outlined) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probing--
	o.tasks--
	o.closeLocked()
}

// closeLocked closes the file once nobody needs it any more.
func (o *outlined) closeLocked() {
	if o.over && o.tasks == 0 && o.ready && !o.closed {
		o.closed = true
		o.file.Close()
	}
}

// sendOutline opens a large file, and tells of its outline.
func (s *session) sendOutline(ctx context.Context, j *job) error {
	o := &outlined{job: *j}
	s.mu.Lock()
	s.outlines[j.id] = o
	s.mu.Unlock()
	f, err := s.open(j)
	if err == nil {
		o.file = f
		o.outline, err = f.Outline(uint8(j.sig.Block), func(int) error { return context.Cause(ctx) })
		if err != nil {
			defer f.Close()
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return s.outlineFailed(o, err)
	}
	s.mu.Lock()
	o.ready = true
	s.mu.Unlock()
	top := o.outline.Top()
	return s.tell(wire.EncodeOutline(&wire.Outline{
		ID: j.id, Top: true, Meta: f.Meta, Level: top,
		Groups: []delta.Members{{Nodes: o.outline.Level(top)}},
	}))
}

// outlineFailed answers for a file that can not be read, or whole where it
// changes while it is read.
func (s *session) outlineFailed(o *outlined, err error) error {
	s.mu.Lock()
	answered := o.over
	o.over = true
	o.closeLocked()
	s.mu.Unlock()
	switch {
	case answered:
		return nil
	case !errors.Is(err, supply.ErrChanged):
		s.failed(&o.job, err)
		return nil
	}
	if err := s.conn.Write(wire.EncodeEnd(wire.End{ID: o.id, Again: true})); err != nil {
		return err
	}
	return s.startLarge(o.job, 2)
}

func (s *session) groups(o *outlined, p *wire.Probe) prepared {
	answer := &wire.Outline{ID: o.id, Level: p.Level - 1}
	for _, n := range p.Numbers {
		answer.Groups = append(answer.Groups, o.outline.Members(p.Level, n))
	}
	return func() error { return s.tell(wire.EncodeOutline(answer)) }
}

// fragment returns the delta of a fragment of a large file.
func (s *session) fragment(o *outlined, wanted *wire.Signed) (prepared, error) {
	began := time.Now()
	buf := wire.NewBuffer(wire.MaxMessage)
	defer buf.Free()
	content := buf.Extend(int(wanted.Length))
	if err := o.file.ReadAt(content, wanted.Off); err != nil {
		return nil, err
	}
	m := wire.NewDeltas()
	if !m.Add(&wire.Delta{ID: o.id, Off: wanted.Off, Ops: s.encode(&wanted.Signature, content)}) {
		panic("sender: the delta of a fragment is too long")
	}
	return func() error { return s.send(m.Finish(), began) }, nil
}

func (s *session) encode(sig *delta.Signature, content []byte) []byte {
	return delta.Encode(make([]byte, 0, len(content)/8), sig, content)
}

// endOutlined ends a file that the receiver has got.
func (s *session) endOutlined(o *outlined) (prepared, error) {
	if err := o.file.Unchanged(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	o.over = true
	s.mu.Unlock()
	return func() error {
		m := o.file.Meta
		s.Counters.Bytes.Add(m.Size)
		s.sent(&o.job, m)
		s.desk.answered(1)
		return s.conn.Write(wire.EncodeEnd(wire.End{ID: o.id, Meta: m}))
	}, nil
}

// sendDeltas sends small files as what they differ in from what the receiver
// has.
func (s *session) sendDeltas(batch []job) error {
	began := time.Now()
	m := wire.NewDeltas()
	buf := wire.NewBuffer(wire.MaxMessage)
	defer buf.Free()
	flush := func() error {
		if m.Count == 0 {
			m.Discard()
			return nil
		}
		s.desk.answered(m.Count)
		return s.send(m.Finish(), began)
	}
	for i := range batch {
		j := &batch[i]
		d, err := s.delta(j, buf)
		s.mu.Lock()
		s.sums -= len(j.sig.Sums)
		s.mu.Unlock()
		switch {
		case errors.Is(err, supply.ErrLarge):
			if err := s.sendLarge(j); err != nil {
				return err
			}
			continue
		case err != nil:
			s.failed(j, err)
			continue
		}
		s.Counters.Bytes.Add(d.Size)
		s.sent(j, d.Meta)
		if m.Add(d) {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		began = time.Now()
		if m = wire.NewDeltas(); !m.Add(d) {
			panic("sender: the delta of a small file is too long")
		}
	}
	return flush()
}

// delta reads a small file and says it in terms of what the receiver has.
func (s *session) delta(j *job, buf *wire.Buffer) (*wire.Delta, error) {
	d := &wire.Delta{ID: j.id, Whole: true}
	err := s.inDir(j.dir, func(h dirfs.Dir) error {
		return retry(func() error {
			f, err := supply.Open(h, j.entry.Name)
			if err != nil {
				return err
			}
			defer f.Close()
			if f.Meta.Size > wire.MaxFragment {
				return supply.ErrLarge
			}
			buf.Truncate(0)
			content := buf.Extend(int(f.Meta.Size))
			if err := f.ReadAt(content, 0); err != nil {
				return err
			}
			d.Meta, d.Sum, d.Ops = f.Meta, digest.ContentOf(content), s.encode(j.sig, content)
			return f.Unchanged()
		})
	})
	return d, err
}

// wantOutline is what is wanted of a file that a Probe opens.
const wantOutline wire.Wanted = 3

// closeOutlines closes what a session that ended early has left open.
func (s *session) closeOutlines() {
	for _, o := range s.outlines {
		if o.ready && !o.closed {
			o.file.Close()
		}
	}
}
