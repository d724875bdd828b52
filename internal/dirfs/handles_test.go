//go:build linux || darwin

package dirfs_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
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
	on(t, variants()[:len(variants())/2], func(p *place) {
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

// TestHandlesCheck moves directories away while their handles are held.
func TestHandlesCheck(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, os.MkdirAll(p.at("a/b/new/c"), 0o700))
		root := &tree.Dir{}
		a := p.known(child(root, "a"))
		b := p.known(child(a, "b"))
		c := p.known(child(child(b, "new"), "c")) // below one that is not known
		h := dirfs.NewHandles(p.Dir, 8)
		defer h.Close()
		for _, d := range []*tree.Dir{root, a, b, c} {
			must(h.Acquire(d))(p)
			ok(p, h.Check(d))
		}
		ok(p, os.Rename(p.at("a/b"), p.at("saved")))
		for _, d := range []*tree.Dir{b, c} {
			wants(p, h.Check(d), fs.ErrNotExist)
		}
		ok(p, os.Mkdir(p.at("a/b"), 0o700))
		wants(p, h.Check(c), dirfs.ErrReplaced)
		ok(p, os.Remove(p.at("a/b")))
		ok(p, os.Symlink("../saved", p.at("a/b")))
		wants(p, h.Check(c), dirfs.ErrReplaced)
		ok(p, h.Check(a))
		ok(p, os.Remove(p.at("a/b")))
		ok(p, os.Rename(p.at("saved"), p.at("a/b")))
		ok(p, h.Check(c))
		for _, d := range []*tree.Dir{a, b, c} {
			h.Release(d)
		}
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
