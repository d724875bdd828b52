package sender

import (
	"slices"
	"sync"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// job is a file that is wanted.
type job struct {
	id    uint64
	how   way
	dir   *tree.Dir
	entry *tree.Entry
	size  int64            // as described: entry may change while it is sent
	sig   *delta.Signature // byDelta: of what the receiver has of it
	scale uint8            // byOutline: at which it is cut
}

// way is how a file is answered.
type way uint8

const (
	byContent way = iota // whole
	byDigest             // by the digest of its content
	byDelta              // as what differs from what a signature is of
	byOutline            // by its outline first
)

const (
	// packed is the size of the largest file that shares a message with
	// others. Larger ones go in chunks, which several workers read at once.
	packed = 256 << 10
	// packFill is how much described content makes a batch: what stays in a
	// processor's own cache from being read to being sent, 5 % faster than
	// twice as much.
	packFill = 500 << 10
	// squeezedFill is the same for a message that is compressed, which gains
	// by its length: a little less than it holds, for files that have grown.
	squeezedFill = 1000 << 10
	// deltaFill is how much content makes a batch of files that are sent as
	// deltas, which take much reading and little room.
	deltaFill = 2 << 20
	// firstFill is the same for the first one, and doubles from batch to
	// batch: the receiver should not wait for its first work.
	firstFill = 64 << 10
)

// work is what a worker does next: one of a batch of small files, or of those
// sent as deltas, a file to open as a large one, a chunk of a large one, a file
// to digest, an answer about an outlined one.
type work struct {
	batch  []job
	deltas []job
	task   func() error
	open   *job
	sum    *job
	large  *large
	part   wire.Part
}

// desk hands the wanted files out to the workers, not in their order: small
// ones so that messages get full.
type desk struct {
	mu     sync.Mutex // guards the rest
	filled sync.Cond
	sums   []job
	deltas []job
	tasks  []func() error
	small  []job
	big    []job
	size   int64    // of small in a message
	large  []*large // open, with parts to be handed out
	fill   int64    // how much described content makes a batch now
	most   func() int64
	closed bool
	open   int // jobs that are not answered
}

// share is how much of a message a small file takes, about.
func (j *job) share() int64 { return j.size + 32 }

// newDesk returns a desk for messages that are compressed when squeezed says
// so.
func newDesk(squeezed func() bool) *desk {
	d := &desk{fill: firstFill}
	d.most = func() int64 {
		if squeezed() {
			return squeezedFill
		}
		return packFill
	}
	d.filled.L = &d.mu
	return d
}

// put adds jobs and returns how many are not answered now.
func (d *desk) put(jobs []job) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range jobs {
		switch {
		case j.how == byDigest:
			d.sums = append(d.sums, j)
		case j.how == byOutline: // which has a goroutine of its own
		case j.how == byDelta:
			d.deltas = append(d.deltas, j)
		case j.size > packed:
			d.big = append(d.big, j)
		default:
			d.small = append(d.small, j)
			d.size += j.share()
		}
	}
	d.open += len(jobs)
	d.filled.Broadcast()
	return d.open
}

// add adds an answer about an outlined file.
func (d *desk) add(task func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tasks = append(d.tasks, task)
	d.filled.Signal()
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

// wake lets workers look again whether there are chunks.
func (d *desk) wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.large) > 0 {
		d.filled.Broadcast()
	}
}

// take returns what to do next, waiting while there is nothing. It returns
// false when the desk is closed.
func (d *desk) take() (work, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closed {
		if w, ok := d.next(); ok {
			return w, true
		}
		d.filled.Wait()
	}
	return work{}, false
}

// next returns what to do next, if there is anything: chunks of files that are
// open before others, a message that is not full after those that are, digests
// last.
func (d *desk) next() (work, bool) {
	if len(d.tasks) > 0 {
		task := d.tasks[0]
		d.tasks = d.tasks[1:]
		return work{task: task}, true
	}
	if w, ok := d.takePart(); ok {
		return w, true
	}
	switch {
	case len(d.deltas) > 0:
		return work{deltas: d.takeDeltas()}, true
	case d.size >= d.fill && len(d.small) > 0:
		return work{batch: d.takeBatch()}, true
	case len(d.big) > 0:
		return work{open: first(&d.big)}, true
	case len(d.small) > 0:
		return work{batch: d.takeBatch()}, true
	case len(d.sums) > 0:
		return work{sum: first(&d.sums)}, true
	}
	return work{}, false
}

func first(jobs *[]job) *job {
	j := &(*jobs)[0]
	*jobs = (*jobs)[1:]
	return j
}

func (d *desk) takePart() (work, bool) {
	for i := 0; i < len(d.large); {
		l := d.large[i]
		part, ok, ended := l.take()
		switch {
		case ok:
			return work{large: l, part: part}, true
		case ended:
			d.large = slices.Delete(d.large, i, i+1)
		default:
			i++
		}
	}
	return work{}, false
}

// takeDeltas takes files to be sent as deltas.
func (d *desk) takeDeltas() []job {
	n, size := 0, int64(0)
	for n < len(d.deltas) && size < deltaFill {
		size += d.deltas[n].size
		n++
	}
	batch := d.deltas[:n:n]
	d.deltas = d.deltas[n:]
	return batch
}

// takeBatch takes small files for one message.
func (d *desk) takeBatch() []job {
	n, size := 0, int64(0)
	for n < len(d.small) && (n == 0 || size+d.small[n].share() <= d.fill) {
		size += d.small[n].share()
		n++
	}
	batch := d.small[:n:n]
	d.small = d.small[n:]
	d.size -= size
	d.fill = min(2*d.fill, d.most())
	return batch
}
