package receiver

import (
	"context"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// stream takes a source into a destination that holds nothing: the sender
// describes and supplies everything unasked, and the seal comes last.
func (s *session) stream(ctx context.Context) error {
	s.Counters.Set(report.Transferring)
	s.dirs = map[uint64]*tree.Dir{0: s.want.Dir}
	for s.seal == nil || s.waiting > 0 {
		if err := s.event(ctx); err != nil {
			return err
		}
	}
	for _, d := range s.dirs {
		d.Closed = true // the source could not read it
	}
	return nil
}

// awaitFile expects a file, which comes unasked: also where it cannot be
// written, since its directory could not be made.
func (s *session) awaitFile(step tree.Step) error {
	t, err := s.fetchTarget(step)
	if err != nil {
		return err
	}
	if s.apply.Loses(step.Dir) {
		t.lost = apply.ErrLost
	}
	_, err = s.expect(t, wire.WantContent)
	return err
}

// streamed takes in a part of the description: directories are made and files
// expected at once.
func (s *session) streamed(answered int, sections []wire.Section) error {
	if answered > 0 || s.seal != nil {
		return wire.Errorf("an answer without a question")
	}
	for i := range sections {
		sec := &sections[i]
		d := s.dirs[sec.Dir]
		if d == nil || sec.Ranges != nil || !follows(d, sec.From) {
			return wire.Errorf("a description of entry %d that is out of order", sec.Dir)
		}
		if sec.To == "" {
			delete(s.dirs, sec.Dir) // it is complete
		}
		if err := s.grow(d, sec.Entries); err != nil {
			return err
		}
	}
	return nil
}

// follows reports whether a section that begins at from goes on where the
// entries of d end.
func follows(d *tree.Dir, from string) bool {
	n := len(d.Entries)
	return from == "" && n == 0 || from != "" && n > 0 && d.Entries[n-1].Name < from
}

// grow adds entries to a directory of the wanted tree and begins them.
func (s *session) grow(d *tree.Dir, entries []tree.Entry) error {
	at := len(d.Entries)
	first := s.index.Len()
	d.Entries = append(d.Entries, entries...)
	s.index.Add(d, at, len(entries))
	for i := range entries {
		step := tree.Step{Dir: d, Index: at + i}
		e := step.Entry()
		switch e.Type {
		case tree.Directory:
			e.Dir.Parent, e.Dir.Digest = d, digest.Digest{}
			if !e.Dir.Closed {
				s.dirs[first+uint64(i)] = e.Dir
			}
			if err := s.apply.Make(step); err != nil {
				return err
			}
		case tree.Link:
			step.Kind = tree.Point
			if err := s.apply.Point(step); err != nil {
				return err
			}
		case tree.File:
			step.Kind = tree.Fetch
			if err := s.awaitFile(step); err != nil {
				return err
			}
			s.Counters.TotalFiles.Add(1)
			s.Counters.TotalBytes.Add(e.Size)
		}
	}
	return nil
}
