package receiver

import (
	"context"
	"math"

	"github.com/dustin/go-humanize"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// plus adds without an overflow: sizes are what a peer says.
func plus(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint64
}

// takes returns how many bytes a file takes on the disk. Of one with holes that
// stay holes nobody knows before it is read: it counts as none.
func (s *session) takes(e *tree.Entry) uint64 {
	if s.Policy.Sparse && e.Flags&tree.Sparse != 0 {
		return 0
	}
	return uint64(e.Size)
}

// fits refuses a plan for which the disk is too small, before anything is
// changed. What earlier sessions have staged goes before that.
func (s *session) fits(ctx context.Context) error {
	free, err := s.area.Room()
	if err == nil && s.needs() > free && s.left {
		if err = s.dropLeft(ctx); err == nil {
			free, err = s.area.Room()
		}
	}
	if err != nil {
		return fault.Doing(fault.Path, "look for room in the destination", err)
	}
	if err := s.enough("destination", s.needs(), free); err != nil || s.apply.Backup == nil || s.savesHere() {
		return err
	}
	if free, err = s.apply.Backup.Room(); err != nil {
		return fault.Doing(fault.Path, "look for room for the backup", err)
	}
	return s.enough("backup", s.goes(0), free)
}

// savesHere reports whether what is saved stays on the destination's disk.
func (s *session) savesHere() bool {
	return s.apply.Backup != nil && s.apply.Backup.Dev() == s.have.Dir.Dev
}

// goes returns how many bytes are in files that are replaced or removed, and have the
// flags. What is verified first mostly stays.
func (s *session) goes(flags tree.Flags) (n uint64) {
	count := func(e *tree.Entry) {
		if e.Flags&(flags|tree.Moved) == flags {
			n += uint64(e.Size)
		}
	}
	tops := func(e *tree.Entry) {
		count(e)
		for _, below := range e.Dir.All() {
			count(below)
		}
	}
	for i := range s.plan.Steps {
		if step := &s.plan.Steps[i]; step.Replaces() && step.Kind != tree.Verify || step.Index >= 0 && step.Displaces() {
			tops(step.Have)
		}
	}
	for i := range s.plan.Removals {
		tops(s.plan.Removals[i].Have)
	}
	return n
}

// enough refuses to begin with less than what is needed.
func (s *session) enough(whose string, need, free uint64) error {
	if need <= free || s.IgnoreSpace {
		return nil
	}
	return fault.New(fault.Path, "the %s's disk is too small: %s are needed, %s are free; --ignore-space begins all the same", fault.Told(whose), fault.Told(humanize.IBytes(need)), fault.Told(humanize.IBytes(free)))
}

// traded returns how many bytes are in files of which the content moves on while the path
// gets other content: they have two names for a while.
func (s *session) traded() (n uint64) {
	moves := make(map[*tree.Entry]bool)
	for i := range s.plan.Steps {
		if step := &s.plan.Steps[i]; step.Kind == tree.Reuse && !step.From.Staged {
			moves[step.From.Entry()] = true
		}
	}
	for i := range s.plan.Steps {
		step := &s.plan.Steps[i]
		if step.Replaces() && step.Have.Flags&tree.Shared == 0 && moves[step.Have] {
			n += uint64(step.Have.Size)
		}
	}
	return n
}

// needs returns what the plan takes. What is new stays; what replaces something
// takes the difference in the end, and its own size until its batch is installed.
func (s *session) needs() uint64 {
	var stays, passes uint64
	saves := s.savesHere() // so that what is replaced stays
	if saves {
		stays = s.goes(tree.Shared) + s.traded() // of which copies are saved
	}
	for i := range s.plan.Steps {
		step := &s.plan.Steps[i]
		if step.Kind != tree.Fetch && (step.Kind != tree.Reuse || s.area.Links(step.From, meta(step.Entry()))) {
			continue
		}
		n := s.takes(step.Entry())
		if have := step.Have; have != nil && have.Type == tree.File && !saves {
			old := uint64(have.Size)
			stays = plus(stays, n-min(n, old))
			passes = plus(passes, min(n, old))
		} else {
			stays = plus(stays, n)
		}
	}
	return plus(stays, min(passes, apply.BatchBytes))
}
