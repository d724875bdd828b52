package receiver

import (
	"context"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// stream takes a source into a destination that holds nothing: the sender
// describes and supplies everything unasked, and the seal comes last.
func (s *session) stream(ctx context.Context) error {
	s.Counters.Set(report.Transferring)
	if removed, err := s.apply.Displaced(ctx); err != nil {
		return err
	} else if m := s.Policy.MaxDelete; m != nil && removed > *m {
		return errTooMany(removed, *m)
	} else if removed > 0 && s.unsaved() {
		return errUnsaved
	}
	s.dirs = map[uint64]growing{0: {dir: s.want.Dir}}
	var err error
	if s.free, err = s.area.Room(); err != nil {
		return fault.Doing(fault.Path, "look for room in the destination", err)
	}
	for s.seal == nil || s.waiting > 0 {
		if err := s.event(ctx); err != nil {
			return err
		}
	}
	sealed := tree.Entry{Type: tree.Directory, Dir: &tree.Dir{Digest: digest.Digest(s.seal.Digest)}, Perm: uint16(s.seal.Perm), Sec: s.seal.Sec, Nsec: s.seal.Nsec}
	s.described = s.summer.Root(&sealed)
	for _, g := range s.dirs {
		g.dir.Closed = true // the source could not read it
	}
	return nil
}

// growing is a directory that is being described, and where it is.
type growing struct {
	dir *tree.Dir
	at  reach
}

// streamed takes in a part of the description: directories are made and files
// expected at once.
func (s *session) streamed(answered int, sections []wire.Section) error {
	if answered > 0 || s.seal != nil {
		return wire.Errorf("an answer without a question")
	}
	for i := range sections {
		sec := &sections[i]
		g := s.dirs[sec.Dir]
		d := g.dir
		if d == nil || sec.Ranges != nil || !follows(d, sec.From) {
			return wire.Errorf("a description of entry %d that is out of order", sec.Dir)
		}
		if sec.To == "" {
			delete(s.dirs, sec.Dir) // it is complete
		} else if len(sec.Entries) == 0 {
			return errNothing
		}
		if err := admit(sec, g.at, s.area.Canon); err != nil {
			return err
		}
		if err := s.grow(g, sec.Entries); err != nil {
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

// grow adds entries to a directory of the wanted tree, makes the directories
// and links among them, and waits for the files.
func (s *session) grow(g growing, entries []tree.Entry) error {
	if err := s.countable(len(entries)); err != nil {
		return err
	}
	d := g.dir
	at := len(d.Entries)
	first := s.index.Len()
	s.mu.Lock()
	d.Entries = append(d.Entries, entries...)
	s.index.Add(d, at, len(entries))
	if s.apply.Loses(d) {
		s.lost[d] = true
	}
	s.mu.Unlock()
	for i := range entries {
		step := tree.Step{Dir: d, Index: at + i}
		e := step.Entry()
		switch e.Type {
		case tree.Directory:
			e.Dir.Parent, e.Dir.Digest = d, digest.Digest{}
			if !e.Dir.Closed {
				s.dirs[first+uint64(i)] = growing{e.Dir, g.at.in(e.Name)}
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
			s.waiting++
			s.Counters.TotalFiles.Add(1)
			s.Counters.TotalBytes.Add(e.Size)
			s.need = plus(s.need, s.takes(e))
			if err := s.enough("destination", s.need, s.free); err != nil {
				return err
			}
		}
	}
	return nil
}

// streamedTarget returns the target for a file that was described, the first
// time that something of it comes, and otherwise nil. While streaming, files
// become targets no earlier: the description runs far ahead of the content.
// s.mu must be held.
func (s *session) streamedTarget(id uint64) *target {
	d, at, ok := s.index.Find(id)
	// The entry is looked at the first time only: later it may be changing.
	if !ok || !s.begun.Add(id) || d.Entries[at].Type != tree.File {
		return nil
	}
	t := s.newTarget(id, tree.Step{Kind: tree.Fetch, Dir: d, Index: at}, d != s.want.Dir)
	if s.lost[d] {
		t.err = apply.ErrLost // what comes is passed over
	}
	return t
}
