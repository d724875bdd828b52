//go:build linux || darwin

package dirfs_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// counter counts the handles below a root that are open at the same time.
type counter struct {
	dirfs.Dir
	n *count
}

type count struct {
	open, most, opened atomic.Int32
	fail               func(name string) error // nil, or asked before OpenDir
}

func (c counter) OpenDir(name string) (dirfs.Dir, error) {
	if c.n.fail != nil {
		if err := c.n.fail(name); err != nil {
			return nil, err
		}
	}
	now := c.n.open.Add(1) // before the opening, as the limit is on that
	for most := c.n.most.Load(); now > most && !c.n.most.CompareAndSwap(most, now); {
		most = c.n.most.Load()
	}
	c.n.opened.Add(1)
	d, err := c.Dir.OpenDir(name)
	if err != nil {
		c.n.open.Add(-1)
		return nil, err
	}
	return counter{d, c.n}, nil
}

func (c counter) Close() error {
	c.n.open.Add(-1)
	return c.Dir.Close()
}

// child returns a node below parent.
func child(parent *tree.Dir, name string) *tree.Dir { return &tree.Dir{Parent: parent, Name: name} }

// known sets what identifies the directory that is at d.
func (p *place) known(d *tree.Dir) *tree.Dir {
	p.Helper()
	var st syscall.Stat_t
	ok(p, syscall.Lstat(p.at(d.Path()), &st))
	d.Dev, d.Ino = uint64(st.Dev), st.Ino
	return d
}

// is fails unless h gives a handle of the directory that holds marker.
func (p *place) is(h *dirfs.Handles, d *tree.Dir, marker string) {
	p.Helper()
	dir := must(h.Acquire(d))(p)
	defer h.Release(d)
	must(dir.Stat(marker))(p)
}

func TestHandlesOpenOnce(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, os.MkdirAll(p.at("a/b/c"), 0o700))
		var n count
		h := dirfs.NewHandles(counter{p.Dir, &n}, 16)
		root := &tree.Dir{}
		a := p.known(child(root, "a"))
		b := p.known(child(a, "b"))
		c := p.known(child(b, "c"))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for _, d := range []*tree.Dir{c, b, a, root} {
					if _, err := h.Acquire(d); err != nil {
						t.Error(err)
						return
					}
					defer h.Release(d)
				}
			})
		}
		group.Wait()
		if n.opened.Load() != 3 || n.open.Load() != 3 {
			p.Errorf("opened %d, open %d, want 3 and 3", n.opened.Load(), n.open.Load())
		}
		h.Close()
		if n.open.Load() != 0 {
			p.Errorf("open after Close: %d", n.open.Load())
		}
	})
}

func TestHandlesDeep(t *testing.T) {
	const depth, most = 1000, 8
	everywhere(t, func(p *place) {
		nodes := []*tree.Dir{{}}
		var n count
		h := dirfs.NewHandles(counter{p.Dir, &n}, most)
		for range depth {
			top := nodes[len(nodes)-1]
			dir := must(h.Acquire(top))(p)
			ok(p, dir.Mkdir("d", 0o700))
			h.Release(top)
			nodes = append(nodes, child(top, "d"))
		}
		h.Close()
		opened := n.opened.Swap(0)
		if opened > depth {
			p.Errorf("opened %d on the way down, want at most %d", opened, depth)
		}

		must(h.Acquire(nodes[depth]))(p) // all at once
		h.Release(nodes[depth])
		if n.opened.Load() != depth {
			p.Errorf("opened %d, want %d", n.opened.Load(), depth)
		}
		for i := depth; i > 0; i-- { // deepest first, as removing does
			dir, err := h.Acquire(nodes[i-1])
			ok(p, err)
			h.Forget(nodes[i])
			ok(p, dir.RemoveDir("d"))
			h.Release(nodes[i-1])
		}
		h.Close()
		if n.most.Load() > most || n.open.Load() != 0 {
			p.Errorf("at most %d open, want %d; %d left", n.most.Load(), most, n.open.Load())
		}
	})
}

func TestHandlesBounded(t *testing.T) {
	const wide, most, users = 30, 8, 3
	everywhere(t, func(p *place) {
		root := &tree.Dir{}
		var nodes []*tree.Dir
		for i := range wide {
			name := fmt.Sprint(i)
			ok(p, os.MkdirAll(p.at(name+"/sub"), 0o700))
			ok(p, os.WriteFile(p.at(name+"/sub/"+name), nil, 0o600))
			nodes = append(nodes, child(child(root, name), "sub"))
		}
		var n count
		h := dirfs.NewHandles(counter{p.Dir, &n}, most)
		var group sync.WaitGroup
		for range users {
			group.Go(func() {
				for range 300 {
					i := rand.IntN(wide)
					dir, err := h.Acquire(nodes[i])
					if err == nil {
						_, err = dir.Stat(fmt.Sprint(i))
						h.Release(nodes[i])
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		if n.most.Load() > most {
			p.Errorf("%d open at once, want at most %d", n.most.Load(), most)
		}

		// What is in use is never closed, also beyond the bound.
		for i := range wide {
			must(h.Acquire(nodes[i]))(p)
		}
		for i := range wide {
			p.is(h, nodes[i], fmt.Sprint(i))
			h.Release(nodes[i])
		}
		if n.open.Load() > most {
			p.Errorf("%d left open, want at most %d", n.open.Load(), most)
		}
		h.Close()
	})
}

func TestHandlesReplaced(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, os.MkdirAll(p.at("a/b"), 0o700))
		root := &tree.Dir{}
		a := p.known(child(root, "a"))
		b := child(a, "b")
		ok(p, os.Rename(p.at("a"), p.at("old")))
		ok(p, os.MkdirAll(p.at("a/b"), 0o700))
		h := dirfs.NewHandles(p.Dir, 8)
		defer h.Close()
		for range 2 { // a failure is not remembered, and leaves nothing open
			_, err := h.Acquire(b)
			wants(p, err, dirfs.ErrReplaced)
		}
		ok(p, os.RemoveAll(p.at("a")))
		_, err := h.Acquire(b)
		wants(p, err, fs.ErrNotExist)
		ok(p, os.Symlink("old", p.at("a")))
		_, err = h.Acquire(b)
		wants(p, err, syscall.ELOOP, syscall.ENOTDIR)
		ok(p, os.Remove(p.at("a")))
		ok(p, os.Rename(p.at("old"), p.at("a")))
		must(h.Acquire(b))(p)
		h.Release(b)
	})
}

func TestHandlesPlaceAndSettle(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, os.MkdirAll(p.at("stage/7/sub"), 0o700))
		ok(p, os.Mkdir(p.at("home"), 0o700))
		p.write("stage/7/top", "")
		p.write("stage/7/sub/below", "")
		stage := must(p.OpenDir("stage"))(p)
		defer stage.Close()
		root := &tree.Dir{}
		home := child(root, "home")
		built := child(home, "new")
		sub := child(built, "sub")
		h := dirfs.NewHandles(p.Dir, 8)
		defer h.Close()

		h.Place(built, stage, "7")
		p.is(h, sub, "below")
		p.is(h, built, "top")

		into := must(h.Acquire(home))(p)
		ok(p, stage.Rename("7", into, "new"))
		h.Settle(built)
		p.is(h, sub, "below")
		p.is(h, built, "top")
		dir := must(h.Acquire(sub))(p)
		ok(p, dir.Rename("below", into, "out")) // through a handle that was settled
		h.Release(sub)
		h.Release(home)

		// Moved out of the way, with its handle held; then opened anew.
		home2 := must(h.Acquire(home))(p)
		ok(p, home2.Rename("new", stage, "9"))
		h.Place(built, stage, "9")
		h.Release(home)
		p.is(h, built, "top")
		h.Forget(sub)
		h.Forget(built)
		_, err := h.Acquire(built) // its place is forgotten
		wants(p, err, fs.ErrNotExist)
	})
}

func TestHandlesForgetInUse(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, os.Mkdir(p.at("a"), 0o700))
		p.write("a/x", "")
		var n count
		h := dirfs.NewHandles(counter{p.Dir, &n}, 8)
		a := child(&tree.Dir{}, "a")
		dir := must(h.Acquire(a))(p)
		h.Forget(a)
		must(dir.Stat("x"))(p)
		h.Release(a)
		if n.open.Load() != 0 {
			p.Errorf("%d open, want 0", n.open.Load())
		}
	})
}

func TestHandlesTooManyOpen(t *testing.T) {
	everywhere(t, func(p *place) {
		var n count
		n.fail = func(string) error {
			if n.open.Load() >= 3 {
				return syscall.EMFILE
			}
			return nil
		}
		h := dirfs.NewHandles(counter{p.Dir, &n}, 100)
		defer h.Close()
		root := &tree.Dir{}
		var nodes []*tree.Dir
		for i := range 10 {
			ok(p, p.Mkdir(fmt.Sprint(i), 0o700))
			nodes = append(nodes, child(root, fmt.Sprint(i)))
		}
		for _, d := range nodes {
			must(h.Acquire(d))(p)
			h.Release(d)
		}
		for _, d := range nodes[:3] {
			must(h.Acquire(d))(p)
		}
		_, err := h.Acquire(nodes[3])
		wants(p, err, syscall.EMFILE)
		h.Release(nodes[0])
		must(h.Acquire(nodes[3]))(p)
	})
}

func TestDefaultHandles(t *testing.T) {
	if n := dirfs.DefaultHandles(); n < 4 || n > 256 {
		t.Errorf("got %d", n)
	}
}

// TestInject makes every call of a small run fail in turn, and checks that
// what fails was not made.
func TestInject(t *testing.T) {
	everywhere(t, func(p *place) {
		var calls []string
		changes := 0
		run := func(failAt int) error {
			calls, changes = nil, 0
			d := dirfs.Inject(p.Dir, func(c dirfs.Call) error {
				if len(calls) == failAt {
					return fmt.Errorf("injected at %s", c.Op)
				}
				calls = append(calls, c.Op)
				if c.Mutates {
					changes++
				}
				return nil
			})
			return work(d)
		}
		ok(p, run(-1))
		want := []string{"Mkdir", "OpenDir", "Create", "File.WriteAt", "File.Truncate", "File.Chmod",
			"File.SetTime", "File.Sync", "File.Info", "File.Close", "Rename", "Open", "File.ReadAt",
			"File.Close", "Symlink", "ReadLink", "Stat", "Self", "List", "Names", "Chmod", "SetTime",
			"Sync", "Remove", "Remove", "Close", "RemoveDir", "Space"}
		if !slices.Equal(calls, want) || changes != 16 {
			p.Errorf("got %d changes, calls %q\nwant %q", changes, calls, want)
		}
		for i, op := range want {
			err := run(i)
			if err == nil || err.Error() != "injected at "+op {
				p.Errorf("call %d: got %v, want it to fail at %s", i, err, op)
			}
			ok(p, os.RemoveAll(p.at("sub")))
			os.Remove(p.at("file"))
			os.Remove(p.at("link"))
		}
	})
}

// work makes every call but those that some systems do not support, and stops
// at the first error.
func work(d dirfs.Dir) error {
	if err := d.Mkdir("sub", 0o700); err != nil {
		return err
	}
	sub, err := d.OpenDir("sub")
	if err != nil {
		return err
	}
	if err := workFile(sub, d); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return d.Symlink("x", "link") },
		func() error { _, err := d.ReadLink("link"); return err },
		func() error { _, err := d.Stat("file"); return err },
		func() error { _, err := d.Self(); return err },
		func() error { return d.List(func([]byte, dirfs.Info, error) error { return nil }) },
		func() error { return d.Names(func([]byte) bool { return true }) },
		func() error { return sub.Chmod(0o755) },
		func() error { return sub.SetTime(tree.Time{Sec: 1}) },
		func() error { return sub.Sync() },
		func() error { return d.Remove("link") },
		func() error { return d.Remove("file") },
		func() error { return sub.Close() },
		func() error { return d.RemoveDir("sub") },
		func() error { _, err := d.Space(); return err },
	}
	return each(steps)
}

// workFile makes a file in sub, moves it to d and reads it there.
func workFile(sub, d dirfs.Dir) error {
	f, err := sub.Create("file")
	if err != nil {
		return err
	}
	if err := each([]func() error{
		func() error { _, err := f.WriteAt([]byte("abc"), 0); return err },
		func() error { return f.Truncate(2) },
		func() error { return f.Chmod(0o644) },
		func() error { return f.SetTime(tree.Time{Sec: 1}) },
		func() error { return f.Sync() },
		func() error { _, err := f.Info(); return err },
		func() error { return f.Close() },
		func() error { return sub.Rename("file", d, "file") },
	}); err != nil {
		return err
	}
	f, err = d.Open("file")
	if err != nil {
		return err
	}
	return each([]func() error{
		func() error { _, err := f.ReadAt(make([]byte, 2), 0); return err },
		func() error { return f.Close() },
	})
}

// each makes the steps until one fails.
func each(steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
