package receiver

import (
	"errors"
	"math"

	"github.com/dustin/go-humanize"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// room returns how many bytes the disk still takes; as many as there can be
// where it does not say, or nobody wants to know.
func (s *session) room() (uint64, error) {
	if s.IgnoreSpace {
		return math.MaxUint64, nil
	}
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
// changed. What is new stays; what replaces something takes the difference in
// the end, and its own size until its batch is installed.
func (s *session) fits(steps []tree.Step) error {
	free, err := s.room()
	if err != nil {
		return err
	}
	var stays, passes uint64
	for i := range steps {
		step := &steps[i]
		if step.Kind != tree.Fetch && (step.Kind != tree.Reuse || step.From.Moves) {
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
	if need := stays + min(passes, apply.BatchBytes); need > free {
		return errTooSmall(need, free)
	}
	return nil
}

func errTooSmall(need, free uint64) error {
	return fault.New(fault.Path, "the destination's disk is too small: %s are needed, %s are free; --ignore-space begins all the same", humanize.IBytes(need), humanize.IBytes(free))
}
