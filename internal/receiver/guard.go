package receiver

import (
	"errors"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// errClosed is why a directory of the destination is not compared.
var errClosed = errors.New("it cannot be read, or is a mount point, which is not crossed")

// fewEntries is how many entries an empty source removes without a guard: a
// directory that somebody tries the command on.
const fewEntries = 20

// guard refuses the plan before anything is changed.
func (s *session) guard() error {
	removed := s.plan.Removed
	if s.Policy.NoDelete {
		removed = 0
	}
	if s.sourceEmpty() && removed > fewEntries && !s.Policy.AllowEmpty {
		return fault.New(fault.Guard, "the source is empty and the destination holds %d entries: nothing was changed; give --allow-empty if it shall be emptied", removed)
	}
	if m := s.Policy.MaxDelete; m != nil && removed > *m {
		return fault.New(fault.Guard, "%d entries would be removed, more than the %d that --max-delete allows: nothing was changed", removed, *m)
	}
	s.Log.Debug("planned", "steps", len(s.plan.Steps), "files", s.plan.Files, "bytes", s.plan.Bytes, "removed", removed, "first", report.Clip(first(s), 200))
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

// first returns the path that the plan begins with, for the log.
func first(s *session) string {
	if len(s.plan.Steps) == 0 {
		return ""
	}
	return s.plan.Steps[0].Kind.String() + " " + s.plan.Steps[0].Path()
}
