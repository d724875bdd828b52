package scan_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/scan"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const text = `./ 750 @5
a 640 @6.25 +3
d/ 700 @7
d/b @8
d/e/ @9
d/e/f @10
l >a @11
p other
z/ @12
`

func handles(t *testing.T, text string, portable bool, before func(dirfs.Call) error) *dirfs.Handles {
	t.Helper()
	dir := t.TempDir()
	treetest.Make(t, dir, text)
	root, err := dirfs.OpenRoot(dir, dirfs.Options{Portable: portable})
	if err != nil {
		t.Fatal(err)
	}
	if before != nil {
		root = dirfs.Inject(root, before)
	}
	h := dirfs.NewHandles(root, 2)
	t.Cleanup(func() { h.Close(); root.Close() })
	return h
}

func TestScan(t *testing.T) {
	want := treetest.Format(treetest.Parse(text))
	for _, portable := range []bool{false, true} {
		for _, workers := range []int{0, 1, 4} {
			var found atomic.Int64
			h := handles(t, text, portable, nil)
			root, err := scan.Scan(t.Context(), h, scan.Options{Workers: workers, Found: &found})
			if got := treetest.Format(&root); err != nil || got != want || found.Load() != 8 {
				t.Errorf("portable %v, %d workers: %v, %d found,\n%swant\n%s", portable, workers, err, found.Load(), got, want)
			}
			if d := root.Dir.Find("d").Dir; d.Ino == 0 || d.Parent != root.Dir || d.Find("e").Dir.Path() != "d/e" {
				t.Errorf("a directory is %+v", d)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	var mu sync.Mutex
	var visited []string
	h := handles(t, text, false, nil)
	root, err := scan.Scan(t.Context(), h, scan.Options{
		Workers: 1,
		Type: func(typ tree.Type) tree.Type {
			if typ == tree.Link || typ == tree.Other {
				return tree.Opaque
			}
			return typ
		},
		Flags: func(i dirfs.Info) tree.Flags { return tree.Flags(i.Nlink) },
		Skip: func(in *tree.Dir, name []byte, _ dirfs.Dir) (bool, error) {
			return in.Parent == nil && string(name) == "z", nil
		},
		Visit: func(d *tree.Dir) {
			mu.Lock()
			defer mu.Unlock()
			visited = append(visited, d.Path())
		},
	})
	if err != nil || root.Dir.Find("z") != nil || root.Dir.Find("l").Type != tree.Opaque || root.Dir.Find("l").Target != "" || root.Dir.Find("a").Flags != 1 {
		t.Errorf("%v\n%s", err, treetest.Format(&root))
	}
	if got := fmt.Sprintf("%q", visited); got != `["" "d" "d/e"]` {
		t.Errorf("visited %s", got)
	}
}

// What cannot be examined is in the tree as such, and told.
func TestProblems(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		fail func(dirfs.Call) bool
		want string
		told string
	}{
		{"a directory does not open", func(c dirfs.Call) bool { return c.Op == "OpenDir" && c.Name == "d" }, "d/ 700 @7 closed\nl >a", "d: broken"},
		{"a link cannot be read", func(c dirfs.Call) bool { return c.Op == "ReadLink" }, "l unknown entry\n", "l: broken"},
		{"one listing fails", func(c dirfs.Call) bool { return c.Op == "List" && c.Name == "" }, "", ""},
		{"the root cannot be examined", func(c dirfs.Call) bool { return c.Op == "Self" }, "", ""},
	} {
		var told []string
		h := handles(t, text, false, func(call dirfs.Call) error {
			if c.fail(call) {
				return broken
			}
			return nil
		})
		root, err := scan.Scan(t.Context(), h, scan.Options{Workers: 1, Unexamined: tree.Unknown, Problem: func(in *tree.Dir, name string, err error) {
			told = append(told, in.Join(name)+": "+err.Error())
		}})
		if c.want == "" {
			if !errors.Is(err, broken) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if got := treetest.Format(&root); err != nil || !strings.Contains(got, c.want) || strings.Join(told, ", ") != c.told {
			t.Errorf("%s: %v, told %q,\n%s", c.name, err, told, got)
		}
	}
}

func TestStops(t *testing.T) {
	stop := errors.New("stop")
	h := handles(t, text, false, nil)
	_, err := scan.Scan(t.Context(), h, scan.Options{Workers: 3, Skip: func(in *tree.Dir, name []byte, _ dirfs.Dir) (bool, error) {
		if string(name) == "f" {
			return false, stop
		}
		return false, nil
	}})
	if err != stop {
		t.Errorf("skip: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = scan.Scan(ctx, h, scan.Options{Workers: 1, Visit: func(*tree.Dir) { cancel(stop); <-ctx.Done() }})
	if err != nil && err != stop {
		t.Errorf("context: %v", err)
	}
	if _, err := scan.Scan(ctx, h, scan.Options{}); err != nil && err != stop {
		t.Errorf("context that has ended: %v", err)
	}
}

// What nobody could be told of is not read, and told: also a directory that has a short
// path, but not so short that every name in it has one.
func TestBounded(t *testing.T) {
	long := strings.Repeat("d", 250)
	deep := strings.Repeat(long+"/", 140)
	h := handles(t, "a/b/f @5 =x\n", false, nil)
	root, err := dirfs.OpenRoot(t.TempDir(), dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for at, names := root, strings.Split(strings.TrimSuffix(deep, "/"), "/"); len(names) > 0; names = names[1:] {
		if err := at.Mkdir(names[0], 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := at.OpenDir(names[0])
		if err != nil {
			t.Fatal(err)
		}
		if at != root {
			at.Close()
		}
		at = next
		if len(names) == 1 {
			at.Close()
		}
	}
	for _, c := range []struct {
		h     *dirfs.Handles
		limit bool
		depth int
	}{{h, true, 0}, {dirfs.NewHandles(root, 2), true, (tree.MaxPath - tree.MaxName) / 251}, {dirfs.NewHandles(root, 2), false, 0}} {
		var problems []string
		_, err := scan.Scan(t.Context(), c.h, scan.Options{Workers: 1, Bounded: c.limit, Problem: func(in *tree.Dir, name string, err error) {
			problems = append(problems, fmt.Sprint(strings.Count(in.Join(name), "/"), " ", err))
		}})
		var want []string
		if c.depth > 0 {
			want = []string{fmt.Sprint(c.depth, " it is too deep, or its path is too long")}
		}
		if err != nil || !slices.Equal(problems, want) {
			t.Errorf("bounded %v: %v, %v, want %v", c.limit, err, problems, want)
		}
		c.h.Close()
	}
}
