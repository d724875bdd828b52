package tree_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// model is a tree as a flat map, which is simple enough to be right.
type model map[string]tree.Entry

func flat(root *tree.Entry) model {
	m := model{}
	for stack := []*tree.Dir{root.Dir}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range d.Entries {
			e := d.Entries[i]
			m[d.Join(e.Name)] = e
			if e.Dir != nil {
				stack = append(stack, e.Dir)
			}
		}
	}
	return m
}

func (m model) remove(path string) {
	for p := range m {
		if p == path || strings.HasPrefix(p, path+"/") {
			delete(m, p)
		}
	}
}

// apply does what a plan says to a model, in the plan's order, but that moves come
// after the other steps.
func (m model) apply(t *testing.T, p *tree.Plan) {
	old := maps.Clone(m)
	var moves []*tree.Step
	for i := range p.Steps {
		s := &p.Steps[i]
		path, want := s.Path(), *s.Entry()
		have, there := m[path]
		if there != (s.Have != nil) {
			t.Fatalf("%s %s: is there %v, the plan says %v", s.Kind, path, there, s.Have != nil)
		}
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			if parent, ok := m[path[:i]]; !ok || parent.Type != tree.Directory {
				t.Fatalf("%s %s: its directory is not there", s.Kind, path)
			}
		}
		if s.Kind == tree.Move {
			moves = append(moves, s)
			continue
		}
		if s.Displaces() {
			m.remove(path)
		}
		if s.Kind == tree.Reuse {
			if from := old[s.From.Path()]; from.Type != tree.File || from.Size != want.Size || from.MTime() != want.MTime() {
				t.Fatalf("reuse %s: %s is %+v\n%s", path, s.From.Path(), from, p)
			}
		}
		switch {
		case s.Kind == tree.Touch && have.Type != want.Type,
			s.Kind == tree.Verify && (have.Size != want.Size || have.Type != want.Type),
			s.Kind == tree.Make && there && !s.Displaces():
			t.Fatalf("%s %s of %+v", s.Kind, path, have)
		}
		m[path] = want
	}
	for _, s := range moves {
		m.move(t, s)
	}
	for i := range p.Removals {
		path := p.Removals[i].Path()
		if e := p.Removals[i].Entry(); e.Dir != nil && e.Flags&tree.Moved != 0 {
			if _, ok := m[path]; ok {
				t.Fatalf("%s has not moved\n%s", path, p)
			}
			continue
		}
		if _, ok := m[path]; !ok {
			t.Fatalf("remove %s: it is not there", path)
		}
		m.remove(path)
	}
}

// move moves a directory, which must be the wanted one.
func (m model) move(t *testing.T, s *tree.Step) {
	path, old := s.Path(), s.From.Path()
	what := m.below(old)
	if len(what) == 0 {
		t.Fatalf("move %s: %s is not there", path, old)
	}
	m.remove(old)
	if s.Displaces() {
		m.remove(path)
	}
	if _, there := m[path]; there {
		t.Fatalf("move %s: something is there", path)
	}
	for rest, e := range what {
		m[strings.TrimSuffix(path+"/"+rest, "/")] = e
	}
	m[path] = *s.Entry()
}

// random makes small trees whose names collide often.
func random(r *rand.Rand, depth int) []tree.Entry {
	var entries []tree.Entry
	for _, name := range []string{"a", "ab", "b", "c", "\xff"} {
		if r.IntN(2) == 0 {
			continue
		}
		e := tree.Entry{Name: name, Perm: uint16(0o600 + r.IntN(2)), Sec: r.Int64N(3)}
		switch k := r.IntN(6); {
		case k < 3:
			e.Type, e.Size = tree.File, r.Int64N(2)
		case k < 4:
			e.Type, e.Perm, e.Target = tree.Link, 0, []string{"x", "y"}[r.IntN(2)]
		case depth > 0:
			e.Type, e.Dir = tree.Directory, &tree.Dir{Entries: random(r, depth-1)}
		default:
			continue
		}
		entries = append(entries, e)
	}
	return entries
}

func adopt(root *tree.Entry) *tree.Entry {
	for stack := []*tree.Dir{root.Dir}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range d.Entries {
			if c := d.Entries[i].Dir; c != nil {
				c.Parent, c.Name = d, d.Entries[i].Name
				stack = append(stack, c)
			}
		}
	}
	return root
}

func randomRoot(r *rand.Rand) *tree.Entry {
	return adopt(&tree.Entry{Type: tree.Directory, Dir: &tree.Dir{Entries: random(r, 3)}})
}

// mutated returns a tree that differs from root in few places and shares
// some of its directories.
func mutated(r *rand.Rand, root *tree.Entry) *tree.Entry {
	var of func(d *tree.Dir, depth int) *tree.Dir
	of = func(d *tree.Dir, depth int) *tree.Dir {
		c := &tree.Dir{Entries: slices.Clone(d.Entries)}
		if r.IntN(3) == 0 && len(c.Entries) > 0 {
			i := r.IntN(len(c.Entries))
			c.Entries = slices.Delete(c.Entries, i, i+1)
		}
		for i := range c.Entries {
			if e := &c.Entries[i]; e.Dir != nil && r.IntN(2) == 0 {
				e.Dir = of(e.Dir, depth-1)
				e.Dir.Parent, e.Dir.Name = c, e.Name
			}
		}
		return c
	}
	e := *root
	e.Dir = of(root.Dir, 3)
	return &e
}

func TestApplyingGivesWanted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 4000 {
		have := randomRoot(r)
		want := randomRoot(r)
		if i%2 == 0 {
			want = mutated(r, have)
		}
		plan := tree.Compare(have, want, tree.Exact, nil)
		m := flat(have)
		before := len(m)
		m.apply(t, plan)
		w := flat(want)
		if len(m) != len(w) {
			t.Fatalf("pair %d: %d entries, want %d\n%s", i, len(m), len(w), plan)
		}
		for p, e := range w {
			g := m[p]
			if g.Type != e.Type || g.Size != e.Size || g.Target != e.Target || g.MTime() != e.MTime() || g.Perm != e.Perm {
				t.Fatalf("pair %d: %s is %+v, want %+v\n%s", i, p, g, e, plan)
			}
		}
		var made int
		for _, s := range plan.Steps {
			if s.Have == nil || s.Displaces() {
				made++
			}
		}
		if got := before + made - len(w); got != int(plan.Removed()) {
			t.Fatalf("pair %d: %d entries went, the plan counts %d\n%s", i, got, plan.Removed(), plan)
		}
		if tree.Compare(have, have, tree.Exact, nil).Empty() != true {
			t.Fatalf("pair %d: a tree differs from itself", i)
		}
		// Equal digests are equal trees, and the other way round.
		s := tree.NewSummer(tree.Exact)
		if same := s.Root(have) == s.Root(want); same != plan.Empty() {
			t.Fatalf("pair %d: equal digests %v, the plan is\n%s", i, same, plan)
		}
	}
}

// deep returns a chain of directories with a file at its end.
func deep(levels int) *tree.Entry {
	root := &tree.Entry{Type: tree.Directory, Dir: new(tree.Dir)}
	d := root.Dir
	for range levels {
		d = treetest.Add(d, tree.Entry{Name: "d", Type: tree.Directory, Dir: new(tree.Dir)}).Dir
	}
	treetest.Add(d, tree.Entry{Name: "f", Type: tree.File, Size: 1})
	return root
}

// A deep tree costs neither stack nor quadratic time.
func TestDeep(t *testing.T) {
	const levels = 100_000
	have, want := deep(levels), deep(levels)
	start := time.Now()
	s := tree.NewSummer(tree.Exact)
	if s.Root(have) != s.Root(want) {
		t.Error("two equal trees have two digests")
	}
	if got := have.Entries(); got != levels+2 {
		t.Errorf("Entries() = %d", got)
	}
	if p := tree.Compare(have, want, tree.Exact, nil); !p.Empty() {
		t.Errorf("equal trees: %d steps", len(p.Steps))
	}
	if p := tree.Compare(treetest.Parse(""), want, tree.Exact, nil); len(p.Steps) != levels+1 {
		t.Errorf("a new tree: %d steps", len(p.Steps))
	}
	if p := tree.Compare(have, treetest.Parse(""), tree.Exact, nil); p.Removed() != levels+1 {
		t.Errorf("an extra tree: %d entries", p.Removed())
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}
