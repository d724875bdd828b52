// Package report is what a run tells about itself while it goes on: counters
// that anything may read at any time, and the entries that failed.
//
// Its law: reporting costs the work next to nothing, so counters are atomic
// and nothing here waits.
package report

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sync-directory/sync-directory/internal/fault"
)

// Phase says what a run is doing.
type Phase int32

// The phases, in order.
const (
	Waiting Phase = iota // for the other side
	Scanning
	Comparing
	Transferring
	Finishing
)

// String returns the word for p that a progress line shows.
func (p Phase) String() string {
	return [...]string{"waiting", "scanning", "comparing", "transferring", "finishing"}[p]
}

// Counters count what happens in one session, and begin anew with the next
// one. In between they only grow.
type Counters struct {
	Phase      atomic.Int32
	Scanned    atomic.Int64 // entries seen by this side's scan
	Files      atomic.Int64 // files whose content was sent or written
	Bytes      atomic.Int64 // their content
	Compared   atomic.Int64 // bytes of content read to compare
	TotalFiles atomic.Int64 // to be transferred, once planned
	TotalBytes atomic.Int64
	Removed    atomic.Int64
	Saved      atomic.Int64 // bytes copied into a backup, and one more for each entry
	Peer       atomic.Int64 // times that the other side said that it works
}

// Set makes p the phase.
func (c *Counters) Set(p Phase) { c.Phase.Store(int32(p)) }

// Problem is one entry that failed.
type Problem struct {
	Path      string // below the root, any bytes: see String
	Operation string // what was tried
	Cause     string
	Vanished  bool // it went away or kept changing: nobody's fault
	Peer      bool // it happened on the other side
}

// FromPeer returns a problem of the other side, whose words are harmless from now on.
func FromPeer(path []byte, operation, cause string, vanished bool) Problem {
	return Problem{Path: string(path), Operation: Clip(operation, 100), Cause: Clip(cause, 300), Vanished: vanished, Peer: true}
}

// NotTold is the cause of a problem that cannot be named to the other side.
const NotTold = "it failed, and only the other side knows why"

// String returns the problem as a sentence for people; the bytes of the path
// are quoted where they are not plain.
func (p Problem) String() string {
	return p.Operation + " " + Quote(p.Path) + ": " + fault.Escape(p.Cause)
}

// Code returns the code of a run with this problem.
func (p Problem) Code() fault.Code {
	if p.Vanished {
		return fault.Vanished
	}
	return fault.Partial
}

// maxKept and maxKeptBytes bound how many problems are kept; the rest are counted and
// told once each all the same. The other side may name a path of 32 KiB in each.
const (
	maxKept      = 100_000
	maxKeptBytes = 32 << 20
)

// Problems collects what failed. It is safe for concurrent use.
type Problems struct {
	mu   sync.Mutex // guards the rest
	list []Problem
	size int // of list, in bytes
	n    int
	code fault.Code
	hook func(Problem)
}

// NewProblems returns an empty collection. Hook, unless nil, is called with
// every problem as it comes, one at a time.
func NewProblems(hook func(Problem)) *Problems { return &Problems{hook: hook} }

// Add adds p.
func (ps *Problems) Add(p Problem) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.n++
	ps.code = fault.Worse(ps.code, p.Code())
	if size := len(p.Path) + len(p.Operation) + len(p.Cause); len(ps.list) < maxKept && ps.size+size <= maxKeptBytes {
		ps.list, ps.size = append(ps.list, p), ps.size+size
	}
	if ps.hook != nil {
		ps.hook(p)
	}
}

// Code returns the code of a run with all problems so far.
func (ps *Problems) Code() fault.Code {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.code
}

// All returns the problems that were kept and how many there were.
func (ps *Problems) All() ([]Problem, int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.list[:len(ps.list):len(ps.list)], ps.n
}

// Cause returns the innermost reason of err in words, without the operation
// and the names that the calls above have wrapped around it.
func Cause(err error) string {
	for {
		var inner error
		switch e := err.(type) {
		case *fs.PathError:
			inner = e.Err
		case *os.LinkError:
			inner = e.Err
		case *os.SyscallError:
			inner = e.Err
		default:
			if errs := joined(err); errs != nil {
				return inLine(errs, Cause)
			}
			return err.Error()
		}
		err = inner
	}
}

// joined returns the errors that err only joins, nil where it has words of its own.
func joined(err error) []error {
	j, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	words := make([]string, len(j.Unwrap()))
	for i, inner := range j.Unwrap() {
		words[i] = inner.Error()
	}
	if err.Error() != strings.Join(words, "\n") {
		return nil
	}
	return j.Unwrap()
}

// inLine returns what f makes of errors, in one line.
func inLine(errs []error, f func(error) string) string {
	words := make([]string, len(errs))
	for i, err := range errs {
		words[i] = f(err)
	}
	return strings.Join(words, "; ")
}

// Words returns what err says, in one line where it joins errors.
func Words(err error) string {
	if e, ok := err.(*fault.Error); ok {
		return Words(e.Err)
	}
	if errs := joined(err); errs != nil {
		return inLine(errs, Words)
	}
	return err.Error()
}

// Reset begins anew.
func (c *Counters) Reset() {
	c.Phase.Store(int32(Waiting))
	for _, n := range []*atomic.Int64{&c.Scanned, &c.Files, &c.Bytes, &c.Compared, &c.TotalFiles, &c.TotalBytes, &c.Removed, &c.Saved, &c.Peer} {
		n.Store(0)
	}
}

// Sum returns a number that grows with every step forward, but for what the other
// side says of its own.
func (c *Counters) Sum() int64 {
	return int64(c.Phase.Load()) + c.Scanned.Load() + c.Files.Load() + c.Bytes.Load() + c.Compared.Load() + c.Removed.Load() + c.Saved.Load()
}
