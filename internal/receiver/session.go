package receiver

import (
	"context"
	"time"

	"github.com/sync-directory/sync-directory/internal/contents"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/scan"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// read hands the sender's messages over until the session ends.
func (s *session) read() {
	defer close(s.incoming)
	for {
		b, err := s.conn.Read()
		if err != nil {
			s.fail(wire.Fault(err))
			return
		}
		select {
		case s.incoming <- b:
		case <-s.ended:
			b.Free()
			return
		}
	}
}

// message takes the next message in.
func (s *session) message(ctx context.Context) error {
	select {
	case b, ok := <-s.incoming:
		if !ok {
			return context.Cause(ctx)
		}
		return s.handle(b)
	case <-ctx.Done():
		return s.last(ctx)
	}
}

// last takes in a message that came before the end of the connection, which
// counts all the same: after the verdict a sender closes. Without one it
// returns why the session ends.
func (s *session) last(ctx context.Context) error {
	select {
	case b, ok := <-s.incoming:
		if ok {
			return s.handle(b)
		}
	default:
	}
	return context.Cause(ctx)
}

// handle takes one message in. Content goes on to the writers, who expand it;
// while they are slow this waits, and nothing more is read.
func (s *session) handle(b *wire.Buffer) error {
	t, err := wire.TypeOf(b.Bytes())
	content := t == wire.TypePack || t == wire.TypeChunk || t == wire.TypeEnd || t == wire.TypeDelta
	switch {
	case err == nil && content && s.waiting == 0:
		err = wire.Errorf("content while none is wanted")
	case err == nil && content && t != wire.TypeEnd:
		s.busy.Add(1)
		s.content <- b
		return nil
	}
	var body []byte
	if err == nil {
		b, t, body, err = s.open(b)
	}
	switch {
	case err != nil:
	case t == wire.TypeEnd:
		return s.end(b, body)
	default:
		err = s.control(t, body)
	}
	b.Free()
	return err
}

// open takes a message apart, expanded if it is compressed. The buffer that it
// returns, also with an error, is the caller's.
func (s *session) open(b *wire.Buffer) (*wire.Buffer, wire.Type, []byte, error) {
	if wire.Compressed(b.Bytes()) && s.Compression.GetMode() != wire.Compression_NONE {
		plain, err := s.expander().Expand(b)
		if err != nil {
			return nil, 0, nil, err
		}
		b = plain
	}
	t, body, err := wire.Split(b.Bytes())
	return b, t, body, err
}

// control takes in a message without content.
func (s *session) control(t wire.Type, body []byte) error {
	switch t {
	case wire.TypeListing:
		return s.listing(body)
	case wire.TypeSums:
		return s.compareSums(body)
	case wire.TypeOutline:
		return s.outlined(body)
	case wire.TypeProof:
		return s.proof(body)
	case wire.TypeProgress:
		s.Counters.Peer.Add(1)
		return nil
	case wire.TypeSeal, wire.TypeProblem, wire.TypeVerdict:
		m, err := wire.Decode(t, body)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *wire.Seal:
			return s.sealed(m)
		case *wire.Problem:
			return s.peerProblem(m)
		case *wire.Verdict:
			if s.result.Changes == nil {
				return wire.Errorf("a verdict before done")
			}
			s.verdict = m
		}
		return nil
	}
	return wire.Errorf("message type %d from a sender", t)
}

// end takes in an End. One that voids a file waits for the writers first, so
// that nothing of the old content comes after the new.
func (s *session) end(b *wire.Buffer, body []byte) error {
	e, err := wire.DecodeEnd(body)
	if err != nil || !e.Again {
		s.busy.Add(1)
		s.content <- b // writers report what is wrong with it
		return nil
	}
	b.Free()
	s.busy.Wait()
	t, err := s.wants(e.ID, false)
	if err != nil {
		return err
	}
	t.void(s)
	return nil
}

func (s *session) sealed(m *wire.Seal) error {
	if s.seal != nil {
		return wire.Errorf("a second seal")
	}
	s.seal = m
	s.want.Perm = uint16(m.Perm)
	s.want.SetMTime(tree.Time{Sec: m.Sec, Nsec: m.Nsec})
	return nil
}

// whileReading calls f, which may take long, and takes the sender's messages in
// meanwhile: that it has left, above all.
func (s *session) whileReading(ctx context.Context, f func(context.Context) error) error {
	done := make(chan error, 1)
	s.start(func() { done <- f(ctx) })
	for {
		select {
		case err := <-done:
			return err
		case b, ok := <-s.incoming:
			if !ok {
				return context.Cause(ctx)
			}
			if err := s.handle(b); err != nil {
				return err
			}
		case <-ctx.Done():
			if err := s.last(ctx); err != nil {
				return err
			}
		}
	}
}

func (s *session) awaitSeal(ctx context.Context) error {
	for s.seal == nil {
		if err := s.message(ctx); err != nil {
			return err
		}
	}
	return nil
}

// peerProblem notes what failed on the other side, and takes it for the
// answer to a want where it is one.
func (s *session) peerProblem(m *wire.Problem) error {
	s.Problems.Add(report.FromPeer(m.Path, m.Operation, m.Cause, m.Vanished))
	if m.Answers == 0 {
		return nil
	}
	s.busy.Wait()
	t := s.take(m.Answers)
	if t == nil {
		return wire.Errorf("a problem with entry %d, which is not wanted", m.Answers)
	}
	t.void(s)
	s.released(t)
	s.waiting--
	if t.step.From != nil {
		t.step.From.Failed = true
	}
	return nil
}

// racy is how close the time of a file's content and the time of its last
// change are when anyone may have written it in the same tick of a clock.
const racy = 2 * time.Second

// scan fills the tree of what is there.
func (s *session) scan(ctx context.Context) (err error) {
	options := scan.Options{
		Workers: s.Checkers,
		Skip: func(in *tree.Dir, name []byte, _ dirfs.Dir) (bool, error) {
			return in.Parent == nil && name[0] == '.' && s.area.Canon.IsReserved(string(name)), nil
		},
		Enter: func(d *tree.Dir) error {
			if s.source.Same(s.here, d.Dev, d.Ino) {
				// The sender's mistake: another one may come to the right place.
				return &fault.Error{Code: fault.Path, Peer: true, Err: fault.Errorf("the source lies in the destination, at %s, or is the same directory", fault.Told(report.Quote("/"+d.Path())))}
			}
			if s.apply.Backup.Is(d.Dev, d.Ino) {
				return fault.New(fault.Path, "the backup directory lies in the destination, at %s", fault.Told(report.Quote("/"+d.Path())))
			}
			return nil
		},
		Flags:      s.flags,
		Unexamined: tree.Unknown,
		Problem:    s.unscanned,
		Found:      &s.Counters.Scanned,
	}
	lookup := s.lookup()
	if lookup != nil {
		options.Content = lookup.Find
	}
	if s.have, err = scan.Scan(ctx, s.handles, options); err != nil {
		return fault.Doing(fault.Path, "scan the destination", err)
	}
	if s.knows = s.asksWhatIsKnown() && !lookup.Ended(); s.knows {
		s.tellKnown(true)
	}
	if s.Checksum || s.knows {
		if err := s.digest(ctx); err != nil {
			return err
		}
		if contents.All(s.have.Dir) { // while the sender does so
			s.summer.Sum(s.have.Dir)
		}
		return nil
	}
	if s.Cached {
		contents.Forget(s.have.Dir)
	}
	s.summer.Sum(s.have.Dir)
	return nil
}

// asksWhatIsKnown reports whether it is up to what both sides know whether contents
// are compared.
func (s *session) asksWhatIsKnown() bool { return s.Cached && !s.Checksum }

// lookup returns what the scan asks for contents, or nil.
func (s *session) lookup() *contents.Lookup {
	switch {
	case s.Checksum:
		return contents.NewLookup(s.Cache, contents.Any, func() {})
	case s.Cached:
		// The sender need not look any further either.
		return contents.NewLookup(s.Cache, contents.Few, func() { s.tellKnown(false) })
	}
	return nil
}

// tellKnown tells the sender whether nearly all contents are known.
func (s *session) tellKnown(known bool) {
	if err := s.conn.Write(wire.Encode(&wire.Known{Contents: known})); err != nil {
		s.fail(wire.Fault(err))
	}
}

// settleContents makes the digests of the destination cover what those of the source
// do.
func (s *session) settleContents() error {
	if s.seal.Contents && !s.Checksum && !s.knows {
		return wire.Errorf("a seal over contents that are not known here")
	}
	s.Checksum = s.Checksum || s.seal.Contents
	s.result.ByContent = s.Checksum
	if s.Checksum {
		s.have.Dir.Prove()
	} else if s.knows {
		contents.Forget(s.have.Dir)
	}
	s.summer.Sum(s.have.Dir)
	return nil
}

// digest finds out all content.
func (s *session) digest(ctx context.Context) error {
	s.Counters.Set(report.Comparing)
	return contents.Fill(ctx, s.have.Dir, s.handles, s.Checkers, s.Cache, &s.Counters.Compared, s.Log)
}

// unscanned hears of entries that could not be examined. Where that matters
// the comparison tells it: a directory that is not to be looked into is no
// problem while nothing in it is to be changed.
func (s *session) unscanned(in *tree.Dir, name string, err error) {
	s.Log.Debug("not examined", "path", in.Join(name), "cause", report.Cause(err))
}

func (s *session) flags(info dirfs.Info) (f tree.Flags) {
	if info.Nlink > 1 {
		f |= tree.Shared
	}
	if near(info.MTime, info.CTime) {
		f |= tree.Unproved
	}
	return f
}

// near reports whether two times are less than racy apart. A ctime of zero is
// none: such a system cannot tell.
func near(m, c tree.Time) bool {
	if c == (tree.Time{}) {
		return false
	}
	if d := c.Sec - m.Sec; d > 3 || d < -3 {
		return false
	}
	d := time.Duration(c.Sec-m.Sec)*time.Second + time.Duration(int64(c.Nsec)-int64(m.Nsec))
	return d.Abs() < racy
}
