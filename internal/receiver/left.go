package receiver

import (
	"context"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/scan"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// leftovers finds out for which steps an earlier session has staged content and
// not installed it. What is left and cannot be read is got again.
func (s *session) leftovers(ctx context.Context) error {
	handles := dirfs.NewHandles(s.area.Left, dirfs.DefaultHandles())
	defer handles.Close()
	root, err := scan.Scan(ctx, handles, scan.Options{Workers: 1})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		s.Log.Debug("what an earlier session has staged cannot be read", "cause", err)
		return nil
	case len(root.Dir.Entries) == 0:
		return nil
	}
	s.left = true
	root.Dir.Parent = &tree.Dir{Parent: s.have.Dir, Name: tree.Reserved}
	root.Dir.Name = stage.LeftName
	l := left{session: s, tags: make(map[string][]tree.Origin), dirs: make(map[*tree.Dir][]*tree.Dir)}
	for i := range root.Dir.Entries {
		if tag := stage.Tag(root.Dir.Entries[i].Name); tag != "" {
			l.tags[tag] = append(l.tags[tag], staged(root.Dir, i))
		}
	}
	for i := range s.plan.Steps {
		l.step(&s.plan.Steps[i])
	}
	return nil
}

// dropLeft removes what earlier sessions have staged: what is wanted of it is got
// again.
func (s *session) dropLeft(ctx context.Context) error {
	s.left = false
	clear(s.parts)
	for i := range s.plan.Steps {
		if step := &s.plan.Steps[i]; step.Kind == tree.Reuse && step.From.Staged {
			step.Kind, step.From = tree.Fetch, nil
		}
	}
	return s.apply.Clear(ctx, s.area.Left, func() {})
}

func staged(d *tree.Dir, i int) tree.Origin {
	return tree.Origin{Dir: d, Index: i, Moves: true, Staged: true}
}

// left is what earlier sessions have staged.
type left struct {
	*session
	tags map[string][]tree.Origin  // by what their names say of their path
	dirs map[*tree.Dir][]*tree.Dir // by the wanted directory that they were to be
}

// step sets From of a step whose content was staged.
func (l *left) step(step *tree.Step) {
	e := step.Entry()
	switch step.Kind {
	case tree.Make:
		for _, o := range l.of(step) {
			if d := o.Entry().Dir; d != nil {
				l.dirs[e.Dir] = append(l.dirs[e.Dir], d)
			}
		}
	case tree.Fetch, tree.Verify:
		for _, o := range l.of(step) {
			have := o.Entry()
			switch {
			case have.Type != tree.File:
			case have.Size == e.Size && have.MTime() == l.area.Canon.Time(e.MTime()):
				step.From = &o
			default:
				l.partly(step, &o)
			}
		}
	}
}

// place is an entry of the wanted tree.
type place struct {
	dir   *tree.Dir
	index int
}

// leastBegun is the size from which on what is staged of a large file is worth
// being outlined.
const leastBegun = 1 << 20

// partly notes what is staged of a large file, the largest part of several.
func (s *session) partly(step *tree.Step, o *tree.Origin) {
	p := place{step.Dir, step.Index}
	if old := s.parts[p]; o.Entry().Size >= leastBegun && (old == nil || old.Entry().Size < o.Entry().Size) {
		s.parts[p] = o
	}
}

// part returns what an earlier session has staged of t, if it is a large file that
// can be gone on with.
func (s *session) part(t *target) *tree.Origin {
	e := t.step.Entry()
	if e.Size <= smallDelta || e.Flags&tree.Sparse != 0 { // of which only the data is sent
		return nil
	}
	return s.parts[place{t.step.Dir, t.step.Index}]
}

// of returns what was staged for the path of a step: under its name in what its
// directory was to be, or by itself.
func (l *left) of(step *tree.Step) (found []tree.Origin) {
	for _, d := range l.dirs[step.Dir] {
		if i, ok := d.Position(step.Entry().Name); ok {
			found = append(found, staged(d, i))
		}
	}
	return append(found, l.tags[stage.TagOf(step.Path())]...)
}
