package tree_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// copied returns a tree of its own that is equal to root.
func copied(root *tree.Entry) *tree.Entry {
	var of func(d *tree.Dir) *tree.Dir
	of = func(d *tree.Dir) *tree.Dir {
		c := &tree.Dir{Entries: slices.Clone(d.Entries)}
		for i := range c.Entries {
			if e := &c.Entries[i]; e.Dir != nil {
				e.Dir = of(e.Dir)
			}
		}
		return c
	}
	e := *root
	e.Dir = of(root.Dir)
	return adopt(&e)
}

// dirs returns root and all directories below.
func dirs(root *tree.Dir) (all []*tree.Dir) {
	all = []*tree.Dir{root}
	for i := 0; i < len(all); i++ {
		for k := range all[i].Entries {
			if d := all[i].Entries[k].Dir; d != nil {
				all = append(all, d)
			}
		}
	}
	return all
}

func inside(d, top *tree.Dir) bool {
	for ; d != nil; d = d.Parent {
		if d == top {
			return true
		}
	}
	return false
}

// stirred returns a tree in which some things of root were moved, copied, edited
// and removed.
func stirred(r *rand.Rand, root *tree.Entry) *tree.Entry {
	e := copied(root)
	for range 1 + r.IntN(5) {
		all := dirs(e.Dir)
		from, to := all[r.IntN(len(all))], all[r.IntN(len(all))]
		if len(from.Entries) == 0 {
			continue
		}
		i := r.IntN(len(from.Entries))
		what := from.Entries[i]
		name := []string{"a", "b", "x", "y", what.Name}[r.IntN(5)]
		if what.Dir != nil && inside(to, what.Dir) {
			continue
		}
		k := r.IntN(6)
		if k < 4 && to.Find(name) != nil && inside(from, to.Find(name).Dir) {
			continue
		}
		switch {
		case k < 4:
			if there := to.Find(name); there != nil {
				if from == to && name == what.Name {
					continue
				}
				remove(to, name)
			}
			if k < 3 {
				remove(from, what.Name)
			} else {
				what = *copied(&tree.Entry{Dir: &tree.Dir{Entries: []tree.Entry{what}}}).Dir.Find(what.Name)
			}
			what.Name = name
			treetest.Add(to, what)
		case k == 4:
			remove(from, what.Name)
		case what.Dir == nil:
			from.Entries[i].Sec += 100
		}
	}
	return adopt(e)
}

func remove(d *tree.Dir, name string) {
	d.Entries = slices.DeleteFunc(d.Entries, func(e tree.Entry) bool { return e.Name == name })
}

// meeting finds out which new directories of want are directories of have, as a
// receiver does.
type meeting struct {
	have    map[digest.Digest][]*tree.Dir
	found   []*tree.Dir
	origins tree.Origins
	mover   tree.Mover
}

func meet(have, want *tree.Entry, copy bool) tree.Origins {
	s := tree.NewSummer(tree.Exact)
	s.Sum(have.Dir)
	s.Sum(want.Dir)
	m := meeting{have: make(map[digest.Digest][]*tree.Dir), origins: make(tree.Origins), mover: tree.Mover{Want: want.Dir, Copy: copy}}
	for _, d := range dirs(have.Dir)[1:] {
		if len(d.Entries) > 0 {
			m.have[d.Digest] = append(m.have[d.Digest], d)
		}
	}
	m.below(want.Dir, have.Dir)
	for len(m.found) > 0 {
		all := m.found
		m.found = nil
		for _, d := range all {
			if o := m.mover.Choose(m.have[d.Digest]); o != nil {
				m.origins[d] = o
			} else {
				m.below(d, nil)
			}
		}
	}
	return m.origins
}

// below shares what is equal, and finds what is new.
func (m *meeting) below(want, have *tree.Dir) {
	for i := range want.Entries {
		e := &want.Entries[i]
		if e.Dir == nil {
			continue
		}
		var there *tree.Dir
		if have != nil {
			if h := have.Find(e.Name); h != nil {
				there = h.Dir
			}
		}
		switch {
		case there != nil && there.Digest == e.Dir.Digest:
			e.Dir = there
		case there == nil && len(m.have[e.Dir.Digest]) > 0:
			m.found = append(m.found, e.Dir)
		default:
			m.below(e.Dir, there)
		}
	}
}

// below returns what is at a path and below, by the rest of the path.
func (m model) below(path string) model {
	found := model{}
	for p, e := range m {
		if rest, ok := strings.CutPrefix(p+"/", path+"/"); ok {
			found[rest] = e
		}
	}
	return found
}

func same(a, b tree.Entry) bool {
	return a.Type == b.Type && a.Size == b.Size && a.Target == b.Target && a.MTime() == b.MTime() && a.Perm == b.Perm
}

// TestApplyingMovesGivesWanted: what a plan takes from elsewhere is there, and is
// what is wanted; what moves is not removed nor counted.
func TestApplyingMovesGivesWanted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	kinds := make(map[tree.Kind]int)
	for i := range 12_000 {
		have := randomRoot(r)
		wanted := stirred(r, have)
		w := flat(wanted)
		want := copied(wanted)
		copy := r.IntN(4) == 0
		plan := tree.Compare(have, want, tree.Exact, meet(have, want, copy))
		plan.Find(have.Dir, tree.Exact, 1, copy)
		for k := range plan.Steps {
			decide(&plan.Steps[k])
			kinds[plan.Steps[k].Kind]++
		}
		m := flat(have)
		before := len(m)
		m.apply(t, plan)
		if len(m) != len(w) {
			t.Fatalf("pair %d: %d entries, want %d\n%s", i, len(m), len(w), plan)
		}
		for p, e := range w {
			if !same(m[p], e) {
				t.Fatalf("pair %d: %s is %+v, want %+v\n%s", i, p, m[p], e, plan)
			}
		}
		made := 0
		for _, s := range plan.Steps {
			if (s.Have == nil || s.Displaces()) && (s.From == nil || !s.From.Moves) {
				made++
			}
		}
		for _, s := range plan.Steps {
			if s.From != nil && s.From.Moves && s.Have != nil && !s.Displaces() {
				made-- // it replaces a file, and its old path is none
			}
			if copy && s.From != nil && s.From.Moves {
				t.Fatalf("pair %d: something moves\n%s", i, plan)
			}
		}
		if got := before + made - len(w); got != int(plan.Removed()) {
			t.Fatalf("pair %d: %d entries went, the plan counts %d\n%s", i, got, plan.Removed(), plan)
		}
	}
	t.Logf("%v", kinds)
	for _, k := range []tree.Kind{tree.Move, tree.Reuse, tree.Make, tree.Fetch} {
		if kinds[k] < 100 {
			t.Errorf("%d times %s", kinds[k], k)
		}
	}
}

// decide has it that what is found is proved to be the same.
func decide(s *tree.Step) {
	if s.From == nil || s.Kind != tree.Fetch && s.Kind != tree.Verify {
		return
	}
	s.Kind = tree.Reuse
	if s.From.Moves {
		s.From.Entry().Flags |= tree.Moved
	}
}
