package tree_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// planText is a plan as the cases below write it: the steps, the removals,
// what is blocked, and the counts, separated by commas.
func planText(p *tree.Plan) string {
	var words []string
	for _, s := range p.Steps {
		word := s.Kind.String()
		if s.Displaces() {
			word = "displace+" + word
		}
		words = append(words, word+" "+s.Path())
	}
	for _, s := range p.Removals {
		words = append(words, "remove "+s.Path())
	}
	for _, s := range p.Blocked {
		words = append(words, "blocked "+s.Path())
	}
	if p.Removed() > 0 {
		words = append(words, fmt.Sprintf("removed=%d", p.Removed()))
	}
	if p.Files > 0 {
		words = append(words, fmt.Sprintf("files=%d bytes=%d", p.Files, p.Bytes))
	}
	return strings.Join(words, ", ")
}

// Constants of the cases: a file, others that differ from it in one way, and
// directories and links.
const (
	fF  = "f 644 @5 +3"
	fS  = "f 644 @5 +4"
	fT  = "f 644 @6 +3"
	fN  = "f 644 @5.5 +3"
	fP  = "f 600 @5 +3"
	fTP = "f 600 @6 +3"
	fU  = "f 644 @5 +3 unproved"
	fH  = "f 644 @5 +3 shared"
	fD  = "f/ 755 @5"
	fDx = "f/ 755 @5\nf/x 644 @5 +3"
	fDc = "f/ 755 @5 closed"
	fL  = "f >t @5"
	fLu = "f >u @5"
	fLt = "f >t @6"
	fO  = "f opaque"
	fX  = "f other"
	fK  = "f unknown"
)

func TestCompare(t *testing.T) {
	exact := tree.Exact
	noLinkTimes := tree.Exact
	noLinkTimes.LinkTimes = false
	for _, c := range []struct {
		name, have, want string
		canon            *tree.Canon
		plan             string
	}{
		{"nothing and nothing", "", "", nil, ""},
		{"the roots' metadata is no step", "./ 700 @1", "./ 755 @2", nil, ""},

		{"file: missing", "", fF, nil, "fetch f, files=1 bytes=3"},
		{"file: equal", fF, fF, nil, ""},
		{"file: size", fS, fF, nil, "fetch f, files=1 bytes=3"},
		{"file: size, though unproved", "f +4 unproved", fF, nil, "fetch f, files=1 bytes=3"},
		{"file: time", fT, fF, nil, "verify f, files=1 bytes=3"},
		{"file: nanoseconds", fN, fF, nil, "verify f, files=1 bytes=3"},
		{"file: nanoseconds that cannot be held", fN, fF, &coarse, ""},
		{"file: permission", fP, fF, nil, "touch f"},
		{"file: time and permission", fTP, fF, nil, "verify f, files=1 bytes=3"},
		{"file: unproved", fU, fF, nil, "verify f, files=1 bytes=3"},
		{"file: unproved at the source means nothing", fF, fU, nil, ""},
		{"file: shared", fH, fF, nil, ""},
		{"file: shared, permission", "f 600 @5 +3 shared", fF, nil, "touch f"},
		{"file: empty, missing", "", "f +0", nil, "fetch f, files=1 bytes=0"},
		{"file: extra", fF, "", nil, "remove f, removed=1"},

		{"directory: missing", "", fD, nil, "make f"},
		{"directory: missing, with a file", "", fDx, nil, "make f, fetch f/x, files=1 bytes=3"},
		{"directory: equal", fDx, fDx, nil, ""},
		{"directory: time", "f/ 755 @6", fD, nil, "touch f"},
		{"directory: permission", "f/ 700 @5", fD, nil, "touch f"},
		{"directory: time and what is in it", "f/ 755 @6\nf/x +3", fDx, nil, "touch f, verify f/x, files=1 bytes=3"},
		{"directory: extra, empty", fD, "", nil, "remove f, removed=1"},
		{"directory: extra, with all in it", "f/a/b/c\nf/d", "", nil, "remove f, removed=5"},
		{"directory: extra in one that stays", "d/x\nd/y", "d/x", nil, "remove d/y, removed=1"},

		{"link: missing", "", fL, nil, "link f"},
		{"link: equal", fL, fL, nil, ""},
		{"link: target", fLu, fL, nil, "link f"},
		{"link: time", fLt, fL, nil, "touch f"},
		{"link: time that cannot be set", fLt, fL, &noLinkTimes, ""},
		{"link: extra", fL, "", nil, "remove f, removed=1"},

		{"file → directory", fF, fD, nil, "displace+make f, removed=1"},
		{"file → directory with a file", fF, fDx, nil, "displace+make f, fetch f/x, removed=1, files=1 bytes=3"},
		{"file → link", fF, fL, nil, "displace+link f, removed=1"},
		{"directory → file", fD, fF, nil, "displace+fetch f, removed=1, files=1 bytes=3"},
		{"directory with a file → file", fDx, fF, nil, "displace+fetch f, removed=2, files=1 bytes=3"},
		{"directory with a file → link", fDx, fL, nil, "displace+link f, removed=2"},
		{"link → file", fL, fF, nil, "displace+fetch f, removed=1, files=1 bytes=3"},
		{"link → directory", fL, fD, nil, "displace+make f, removed=1"},
		{"special → file", fX, fF, nil, "displace+fetch f, removed=1, files=1 bytes=3"},
		{"special → directory", fX, fD, nil, "displace+make f, removed=1"},
		{"special → link", fX, fL, nil, "displace+link f, removed=1"},
		{"special → nothing", fX, "", nil, "remove f, removed=1"},

		{"opaque at the source: nothing here", "", fO, nil, ""},
		{"opaque at the source: file here", fF, fO, nil, ""},
		{"opaque at the source: full directory here", fDx, fO, nil, ""},
		{"opaque at the source: closed directory here", fDc, fO, nil, ""},
		{"opaque at the source: link here", fL, fO, nil, ""},
		{"opaque at the source: special here", fX, fO, nil, ""},
		{"opaque at the source: unknown here", fK, fO, nil, ""},

		{"unknown here: file", fK, fF, nil, "blocked f"},
		{"unknown here: directory, and nothing below it", fK, fDx, nil, "blocked f"},
		{"unknown here: link", fK, fL, nil, "blocked f"},
		{"unknown here: nothing", fK, "", nil, "blocked f"},
		{"unknown here, the rest goes on", fK + "\ng", fF + "\nh +1", nil, "fetch h, remove g, blocked f, removed=1, files=1 bytes=1"},

		{"closed here: directory", fDc, fDx, nil, "blocked f"},
		{"closed here: directory of another time", "f/ 755 @6 closed", fD, nil, "blocked f"},
		{"closed here: file", fDc, fF, nil, "blocked f"},
		{"closed here: link", fDc, fL, nil, "blocked f"},
		{"closed here: nothing", fDc, "", nil, "blocked f"},
		{"closed at the source: full directory here", fDx, fDc, nil, ""},
		{"closed at the source: directory of another permission here", "f/ 700 @5\nf/x", fDc, nil, ""},
		{"closed at the source: nothing here", "", fDc, nil, "make f"},
		{"closed at the source: file here", fF, fDc, nil, ""},
		{"closed on both sides", fDc, fDc, nil, ""},
		{"the root is closed here", "./ closed", fF, nil, "blocked "},
		{"the root is closed here, and nothing is wanted", "./ closed", "", nil, "blocked "},

		{"directories before what is in them, in order", "", "b/c/d\nb/a\na", nil,
			"fetch a, make b, fetch b/a, make b/c, fetch b/c/d, files=3 bytes=0"},
		{"breadth and depth", "", "a/x/1\na/y/2\nb/x/3", nil,
			"make a, make b, make a/x, make a/y, fetch a/x/1, fetch a/y/2, make b/x, fetch b/x/3, files=3 bytes=0"},
		{"merge of names", "a\nc\ne\ng", "b\nc\nd\nf\ng\nh", nil,
			"fetch b, fetch d, fetch f, fetch h, remove a, remove e, removed=2, files=4 bytes=0"},
		{"names are bytes", "a\nB\n\xff", "A\nb\n\xfe", nil,
			"fetch A, fetch b, fetch \xfe, remove B, remove a, remove \xff, removed=3, files=3 bytes=0"},
		{"a move is a fetch and a removal", "a/x +3", "b/x +3", nil, "make b, fetch b/x, remove a, removed=2, files=1 bytes=3"},
		{"a name that is another's beginning", "ab/x", "a/x\nab/x", nil, "make a, fetch a/x, files=1 bytes=0"},
		{"everything goes", "a/b/c\nd\ne >x", "", nil, "remove a, remove d, remove e, removed=5"},
		{"bytes add up", "a +1", "a +2\nb +3\nc/d +4", nil, "fetch a, fetch b, make c, fetch c/d, files=3 bytes=9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			canon := exact
			if c.canon != nil {
				canon = *c.canon
			}
			p := tree.Compare(treetest.Parse(c.have), treetest.Parse(c.want), canon, nil)
			if got := planText(p); got != c.plan {
				t.Errorf("\n got %s\nwant %s", got, c.plan)
			}
			if p.Empty() != (c.plan == "") {
				t.Errorf("Empty() is %v", p.Empty())
			}
			seen := map[*tree.Dir]bool{}
			for _, s := range p.Steps {
				if s.Kind == tree.Make {
					seen[s.Entry().Dir] = true
				}
				if s.Have == nil && s.Dir.Parent != nil && !seen[s.Dir] && p.Removed() == 0 && c.have == "" {
					t.Errorf("%s comes before its directory", s.Path())
				}
			}
		})
	}
}

// Shared subtrees are equal and are not looked into.
func TestCompareShared(t *testing.T) {
	have, want := treetest.Parse("a/x\nb/y"), treetest.Parse("a/x\nb/z")
	want.Dir.Find("a").Dir = have.Dir.Find("a").Dir
	have.Dir.Find("a").Dir.Entries[0].Type = tree.Unknown
	want.Dir.Find("a").Perm = 0o700
	p := tree.Compare(have, want, tree.Exact, nil)
	if got, want := planText(p), "touch a, fetch b/z, remove b/y, removed=1, files=1 bytes=0"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	want.Dir = have.Dir
	if p := tree.Compare(have, want, tree.Exact, nil); !p.Empty() {
		t.Errorf("the same tree: %s", planText(p))
	}
}

func TestPlanString(t *testing.T) {
	p := tree.Compare(treetest.Parse("f unproved\ng 600\nh/x\nk +1\nl >a"), treetest.Parse("d/\nf\ng\nk +2\nl >b\nz"), tree.Exact, nil)
	want := `make "d"
verify "f"
touch "g"
fetch "k"
link "l"
fetch "z"
remove "h"
`
	if got := p.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
