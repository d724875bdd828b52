package tree_test

import (
	"fmt"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

func TestPaths(t *testing.T) {
	root := treetest.Parse("a/b/c\nd")
	a := root.Dir.Find("a").Dir
	b := a.Find("b").Dir
	for _, c := range []struct{ got, want string }{
		{root.Dir.Path(), ""},
		{root.Dir.Join("d"), "d"},
		{a.Path(), "a"},
		{a.Join("x"), "a/x"},
		{b.Path(), "a/b"},
		{b.Join("c"), "a/b/c"},
		{fmt.Sprint(root.Dir.Depth(), a.Depth(), b.Depth()), "0 1 2"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestFindAndBetween(t *testing.T) {
	d := treetest.Parse("b\nd\nf\n\xff").Dir
	for _, name := range []string{"b", "d", "f", "\xff"} {
		if e := d.Find(name); e == nil || e.Name != name {
			t.Errorf("Find(%q) = %v", name, e)
		}
	}
	for _, name := range []string{"", "a", "c", "g", "\xff\xff"} {
		if e := d.Find(name); e != nil {
			t.Errorf("Find(%q) = %v", name, e)
		}
	}
	for _, c := range []struct {
		from, to string
		lo, hi   int
	}{
		{"", "", 0, 4},
		{"a", "", 0, 4},
		{"b", "", 0, 4},
		{"c", "", 1, 4},
		{"", "b", 0, 0},
		{"", "c", 0, 1},
		{"b", "f", 0, 2},
		{"b", "f\x01", 0, 3},
		{"g", "\xff", 3, 3},
		{"\xff\x01", "", 4, 4},
		{"f", "b", 2, 2}, // nothing, not a negative number
	} {
		if lo, hi := d.Between(c.from, c.to); lo != c.lo || hi != c.hi {
			t.Errorf("Between(%q, %q) = %d, %d, want %d, %d", c.from, c.to, lo, hi, c.lo, c.hi)
		}
	}
}

func TestTypeString(t *testing.T) {
	want := "unknown type, file, directory, link, opaque entry, special file, unknown entry"
	got := tree.Type(0).String()
	for typ := tree.File; typ <= tree.Unknown; typ++ {
		got += ", " + typ.String()
	}
	if got != want {
		t.Errorf("got %s", got)
	}
}

func TestEntries(t *testing.T) {
	for text, want := range map[string]uint64{
		"":                       1,
		"a":                      2,
		"a/ closed\nb opaque":    3,
		"a/b/c/d\na/b/e\nf >x\n": 7,
	} {
		if got := treetest.Parse(text).Entries(); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
	if got := (&tree.Entry{Type: tree.File}).Entries(); got != 1 {
		t.Errorf("a file: got %d", got)
	}
}

func TestIndex(t *testing.T) {
	root := treetest.Parse("a/x\na/y\nb\nc")
	a := root.Dir.Find("a").Dir
	x := tree.NewIndex(root)
	if d, e := x.Entry(0); d != nil || e != root {
		t.Errorf("entry 0 is %v in %v", e, d)
	}
	x.Add(root.Dir, 1, 2) // 1, 2: b and c
	x.Add(nil, 0, 3)      // 3 to 5: nothing
	x.Add(a, 0, 0)        // an empty section
	k := x.Add(a, 0, 2)   // 6, 7: x and y
	x.Add(root.Dir, 0, 1) // 8: a
	x.Settle(root.Dir)
	if got := x.Len(); got != 9 {
		t.Errorf("Len() = %d, want 9", got)
	}
	for id, want := range []string{1: "b", 2: "c", 3: "", 4: "", 5: "", 6: "a/x", 7: "a/y", 8: "a", 9: "", 10: ""} {
		if id == 0 {
			continue
		}
		got := ""
		d, e := x.Entry(uint64(id))
		if e != nil {
			got = d.Join(e.Name)
			at := -1
			for i := range d.Entries {
				if &d.Entries[i] == e {
					at = i
				}
			}
			if back, ok := x.ID(d, at); !ok || back != uint64(id) {
				t.Errorf("%s has number %d, %v, want %d", got, back, ok, id)
			}
		}
		if got != want {
			t.Errorf("entry %d is %q, want %q", id, got, want)
		}
	}
	if _, _, ok := x.Find(0); ok {
		t.Error("the root is found in a directory")
	}
	if _, _, ok := x.Find(1 << 63); ok {
		t.Error("a number that was not given out is found")
	}
	treetest.Add(a, tree.Entry{Name: "m", Type: tree.File})
	x.Move(k, 1)
	if _, e := x.Entry(6); e.Name != "x" {
		t.Errorf("after Move, entry 6 is %q", e.Name)
	}
	if id, ok := x.ID(a, 0); ok {
		t.Errorf("an entry without a number has %d", id)
	}
}

func TestSet(t *testing.T) {
	var s tree.Set
	for _, id := range []uint64{0, 63, 64, 1000} {
		if !s.Add(id) || s.Add(id) {
			t.Errorf("%d was in the set, or did not stay", id)
		}
	}
}
