package receiver

import (
	"errors"

	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
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
	c := s.seal.Counts
	if c.Files+c.Directories+c.Links == 0 && removed > fewEntries && !s.Policy.AllowEmpty {
		return fault.New(fault.Guard, "the source is empty and the destination holds %d entries: nothing was changed; give --allow-empty if it shall be emptied", removed)
	}
	if m := s.Policy.MaxDelete; m != nil && removed > *m {
		return fault.New(fault.Guard, "%d entries would be removed, more than the %d that --max-delete allows: nothing was changed", removed, *m)
	}
	s.Log.Debug("planned", "steps", len(s.plan.Steps), "files", s.plan.Files, "bytes", s.plan.Bytes, "removed", removed, "first", report.Clip(first(s), 200))
	return nil
}

// first returns the path that the plan begins with, for the log.
func first(s *session) string {
	if len(s.plan.Steps) == 0 {
		return ""
	}
	return s.plan.Steps[0].Kind.String() + " " + s.plan.Steps[0].Path()
}
