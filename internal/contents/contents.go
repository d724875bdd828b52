// Package contents finds out the content of all files of a tree, from a cache or
// by reading, for a comparison that trusts no size and no time.
//
// Its law: a digest in the tree is that of the file as the tree describes it. A
// file that can not be read, or is not any more what was scanned, has none; who
// compares finds out why when it comes to that file.
package contents

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// batch is how many files of a directory a worker takes at once.
const batch = 64

// Fill digests the content of all files below root whose content is not known,
// by so many workers, and keeps in the cache what it read, also when it is
// stopped, which is its only failure. Read counts the bytes.
func Fill(ctx context.Context, root *tree.Dir, handles *dirfs.Handles, workers int, c *cache.Cache, read *atomic.Int64, log *slog.Logger) error {
	all := fill(ctx, root, workers, filler{handles: handles, cache: c, read: read})
	if err := c.Save(all && ctx.Err() == nil); err != nil {
		log.Debug("what is known of contents was not kept", "cause", err)
	}
	return context.Cause(ctx)
}

// All reports whether the content of all files below root is known.
func All(root *tree.Dir) bool {
	all := true
	walk(root, func(e *tree.Entry) { all = all && e.Target != "" })
	return all
}

// Prove returns the digest of the content below a directory of which nothing is
// known yet, and whether there is one: of each file below, as it was scanned. It
// is BLAKE3 over the content digests of the files in the order of their names,
// a directory's where its name is. What the cache knows is not read, and what is
// read is added to the cache. It fails only when it is stopped.
func Prove(ctx context.Context, root *tree.Dir, handles *dirfs.Handles, workers int, c *cache.Cache, read *atomic.Int64) (d digest.Digest, ok bool, err error) {
	ok = fill(ctx, root, workers, filler{handles: handles, cache: c, read: read, find: c != nil})
	h := digest.NewHasher()
	walk(root, func(e *tree.Entry) {
		ok = ok && len(e.Target) == digest.Size
		h.Write([]byte(e.Target))
		e.Target = ""
	})
	return h.Sum(), ok, context.Cause(ctx)
}

// walk calls f for each file below root, in the order of their names.
func walk(root *tree.Dir, f func(*tree.Entry)) {
	type frame struct {
		d    *tree.Dir
		next int
	}
	for stack := []frame{{d: root}}; len(stack) > 0; {
		t := &stack[len(stack)-1]
		if t.next == len(t.d.Entries) {
			stack = stack[:len(stack)-1]
			continue
		}
		e := &t.d.Entries[t.next]
		t.next++
		switch e.Type {
		case tree.File:
			f(e)
		case tree.Directory:
			stack = append(stack, frame{d: e.Dir})
		}
	}
}

// filler finds out contents.
type filler struct {
	handles *dirfs.Handles
	cache   *cache.Cache
	read    *atomic.Int64
	find    bool // what the cache knows was not looked up before
}

// fill has the content of all files below root found out by so many workers, and
// reports whether all directories could be looked into.
func fill(ctx context.Context, root *tree.Dir, workers int, f filler) (all bool) {
	jobs := make(chan job, 2*workers)
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			for j := range jobs {
				f.fill(ctx, j)
			}
		})
	}
	all = hand(ctx, root, jobs)
	close(jobs)
	wg.Wait()
	return all
}

// hand hands out what is to be digested, and reports whether all directories
// could be looked into.
func hand(ctx context.Context, root *tree.Dir, jobs chan<- job) (all bool) {
	all = true
	for stack := []*tree.Dir{root}; len(stack) > 0 && ctx.Err() == nil; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		all = all && !d.Closed
		from, unknown := 0, 0
		for i := range d.Entries {
			e := &d.Entries[i]
			if e.Dir != nil {
				stack = append(stack, e.Dir)
			}
			if e.Type == tree.File && e.Target == "" {
				unknown++
			}
			if unknown == batch || unknown > 0 && i == len(d.Entries)-1 {
				jobs <- job{d, d.Entries[from : i+1]}
				from, unknown = i+1, 0
			}
		}
	}
	return all
}

// job are some entries of a directory.
type job struct {
	dir     *tree.Dir
	entries []tree.Entry
}

func (f *filler) fill(ctx context.Context, j job) {
	h, err := f.handles.Acquire(j.dir)
	if err != nil {
		return
	}
	defer f.handles.Release(j.dir)
	for i := range j.entries {
		e := &j.entries[i]
		if e.Type != tree.File || e.Target != "" || ctx.Err() != nil {
			continue
		}
		if e.Target = f.known(h, e); e.Target == "" {
			e.Target = f.sum(ctx, h, e)
		}
	}
}

// known returns what the cache knows of the content of a file, if that is still
// what was scanned.
func (f *filler) known(h dirfs.Dir, e *tree.Entry) string {
	if !f.find {
		return ""
	}
	info, err := h.Stat(e.Name)
	if err != nil || info.Type != tree.File || info.Size != e.Size || info.MTime != e.MTime() {
		return ""
	}
	return find(f.cache, info)
}

// sum digests the content of a file; "" says that it has none.
func (f *filler) sum(ctx context.Context, h dirfs.Dir, e *tree.Entry) string {
	began := time.Now()
	file, err := supply.Open(h, e.Name)
	if err != nil {
		return ""
	}
	defer file.Close()
	if file.Meta.Size != e.Size || file.Meta.MTime != e.MTime() {
		return ""
	}
	d, err := file.Sum(func(n int) error {
		f.read.Add(int64(n))
		return context.Cause(ctx)
	})
	if err != nil {
		return ""
	}
	if k, ok := cache.KeyOf(file.Info()); ok {
		f.cache.Add(k, d, began)
	}
	return string(d[:])
}

// Forget takes the contents out of a tree again, and with them all its digests.
func Forget(root *tree.Dir) {
	for stack := []*tree.Dir{root}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		d.Reset()
		for i := range d.Entries {
			switch e := &d.Entries[i]; e.Type {
			case tree.File:
				e.Target = ""
			case tree.Directory:
				stack = append(stack, e.Dir)
			}
		}
	}
}
