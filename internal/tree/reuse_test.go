package tree_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// grafted returns a new directory at path of want with what old of have holds.
func grafted(t *testing.T, want, have *tree.Entry, path, old string) *tree.Dir {
	t.Helper()
	d := treetest.Find(want, path).Dir
	if !tree.Graft(d, treetest.Find(have, old).Dir) {
		t.Fatalf("%s can not be %s", path, old)
	}
	return d
}

func TestGraft(t *testing.T) {
	for _, c := range []struct {
		name, have string
		can        bool
	}{
		{"files, directories and links", "a/f 600 @5.7 +3\na/l >x @6\na/s/g +9\na/s/e/", true},
		{"flags, which are of the other file", "a/f unproved\na/s/g shared", true},
		{"a special file", "a/s/p other", false},
		{"what could not be examined", "a/s/p unknown", false},
		{"what could not be read", "a/s/p/ closed", false},
		{"what could not be read itself", "a/ closed", false},
	} {
		have, want := treetest.Parse(c.have), treetest.Parse("n/z/")
		from, to := have.Dir.Find("a").Dir, treetest.Find(want, "n/z").Dir
		tree.NewSummer(tree.Exact).Sum(have.Dir)
		if got := tree.Graft(to, from); got != c.can {
			t.Errorf("%s: %v", c.name, got)
		}
		if !c.can {
			continue
		}
		old := strings.TrimPrefix(treetest.Format(have), "./ 755 @1000\n")
		if got := treetest.Format(want); got != "./ 755 @1000\nn/ 755 @1000\n"+strings.ReplaceAll(old, "a/", "n/z/") {
			t.Errorf("%s: got\n%s", c.name, got)
		}
		if to.Digest != from.Digest || to.Digest.IsZero() {
			t.Errorf("%s: digests %s and %s", c.name, to.Digest, from.Digest)
		}
		for path, e := range flat(want) {
			if e.Flags != 0 {
				t.Errorf("%s: %s has flags %b", c.name, path, e.Flags)
			}
			if e.Dir != nil && (e.Dir.Path() != path || e.Dir.Ino != 0) {
				t.Errorf("%s: %s says that it is %s", c.name, path, e.Dir.Path())
			}
		}
	}
}

// What is deep is grafted where it is no deeper than a tree may be.
func TestGraftDeep(t *testing.T) {
	have, want := deep(tree.MaxDepth-1), treetest.Parse("a/\nb/c/")
	from := have.Dir.Entries[0].Dir
	if !tree.Graft(want.Dir.Find("a").Dir, from) {
		t.Error("what is as deep as may be is not grafted")
	}
	have = deep(tree.MaxDepth + 1)
	if tree.Graft(treetest.Find(want, "b/c").Dir, have.Dir.Entries[0].Dir) {
		t.Error("what is too deep is grafted")
	}
}

// TestChoose asks what some new directories shall be, one after the other: each as
// path=candidate|candidate.
func TestChoose(t *testing.T) {
	for _, c := range []struct {
		name, have, want string
		copy             bool
		ask              string
		chosen           string
	}{
		{"one that goes", "a/f", "z/", false, "z=a", "z<a"},
		{"one that stays", "a/f", "a same\nz/", false, "z=a", "z+a"},
		{"one that stays in one that stays", "d/a/f", "d same\nz/", false, "z=d/a", "z+d/a"},
		{"one that changes", "a/f", "a/g\nz/", false, "z=a", "z?"},
		{"one in one that goes", "d/a/f", "z/", false, "z=d/a", "z<d/a"},
		{"one in one that changes", "d/a/f", "d/x\nz/", false, "z=d/a", "z<d/a"},
		{"one that is displaced by a file", "a/f", "a\nz/", false, "z=a", "z?"},
		{"one that is displaced by a link", "a/f", "a >x\nz/", false, "z=a", "z?"},
		{"one in one that is displaced", "d/a/f", "d\nz/", false, "z=d/a", "z?"},
		{"one that the source does not describe", "a/f", "a opaque\nz/", false, "z=a", "z+a"},
		{"one in what the source does not describe", "d/a/f", "d opaque\nz/", false, "z=d/a", "z+d/a"},
		{"one that the source could not read", "a/f", "a/ closed\nz/", false, "z=a", "z?"},
		{"one in what the source could not read", "d/a/f", "d/ closed\nz/", false, "z=d/a", "z?"},
		{"rather one that goes", "a/f\nb/f", "a same\nz/", false, "z=a|b", "z<b"},
		{"never one that changes", "a/f\nb/f", "a/g\nb same\nz/", false, "z=a|b", "z+b"},
		{"two that want the same", "a/f", "y/\nz/", false, "y=a z=a", "y<a z+a"},
		{"two for two", "a/f\nb/f", "y/\nz/", false, "y=a|b z=a|b", "y<a z<b"},
		{"one in another, after that", "a/s/f", "y/\nz/", false, "y=a z=a/s", "y<a z+a/s"},
		{"one in another, before that", "a/s/f", "y/\nz/", false, "y=a/s z=a", "y<a/s z+a"},
		{"two in one", "a/s/f\na/t/f", "y/\nz/", false, "y=a/s z=a/t", "y<a/s z<a/t"},
		{"nothing moves", "a/f", "z/", true, "z=a", "z+a"},
		{"nothing moves, twice", "a/f", "y/\nz/", true, "y=a z=a", "y+a z+a"},
		{"no candidate", "a/f", "z/", false, "z=", "z?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := treetest.Parse(c.have)
			want := sharing(c.want, have)
			m := tree.Mover{Want: want.Dir, Copy: c.copy}
			var chosen []string
			for _, ask := range strings.Fields(c.ask) {
				path, paths, _ := strings.Cut(ask, "=")
				var candidates []*tree.Dir
				for _, p := range strings.FieldsFunc(paths, func(r rune) bool { return r == '|' }) {
					candidates = append(candidates, treetest.Find(have, p).Dir)
				}
				o := m.Choose(candidates)
				switch {
				case o == nil:
					path += "?"
				case o.Moves:
					path += "<" + o.Path()
				default:
					path += "+" + o.Path()
				}
				if o != nil && o.Moves != (o.Entry().Flags&tree.Moved != 0) && c.ask == ask {
					t.Errorf("the flag of %s does not say whether it moves", o.Path())
				}
				chosen = append(chosen, path)
			}
			if got := strings.Join(chosen, " "); got != c.chosen {
				t.Errorf("got %s, want %s", got, c.chosen)
			}
		})
	}
}

// sharing is Parse for a wanted tree in which "NAME same" is what have has there.
func sharing(text string, have *tree.Entry) *tree.Entry {
	var rest []string
	var same []string
	for line := range strings.Lines(text) {
		if name, is := strings.CutSuffix(strings.TrimSpace(line), " same"); is {
			same = append(same, name)
		} else {
			rest = append(rest, line)
		}
	}
	want := treetest.Parse(strings.Join(rest, ""))
	for _, name := range same {
		e := *have.Dir.Find(name)
		dir := e.Dir
		treetest.Add(want.Dir, tree.Entry{Name: name}).Type = tree.Directory
		*want.Dir.Find(name) = e
		want.Dir.Find(name).Dir = dir
	}
	return want
}

// What does not move after all can be taken by another.
func TestStay(t *testing.T) {
	have, want := treetest.Parse("a/f"), treetest.Parse("y/\nz/")
	m := tree.Mover{Want: want.Dir}
	a := []*tree.Dir{have.Dir.Find("a").Dir}
	first := m.Choose(a)
	second := m.Choose(a)
	m.Stay(second) // which was to be a copy: that changes nothing
	if have.Dir.Find("a").Flags&tree.Moved == 0 {
		t.Error("it does not move")
	}
	m.Stay(first)
	if have.Dir.Find("a").Flags&tree.Moved != 0 {
		t.Error("it moves")
	}
	if o := m.Choose(a); o == nil || !o.Moves {
		t.Errorf("%+v", o)
	}
}

// fromText is planText with where things come from: "<" what moves, "+" what is
// copied, "!" after what is proved.
func fromText(p *tree.Plan) string {
	var words []string
	for i := range p.Steps {
		s := &p.Steps[i]
		word := s.Kind.String() + " " + s.Path()
		if s.Displaces() {
			word = "displace+" + word
		}
		if o := s.From; o != nil {
			word += map[bool]string{true: "<", false: "+"}[o.Moves] + o.Path()
			if o.Proved {
				word += "!"
			}
		}
		if s.Within != nil {
			word += " within " + s.Within.Path() + "/"
		}
		words = append(words, word)
	}
	for i := range p.Removals {
		words = append(words, "remove "+p.Removals[i].Path())
	}
	if n := p.Removed(); n > 0 {
		words = append(words, fmt.Sprintf("removed=%d", n))
	}
	return strings.Join(words, ", ")
}

// TestCompareOrigins has new directories that are elsewhere: new=old.
func TestCompareOrigins(t *testing.T) {
	for _, c := range []struct{ name, have, want, origins, plan string }{
		{"renamed", "a/f\na/s/g", "z/", "z<a", "move z<a within /, remove a"},
		{"moved out of one that stays", "d/a/f\nd/x", "d/x\nz/", "z<d/a", "move z<d/a within d/, remove d/a"},
		{"moved out of one that goes", "d/a/f\nd/x", "z/", "z<d/a", "move z<d/a, remove d, removed=2"},
		{"moved into a new one", "a/f", "n/z/", "n/z<a", "make n, move n/z<a within /, remove a"},
		{"moved onto a file", "a/f\nz", "z/", "z<a", "displace+move z<a within /, remove a, removed=1"},
		{"copied", "a/f +3\na/l >x\na/s/g +4", "a same\nz/", "z+a", "make z, reuse z/f+a/f!, link z/l, make z/s, reuse z/s/g+a/s/g!"},
		{"copied onto a link", "a/f +3\nz >x", "a same\nz/", "z+a", "displace+make z, reuse z/f+a/f!, removed=1"},
		{"renamed and copied", "a/f", "y/\nz/", "y<a z+a", "move y<a within /, make z, reuse z/f+a/f!, remove a"},
		{"what is in it moves elsewhere", "a/f\na/s/g", "y/\nz/", "y<a/s z+a", "move y<a/s, make z, reuse z/f+a/f!, make z/s, reuse z/s/g+a/s/g!, remove a, removed=2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := treetest.Parse(c.have)
			want := sharing(c.want, have)
			origins := make(tree.Origins)
			m := tree.Mover{Want: want.Dir}
			for _, w := range strings.Fields(c.origins) {
				i := strings.IndexAny(w, "<+")
				d := grafted(t, want, have, w[:i], w[i+1:])
				o := m.Choose([]*tree.Dir{treetest.Find(have, w[i+1:]).Dir})
				if o == nil || o.Moves != (w[i] == '<') {
					t.Fatalf("%s: %+v", w, o)
				}
				origins[d] = o
			}
			p := tree.Compare(have, want, tree.Exact, origins)
			if got := fromText(p); got != c.plan {
				t.Errorf("\n got %s\nwant %s", got, c.plan)
			}
		})
	}
}

// TestCopied asks for the steps that do what a move does, without it.
func TestCopied(t *testing.T) {
	have := treetest.Parse("a/f +3\na/l >x\na/s/g +4\na/s/e/\nz")
	want := treetest.Parse("z/")
	d := grafted(t, want, have, "z", "a")
	o := (&tree.Mover{Want: want.Dir}).Choose([]*tree.Dir{have.Dir.Find("a").Dir})
	p := tree.Compare(have, want, tree.Exact, tree.Origins{d: o})
	steps := p.Steps[0].Copied()
	got := fromText(&tree.Plan{Steps: steps})
	if want := "displace+make z within /, reuse z/f+a/f!, link z/l, make z/s, make z/s/e, reuse z/s/g+a/s/g!, removed=1"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if p.Steps[0].Kind != tree.Move || !o.Moves {
		t.Error("the move itself is another now")
	}
}

// TestFind looks for files elsewhere.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, have, want string
		least            int64
		copy             bool
		plan             string
	}{
		{"renamed", "a +9", "z +9", 1, false, "fetch z<a, remove a, removed=1"},
		{"nothing moves", "a +9", "z +9", 1, true, "fetch z+a, remove a, removed=1"},
		{"copied", "a +9", "a +9\nz +9", 1, false, "fetch z+a"},
		{"of another size", "a +9", "z +8", 1, false, "fetch z, remove a, removed=1"},
		{"of another time", "a +9", "z @5 +9", 1, false, "fetch z, remove a, removed=1"},
		{"of another mode", "a 600 +9", "z +9", 1, false, "fetch z<a, remove a, removed=1"},
		{"too small", "a +9", "z +9", 10, false, "fetch z, remove a, removed=1"},
		{"just not too small", "a +9", "z +9", 9, false, "fetch z<a, remove a, removed=1"},
		{"of the same name rather", "a +9\nd/z +9\ne +9", "z +9", 1, false, "fetch z<d/z, remove a, remove d, remove e, removed=4"},
		{"one that goes rather", "a +9\nd/b +9", "a +9\nz +9", 1, false, "fetch z<d/b, remove d, removed=2"},
		{"one of the same name that stays, rather", "d/z +9\ne +9", "d/z +9\nz +9", 1, false, "fetch z+d/z, remove e, removed=1"},
		{"two that want the same", "a +9", "y +9\nz +9", 1, false, "fetch y<a, fetch z+a, remove a, removed=1"},
		{"two that are swapped", "a @1 +9\nb @2 +9", "a @2 +9\nb @1 +9", 1, false, "verify a+b, verify b+a"},
		{"where something else is", "a +9\nz +8", "z +9", 1, false, "fetch z<a, remove a, removed=1"},
		{"where only the content can tell", "a +9\nz unproved +9", "z +9", 1, false, "verify z, remove a, removed=1"},
		{"in one that goes", "d/a +9\nd/b +8", "z +9", 1, false, "fetch z<d/a, remove d, removed=3"},
		{"in one that makes way", "d/a +9", "d +8\nz +9", 1, false, "displace+fetch d, fetch z+d/a, removed=2"},
		{"a link", "a >x\n", "z +1", 0, false, "fetch z, remove a, removed=1"},
		{"an empty file", "a +0", "z +0", 1, false, "fetch z, remove a, removed=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			have, want := treetest.Parse(c.have), treetest.Parse(c.want)
			p := tree.Compare(have, want, tree.Exact, nil)
			found := p.Find(have.Dir, tree.Exact, c.least, c.copy)
			if got := fromText(p); got != c.plan {
				t.Errorf("\n got %s\nwant %s", got, c.plan)
			}
			n := 0
			for _, s := range p.Steps {
				if s.From != nil {
					n++
				}
			}
			if n != found {
				t.Errorf("found %d, says %d", n, found)
			}
		})
	}
}

// Where contents are known they decide, and prove.
func TestFindKnown(t *testing.T) {
	have, want := treetest.Parse("a @1 +9\nb @5 +9"), treetest.Parse("z @5 +9")
	have.Dir.Find("a").Target, have.Dir.Find("b").Target, want.Dir.Find("z").Target = "one", "two", "one"
	p := tree.Compare(have, want, tree.Exact, nil)
	p.Find(have.Dir, tree.Exact, 1, false)
	if got, want := fromText(p), "fetch z<a!, remove a, remove b, removed=2"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// A file in a directory that moves goes with it, and is copied for others.
func TestFindInWhatMoves(t *testing.T) {
	have, want := treetest.Parse("a/f +9\nd/s/g +8\nd/x"), treetest.Parse("n +8\nv +9\ny/\nz/")
	m := tree.Mover{Want: want.Dir}
	origins := make(tree.Origins)
	for path, old := range map[string]string{"z": "a", "y": "d/s"} {
		origins[grafted(t, want, have, path, old)] = m.Choose([]*tree.Dir{treetest.Find(have, old).Dir})
	}
	p := tree.Compare(have, want, tree.Exact, origins)
	p.Find(have.Dir, tree.Exact, 1, false)
	if got, want := fromText(p), "fetch n+d/s/g, fetch v+a/f, move y<d/s, move z<a within /, remove a, remove d, removed=2"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// Times that the destination can not hold do not keep a file from being found.
func TestFindCoarse(t *testing.T) {
	have, want := treetest.Parse("a @5 +9"), treetest.Parse("z @5.5 +9")
	p := tree.Compare(have, want, coarse, nil)
	if p.Find(have.Dir, coarse, 1, false) != 1 {
		t.Error(fromText(p))
	}
}
