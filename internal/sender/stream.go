package sender

import (
	"context"
	"slices"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// stream describes the source while it is scanned, and supplies every file
// in it unasked. Scan and description go on at once; what is described is
// supplied by the workers meanwhile.
func (s *session) stream(ctx context.Context, d *describer) error {
	scanned := make(chan error, 1)
	go func() {
		scanned <- s.scan(ctx, func(dir *tree.Dir) { s.visited.Put(dir) })
		s.visited.Close()
	}()
	err := s.describeVisited(d)
	// The scan is waited for on every path: it ends with the context.
	if err != nil {
		s.fail(wire.Fault(err))
	}
	if serr := <-scanned; err == nil {
		err = serr
	}
	return err
}

func (s *session) describeVisited(d *describer) error {
	numbers := make(map[*tree.Dir]uint64)
	var jobs []job
	for {
		dirs := s.visited.All()
		if dirs == nil {
			return nil
		}
		for _, dir := range dirs {
			more, err := s.describeOne(d, dir, numbers)
			if err != nil {
				return err
			}
			jobs = append(jobs, more...)
			if d.list.Len() > page/4 {
				if jobs, err = s.release(d, jobs); err != nil {
					return err
				}
			}
		}
		if s.visited.Len() == 0 {
			var err error
			if jobs, err = s.release(d, jobs); err != nil {
				return err
			}
		}
	}
}

// release sends what is described and only then gives its files to the
// workers, so that the receiver knows what their content belongs to.
func (s *session) release(d *describer, jobs []job) ([]job, error) {
	if err := d.flush(); err != nil {
		return nil, err
	}
	s.desk.put(jobs)
	return jobs[:0], nil
}

// unscanned returns a directory with the entries of dir, whose directories
// the scan may be reading this very moment: they are described by name, type
// and metadata alone.
func unscanned(dir *tree.Dir) *tree.Dir {
	entries, inside := slices.Clone(dir.Entries), new(tree.Dir)
	for i := range entries {
		if entries[i].Dir != nil {
			entries[i].Dir = inside
		}
	}
	return &tree.Dir{Entries: entries}
}

// describeOne lists one directory and returns its files as jobs. A root is
// the first directory that is visited, and has number 0.
func (s *session) describeOne(d *describer, dir *tree.Dir, numbers map[*tree.Dir]uint64) ([]job, error) {
	id := numbers[dir]
	delete(numbers, dir)
	if dir.Closed {
		return nil, nil
	}
	first := s.number(dir, 0, len(dir.Entries))
	if first+uint64(len(dir.Entries)) > tree.MaxEntries+1 {
		return nil, errTooMany // before the receiver finds it
	}
	if err := d.entries(part{dir: unscanned(dir), id: id, hi: len(dir.Entries)}); err != nil {
		return nil, err
	}
	var jobs []job
	for i := range dir.Entries {
		e := &dir.Entries[i]
		switch {
		case e.Type == tree.File:
			jobs = append(jobs, job{id: first + uint64(i), dir: dir, entry: e, size: e.Size})
		case e.Dir != nil:
			numbers[e.Dir] = first + uint64(i)
		}
	}
	return jobs, nil
}
