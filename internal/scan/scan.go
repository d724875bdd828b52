// Package scan makes a tree of a directory: a raw listing of each directory
// with the metadata of what is in it, several directories at once.
//
// Its law: it changes nothing, opens no file and follows no link. It fails as
// a whole only when the root cannot be read or the caller stops it; an entry
// or a directory that cannot be examined is in the tree as such, and told.
package scan

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Options say how to scan.
type Options struct {
	// Workers is how many directories are read at once.
	Workers int
	// Type maps the type of what is found to what the tree says of it; nil
	// keeps it. Opaque keeps an entry out of comparison.
	Type func(tree.Type) tree.Type
	// Unexamined is the type of an entry that could not be examined.
	Unexamined tree.Type
	// Flags computes the flags of a file, and whether a link is Shared; nil
	// for none.
	Flags func(dirfs.Info) tree.Flags
	// Content returns what is known of a file's content, for Entry.Target; nil
	// for nothing. It is called by all workers.
	Content func(dirfs.Info) string
	// Skip says that an entry is left out altogether; nil for none. An
	// error ends the scan. It is called by all workers.
	Skip func(in *tree.Dir, name []byte, at dirfs.Dir) (bool, error)
	// Enter is called with every directory before it is read, by all workers;
	// nil for none. An error ends the scan.
	Enter func(*tree.Dir) error
	// Visit is called with every directory when its entries are known, a
	// parent before its children, by all workers; nil for none.
	Visit func(*tree.Dir)
	// Problem is told what could not be examined, by all workers.
	Problem func(in *tree.Dir, name string, err error)
	// Bounded leaves what is beyond tree.MaxDepth or tree.MaxPath unread, as a
	// directory that cannot be: nobody could be told of it.
	Bounded bool
	// Found counts the entries.
	Found *atomic.Int64
}

// Scan returns the root of the tree below the root of h.
func Scan(ctx context.Context, h *dirfs.Handles, o Options) (tree.Entry, error) {
	root := tree.Entry{Type: tree.Directory, Dir: new(tree.Dir)}
	s := &scanner{handles: h, o: o}
	s.ready.L = &s.mu
	dir, err := h.Acquire(root.Dir)
	if err != nil {
		return root, err
	}
	info, err := dir.Self()
	h.Release(root.Dir)
	if err != nil {
		return root, err
	}
	fill(&root, info)
	root.Dir.Dev, root.Dir.Ino = info.Dev, info.Ino
	s.stack = append(s.stack, root.Dir)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		s.fail(context.Cause(ctx))
	})
	var wg sync.WaitGroup
	for range max(1, o.Workers) {
		wg.Go(s.work)
	}
	wg.Wait()
	if !stop() {
		<-stopped
	}
	return root, s.err
}

type scanner struct {
	handles *dirfs.Handles
	o       Options

	mu    sync.Mutex // guards the rest
	ready sync.Cond  // stack, busy or err changed
	stack []*tree.Dir
	busy  int // workers that read a directory now
	err   error
}

func (s *scanner) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.ready.Broadcast()
}

// work reads directories until there are none, the last found first, so that
// the handles of their parents are still held.
func (s *scanner) work() {
	var l lister
	for {
		d := s.next()
		if d == nil {
			return
		}
		err := s.read(d, &l)
		if err != nil {
			s.fail(err)
		}
		s.done(d)
	}
}

func (s *scanner) next() *tree.Dir {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.stack) == 0 && s.busy > 0 && s.err == nil {
		s.ready.Wait()
	}
	if len(s.stack) == 0 || s.err != nil {
		return nil
	}
	d := s.stack[len(s.stack)-1]
	s.stack = s.stack[:len(s.stack)-1]
	s.busy++
	return d
}

// done adds the directories in d to what is to be read.
func (s *scanner) done(d *tree.Dir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	n := len(s.stack)
	for i := len(d.Entries) - 1; i >= 0; i-- {
		if c := d.Entries[i].Dir; c != nil && !c.Closed {
			s.stack = append(s.stack, c)
		}
	}
	if len(s.stack) > n || s.busy == 0 {
		s.ready.Broadcast()
	}
}

// read fills d, and closes it where it cannot be read. The error it returns
// ends the scan.
func (s *scanner) read(d *tree.Dir, l *lister) error {
	if s.o.Enter != nil {
		if err := s.o.Enter(d); err != nil {
			return err
		}
	}
	dir, err := s.acquire(d)
	if err == nil {
		l.reset(s, d, dir)
		err = dir.List(l.entry)
		if err == nil {
			l.finish()
		}
		s.handles.Release(d)
	}
	switch {
	case l.fatal != nil:
		return l.fatal
	case err == nil:
	case d.Parent == nil:
		return err
	default:
		d.Entries, d.Closed = nil, true
		s.problem(d.Parent, d.Name, err)
	}
	if s.o.Visit != nil {
		s.o.Visit(d)
	}
	return nil
}

// errBeyond is why a directory is not read.
var errBeyond = fault.Errorf("it is too deep, or its path is too long")

// acquire returns the handle of d, unless that is too far down.
func (s *scanner) acquire(d *tree.Dir) (dirfs.Dir, error) {
	if s.o.Bounded && !reachable(d) {
		return nil, errBeyond
	}
	return s.handles.Acquire(d)
}

// reachable reports whether any name in d makes a path that can be told.
func reachable(d *tree.Dir) bool {
	depth, path := 0, tree.MaxName
	for ; d.Parent != nil; d = d.Parent {
		depth++
		path += len(d.Name) + 1
	}
	return depth <= tree.MaxDepth && path <= tree.MaxPath
}

func (s *scanner) problem(in *tree.Dir, name string, err error) {
	if s.o.Problem != nil {
		s.o.Problem(in, name, err)
	}
}

// lister gathers the entries of one directory after the other. Names gather
// in one buffer, so that a directory costs three allocations, not three for
// each entry.
type lister struct {
	s       *scanner
	d       *tree.Dir
	dir     dirfs.Dir
	names   []byte
	entries []found
	fatal   error
}

type found struct {
	begin, end int // of the name in names
	info       dirfs.Info
	typ        tree.Type
}

func (l *lister) reset(s *scanner, d *tree.Dir, dir dirfs.Dir) {
	*l = lister{s: s, d: d, dir: dir, names: l.names[:0], entries: l.entries[:0]}
}

// entry takes one entry of the listing.
func (l *lister) entry(name []byte, info dirfs.Info, err error) error {
	if l.s.o.Skip != nil {
		skip, err := l.s.o.Skip(l.d, name, l.dir)
		if err != nil {
			l.fatal = err
			return err
		}
		if skip {
			return nil
		}
	}
	t := info.Type
	if err != nil {
		t = l.s.o.Unexamined
		l.s.problem(l.d, string(name), err)
	} else if l.s.o.Type != nil {
		t = l.s.o.Type(t)
	}
	begin := len(l.names)
	l.names = append(l.names, name...)
	l.entries = append(l.entries, found{begin, len(l.names), info, t})
	return nil
}

// finish makes the directory's entries of what was gathered.
func (l *lister) finish() {
	slices.SortFunc(l.entries, func(a, b found) int {
		return bytes.Compare(l.names[a.begin:a.end], l.names[b.begin:b.end])
	})
	arena := string(l.names)
	entries := make([]tree.Entry, 0, len(l.entries))
	dirs := make([]tree.Dir, 0, l.directories())
	for _, f := range l.entries {
		e := tree.Entry{Name: arena[f.begin:f.end], Type: f.typ}
		if n := len(entries); n > 0 && entries[n-1].Name == e.Name {
			continue // listed twice, since it was renamed meanwhile
		}
		fill(&e, f.info)
		switch e.Type {
		case tree.Directory:
			dirs = append(dirs, tree.Dir{Parent: l.d, Name: e.Name, Dev: f.info.Dev, Ino: f.info.Ino})
			e.Dir = &dirs[len(dirs)-1]
		case tree.File:
			if l.s.o.Flags != nil {
				e.Flags = l.s.o.Flags(f.info)
			}
			if l.s.o.Content != nil {
				e.Target = l.s.o.Content(f.info)
			}
		case tree.Link:
			if l.s.o.Flags != nil {
				e.Flags = l.s.o.Flags(f.info) & tree.Shared
			}
			l.target(&e)
		}
		entries = append(entries, e)
	}
	l.d.Entries = entries
	if l.s.o.Found != nil {
		l.s.o.Found.Add(int64(len(entries)))
	}
}

func (l *lister) directories() (n int) {
	for i := range l.entries {
		if l.entries[i].typ == tree.Directory {
			n++
		}
	}
	return n
}

func (l *lister) target(e *tree.Entry) {
	target, err := l.dir.ReadLink(e.Name)
	if err != nil {
		l.s.problem(l.d, e.Name, err)
		*e = tree.Entry{Name: e.Name, Type: l.s.o.Unexamined}
		return
	}
	e.Target = strings.Clone(target)
}

// fill takes over what the system says and the type of e has.
func fill(e *tree.Entry, info dirfs.Info) {
	switch e.Type {
	case tree.File:
		e.Size = info.Size
		e.Perm = info.Perm & tree.MaxPerm
	case tree.Directory:
		e.Perm = info.Perm & tree.MaxPerm
	case tree.Link:
	default:
		return
	}
	e.SetMTime(info.MTime)
}
