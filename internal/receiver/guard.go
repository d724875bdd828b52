package receiver

import (
	"context"
	"slices"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// errClosed is why a directory of the destination is not compared.
var errClosed = fault.Errorf("it cannot be read, or is a mount point, which is not crossed")

// fewEntries is how many entries an empty source removes without a guard: a
// directory that somebody tries the command on.
const fewEntries = 20

// guard refuses the plan before anything is changed. What an earlier run
// displaced and did not remove counts as well.
func (s *session) guard(ctx context.Context) error {
	removed, err := s.apply.Displaced(ctx)
	if err != nil {
		return err
	}
	if !s.Policy.NoDelete { // otherwise nothing goes, and nothing makes way
		removed += s.plan.Removed()
	}
	if s.sourceEmpty() && removed > fewEntries && !s.Policy.AllowEmpty {
		return fault.New(fault.Guard, "the source is empty and the destination holds %d entries: nothing was changed; see --allow-empty", removed)
	}
	if s.unsaved() && (removed > 0 || slices.ContainsFunc(s.plan.Steps, func(step tree.Step) bool {
		return step.Kind != tree.Verify && step.Replaces() // of which most stays
	})) {
		return errUnsaved
	}
	if m := s.Policy.MaxDelete; m != nil && removed > *m {
		return errTooMany(removed, *m)
	}
	s.Log.Debug("planned", "steps", len(s.plan.Steps), "files", s.plan.Files, "bytes", s.plan.Bytes, "removed", removed, "first", first(s))
	return nil
}

// sourceEmpty reports whether the source holds nothing but what it does not
// describe. The description decides, not the counts that come with it.
func (s *session) sourceEmpty() bool {
	for i := range s.want.Dir.Entries {
		if s.want.Dir.Entries[i].Type != tree.Opaque {
			return false
		}
	}
	return true
}

// errUnsaved refuses a plan by which something goes that is not saved.
var errUnsaved = fault.New(fault.Guard, "what would be replaced or removed is to be saved (--backup), and the receiver has no --backup-dir: nothing was changed")

// unsaved reports whether nothing may be replaced or removed, since it is not saved.
func (s *session) unsaved() bool { return s.Policy.Backup && s.apply.Backup == nil }

func errTooMany(removed, limit uint64) error {
	return fault.New(fault.Guard, "%d entries would be removed, more than the %d that --max-delete allows: nothing was changed", removed, limit)
}

// first returns the path that the plan begins with, for the log.
func first(s *session) string {
	if len(s.plan.Steps) == 0 {
		return ""
	}
	return s.plan.Steps[0].Kind.String() + " " + s.plan.Steps[0].Path()
}
