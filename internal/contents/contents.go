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
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/supply"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Known returns a function that scans call for each file: what the cache knows
// of its content.
func Known(c *cache.Cache) func(dirfs.Info) string {
	return func(info dirfs.Info) string {
		if k, ok := cache.KeyOf(info); ok {
			if d, ok := c.Find(k); ok {
				return string(d[:])
			}
		}
		return ""
	}
}

// batch is how many files of a directory a worker takes at once.
const batch = 64

// Fill digests the content of all files below root whose content is not known,
// by so many workers, and keeps in the cache what it read, also when it is
// stopped, which is its only failure. Read counts the bytes.
func Fill(ctx context.Context, root *tree.Dir, handles *dirfs.Handles, workers int, c *cache.Cache, read *atomic.Int64, log *slog.Logger) error {
	jobs := make(chan job, 2*workers)
	var wg sync.WaitGroup
	for range max(1, workers) {
		wg.Go(func() {
			for j := range jobs {
				j.fill(ctx, handles, c, read)
			}
		})
	}
	all := hand(ctx, root, jobs)
	close(jobs)
	wg.Wait()
	if err := c.Save(all && ctx.Err() == nil); err != nil {
		log.Debug("what is known of contents was not kept", "cause", err.Error())
	}
	return context.Cause(ctx)
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

func (j job) fill(ctx context.Context, handles *dirfs.Handles, c *cache.Cache, read *atomic.Int64) {
	h, err := handles.Acquire(j.dir)
	if err != nil {
		return
	}
	defer handles.Release(j.dir)
	for i := range j.entries {
		e := &j.entries[i]
		if e.Type != tree.File || e.Target != "" || ctx.Err() != nil {
			continue
		}
		if d, ok := sum(ctx, h, e, c, read); ok {
			e.Target = d
		}
	}
}

func sum(ctx context.Context, h dirfs.Dir, e *tree.Entry, c *cache.Cache, read *atomic.Int64) (string, bool) {
	began := time.Now()
	f, err := supply.Open(h, e.Name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if f.Meta.Size != e.Size || f.Meta.MTime != e.MTime() {
		return "", false
	}
	d, err := f.Sum(func(n int) error {
		read.Add(int64(n))
		return context.Cause(ctx)
	})
	if err != nil {
		return "", false
	}
	if k, ok := cache.KeyOf(f.Info()); ok {
		c.Add(k, d, began)
	}
	return string(d[:]), true
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
