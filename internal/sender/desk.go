package sender

import (
	"sync"

	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// job is a file that is wanted.
type job struct {
	id    uint64
	what  wire.Wanted
	dir   *tree.Dir
	entry *tree.Entry
}

const (
	// packed is the size of the largest file that shares a message with
	// others. Larger ones go in chunks, which are read and hashed by several
	// workers at once.
	packed = 256 << 10
	// packFill is how much described content makes a batch: a little less
	// than a message holds, for files that have grown.
	packFill = 1000 << 10
)

// work is what a worker does next: one of a batch of small files, a file to
// open as a large one, a chunk of a large one, a file to digest.
type work struct {
	batch []job
	open  *job
	sum   *job
	large *large
	chunk int64
}

// desk hands the wanted files out to the workers.
type desk struct {
	mu     sync.Mutex // guards the rest
	filled sync.Cond
	jobs   []job
	large  []*large // open, with chunks to be handed out
	closed bool
	open   int // jobs that are not answered
}

func newDesk() *desk {
	d := new(desk)
	d.filled.L = &d.mu
	return d
}

// put adds jobs and returns how many are not answered now.
func (d *desk) put(jobs []job) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs = append(d.jobs, jobs...)
	d.open += len(jobs)
	d.filled.Broadcast()
	return d.open
}

// answered notes that n jobs are.
func (d *desk) answered(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open -= n
}

// unanswered returns how many jobs are not answered.
func (d *desk) unanswered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// spread makes the chunks of l available to all workers.
func (d *desk) spread(l *large) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.large = append(d.large, l)
	d.filled.Broadcast()
}

func (d *desk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.filled.Broadcast()
}

// take returns what to do next, waiting while there is nothing. It returns
// false when the desk is closed.
func (d *desk) take() (work, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.jobs) == 0 && len(d.large) == 0 && !d.closed {
		d.filled.Wait()
	}
	switch {
	case d.closed:
		return work{}, false
	case len(d.large) > 0:
		return d.takeChunk(), true
	}
	j := &d.jobs[0]
	switch {
	case j.what == wire.WantDigest:
		d.jobs = d.jobs[1:]
		return work{sum: j}, true
	case j.entry.Size > packed:
		d.jobs = d.jobs[1:]
		return work{open: j}, true
	}
	return work{batch: d.takeBatch()}, true
}

func (d *desk) takeChunk() work {
	l := d.large[0]
	w := work{large: l, chunk: l.next}
	if l.next++; l.next == l.file.Chunks() {
		d.large = d.large[1:]
	}
	return w
}

func (d *desk) takeBatch() []job {
	n, size := 0, int64(0)
	for n < len(d.jobs) {
		j := &d.jobs[n]
		if j.what != wire.WantContent || j.entry.Size > packed || n > 0 && size+j.entry.Size > packFill {
			break
		}
		size += j.entry.Size + 64
		n++
	}
	batch := d.jobs[:n:n]
	d.jobs = d.jobs[n:]
	return batch
}
