package receiver

import (
	"context"
	"errors"
	"math"

	"github.com/dustin/go-humanize"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// room returns how many bytes the disk still takes; as many as there can be
// where it does not say.
func (s *session) room() (uint64, error) {
	space, err := s.area.Files.Space()
	if errors.Is(err, errors.ErrUnsupported) {
		return math.MaxUint64, nil
	}
	return space.Bytes, fault.With(fault.Path, err)
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
	free, err := s.room()
	if err == nil && s.needs() > free && s.left {
		if err = s.dropLeft(ctx); err == nil {
			free, err = s.room()
		}
	}
	if err != nil {
		return err
	}
	return s.enough(s.needs(), free)
}

// enough refuses to begin with less than what is needed.
func (s *session) enough(need, free uint64) error {
	if need <= free || s.IgnoreSpace {
		return nil
	}
	return fault.New(fault.Path, "the destination's disk is too small: %s are needed, %s are free; --ignore-space begins all the same", humanize.IBytes(need), humanize.IBytes(free))
}

// needs returns what the plan takes. What is new stays; what replaces something
// takes the difference in the end, and its own size until its batch is installed.
func (s *session) needs() uint64 {
	var stays, passes uint64
	for i := range s.plan.Steps {
		step := &s.plan.Steps[i]
		if step.Kind != tree.Fetch && (step.Kind != tree.Reuse || s.area.Links(step.From, meta(step.Entry()))) {
			continue
		}
		n := s.takes(step.Entry())
		if have := step.Have; have != nil && have.Type == tree.File {
			old := uint64(have.Size)
			stays += n - min(n, old)
			passes += min(n, old)
		} else {
			stays += n
		}
	}
	return stays + min(passes, apply.BatchBytes)
}
