// Package receiver is the taking side of a session: it scans the
// destination, finds out what differs, fetches that, and applies it.
//
// Its law: the receiver decides. It removes what its own comparison with a
// complete and sealed description says, never what it is told to; it takes
// only answers to its own questions. Trouble with one entry is a Problem,
// told to both sides; Run fails only when the session cannot go on.
package receiver

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/apply"
	"github.com/sync-directory/sync-directory/internal/backup"
	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/contents"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/queue"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Options say how the destination is treated and how much is done at once.
type Options struct {
	Policy   Policy
	Checksum bool // compare all content
	// Cache has what is known of contents, or is nil.
	Cache *cache.Cache
	// Cached says that both sides may know contents of an earlier session.
	Cached bool
	// WholeFile gets changed files without looking at what there is of them.
	WholeFile bool
	// IgnoreSpace begins even where the disk looks too small.
	IgnoreSpace bool
	Transfers   int // files written at once
	Checkers    int // directories read, and files compared, at once
	// Compression is this side's wish: with none nothing compressed is taken.
	Compression *wire.Compression
	Log         *slog.Logger
	Counters    *report.Counters
	Problems    *report.Problems
}

// Policy bounds what may be done to the destination.
type Policy struct {
	MaxDelete  *uint64 // refuse a plan that removes more entries; nil for any number
	NoDelete   bool    // remove nothing
	AllowEmpty bool    // let an empty source empty the destination
	Sparse     bool    // leave holes where the source has some
	Backup     bool    // change nothing that is not saved
}

// Stricter returns the policy that keeps both p and what the peer asks for.
func (p Policy) Stricter(peer *wire.Policy) Policy {
	if peer == nil {
		return p
	}
	p.NoDelete = p.NoDelete || peer.NoDelete
	p.Sparse = p.Sparse || peer.Sparse
	p.Backup = p.Backup || peer.Backup
	if peer.MaxDelete != nil && (p.MaxDelete == nil || *peer.MaxDelete < *p.MaxDelete) {
		p.MaxDelete = peer.MaxDelete
	}
	// Emptying must be allowed by somebody, and it is enough that the one
	// who runs the sender, and so knows the source, does.
	p.AllowEmpty = p.AllowEmpty || peer.AllowEmpty
	return p
}

// Result says how a session went.
type Result struct {
	Digest   digest.Digest // of the root as it is now
	Counts   *wire.Counts  // of the source
	Changes  *wire.Changes
	Verified uint64 // files whose content was compared without need to fetch
	// ByContent says that all content was compared.
	ByContent bool
}

// Destination is the directory that a session makes equal to the source.
type Destination struct {
	Area    *stage.Area    // its working directory
	Handles *dirfs.Handles // of its directories
	Empty   bool           // it holds nothing, and its Hello said so
	Here    *wire.Location // where it is
	Backup  *backup.Backup // where what is replaced or removed is saved; nil for nowhere
}

// Run takes the directory of the sender that sent peer into d. It returns when
// the session is over and everything that it started has ended; the connection
// is closed then, with the reason. The working directory is gone after success.
// The code of the run is that of the error, or of the problems where that is
// nil.
func Run(ctx context.Context, conn wire.Conn, peer *wire.Hello, d Destination, o Options) (Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	o.Policy = o.Policy.Stricter(peer.Policy)
	o.Checksum = o.Checksum || peer.Checksum
	o.WholeFile = o.WholeFile || peer.WholeFile
	s := newSession(conn, peer, d, fail, o)
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		wire.CloseWith(conn, fault.With(fault.Interrupted, context.Cause(ctx)))
	})
	undisturbed := sync.OnceValue(stop)
	defer func() {
		if !undisturbed() {
			<-closed
		}
	}()
	err := s.withWorkers(ctx, func() error {
		if err := s.run(ctx, d.Empty); err != nil || undisturbed() {
			return err
		}
		if cause := context.Cause(ctx); fault.Of(cause, fault.Interrupted) != fault.Lost {
			return cause // which the sender was told
		}
		return nil // it has left
	})
	if err == nil {
		return s.result, nil
	}
	if fault.Of(err, fault.Interrupted) == fault.Path && !s.area.Gone() {
		// This directory is no destination for that source, so nothing that
		// came is of use: it may even lie in the source now.
		ctx := context.WithoutCancel(ctx)
		err = errors.Join(err, s.apply.Clear(ctx, s.area.Files, func() {}))
	}
	return s.result, fault.With(fault.Interrupted, err)
}

// withWorkers calls f while all that works for it is there, closes the
// connection with what f returns, and waits until everything has ended.
func (s *session) withWorkers(ctx context.Context, f func() error) error {
	var wg sync.WaitGroup
	wg.Go(s.read)
	for range max(1, s.Transfers) {
		wg.Go(s.write)
	}
	for range max(1, s.Checkers) {
		wg.Go(s.work)
	}
	s.start = wg.Go
	err := f()
	if err != nil {
		s.fail(wire.Fault(err))
		if s.verdict == nil { // after which the sender closes
			err = context.Cause(ctx) // the first one counts
		}
	}
	close(s.content)
	s.tasks.Close()
	close(s.ended)
	wire.CloseWith(s.conn, fault.With(fault.Interrupted, err))
	wg.Wait()
	for _, t := range s.targets { // of a session that ended early
		t.keep(s)
	}
	return err
}

// session is the state of one session. All but what is named otherwise is
// owned by the goroutine of run.
type session struct {
	Options
	conn    wire.Conn
	area    *stage.Area
	handles *dirfs.Handles
	fail    context.CancelCauseFunc
	start   func(func()) // a goroutine that is waited for
	summer  *tree.Summer
	apply   *apply.Applier

	here       *wire.Location // where the destination is
	source     *wire.Location // where the source is
	have, want tree.Entry     // the roots
	index      *tree.Index
	seal       *wire.Seal
	described  digest.Digest // of the root as the source was described

	incoming chan *wire.Buffer // from read
	content  chan *wire.Buffer // to write: Pack, Chunk, End, Delta
	ended    chan struct{}     // run has ended: read need not hand over any more

	expander func() *wire.Expander // made when it is needed first
	tasks    *queue.Queue[func()]  // to work
	results  *inbox                // from write and work

	begunLarge atomic.Int64 // files that have come in part

	mu      sync.Mutex // guards what follows and, while streaming, index
	targets map[uint64]*target
	lost    map[*tree.Dir]bool // while streaming: directories that could not be made
	begun   tree.Set           // while streaming: files of which something came
	unused  []target           // for newTarget; while not streaming the session's own

	descent    *descent           // while comparing
	ranges     int                // that were told of
	origins    tree.Origins       // new directories that are elsewhere
	dirs       map[uint64]growing // while streaming: directories of which more may come
	plan       *tree.Plan
	steps      []tree.Step            // to be carried out: of the plan, or to find out what it is
	next       int                    // the one to begin
	reusing    int                    // steps that take what is elsewhere, and are not done
	copying    int                    // of them those that copy it
	left       bool                   // something that earlier sessions have staged is there
	parts      map[place]*tree.Origin // what is staged of large files
	waiting    int                    // targets that are not settled
	need, free uint64                 // while streaming: bytes of all files so far, and of the disk before
	refetch    []*target              // compared, and different, or tried another way in vain
	key        uint64                 // of signatures
	signatures *wire.Signatures       // that gather, or nil
	sums       int                    // bytes of signatures of small files in the sender's hands
	later      []*target              // large files to be got by outline
	changing   int                    // large files that are
	verdict    *wire.Verdict
	result     Result
	busy       sync.WaitGroup // messages in content that are not worked on yet
	streaming  bool
	knows      bool // contents, but for few, without having been asked to
	// changes says that something is to be changed: then what is confirmed is what
	// is there afterwards, of which the contents are not compared again.
	changes bool
}

func newSession(conn wire.Conn, peer *wire.Hello, d Destination, fail context.CancelCauseFunc, o Options) *session {
	s := &session{
		Options: o,
		conn:    conn,
		area:    d.Area,
		handles: d.Handles,
		here:    d.Here,
		source:  peer.Location,
		fail:    fail,
		summer:  tree.NewSummer(d.Area.Canon),
		// Without room: when read finds the connection's end, everything
		// before it was taken in, the verdict above all.
		incoming: make(chan *wire.Buffer),
		content:  make(chan *wire.Buffer, 4), // megabytes that wait for writers
		ended:    make(chan struct{}),
		tasks:    queue.New[func()](),
		key:      rand.Uint64() | 1,
		results:  newInbox(),
		targets:  make(map[uint64]*target),
		parts:    make(map[place]*tree.Origin),
		lost:     make(map[*tree.Dir]bool),
		plan:     new(tree.Plan),
		expander: sync.OnceValue(wire.NewExpander),
	}
	s.apply = apply.New(d.Area, d.Handles, s.problem)
	if s.apply.Backup = d.Backup; d.Backup != nil {
		d.Backup.Progress = func(n int64) { s.Counters.Saved.Add(n) }
	}
	s.want = tree.Entry{Type: tree.Directory, Dir: new(tree.Dir)}
	s.index = tree.NewIndex(&s.want)
	return s
}

// problem tells both sides that an entry failed.
func (s *session) problem(path, op string, err error) {
	s.Problems.Add(report.Problem{Path: path, Operation: op, Cause: report.Cause(err)})
	m := &wire.Problem{Path: []byte(path), Operation: op, Cause: fault.ForPeer(err, report.NotTold)}
	if err := s.conn.Write(wire.Encode(m)); err != nil {
		s.fail(wire.Fault(err))
	}
}

// run leads the session from the scan to the verdict.
func (s *session) run(ctx context.Context, empty bool) (err error) {
	if err := s.area.TakeUp(); err != nil {
		return apply.Disk("take up what is staged", err)
	}
	if s.streaming = empty; empty {
		err = s.stream(ctx)
	} else {
		err = s.compareAndFetch(ctx)
	}
	if err != nil {
		return err
	}
	return s.finish(ctx)
}

func (s *session) compareAndFetch(ctx context.Context) error {
	s.Counters.Set(report.Scanning)
	if err := s.whileReading(ctx, s.scan); err != nil {
		return err
	}
	s.want.Dir.Dev, s.want.Dir.Ino = s.have.Dir.Dev, s.have.Dir.Ino
	if err := s.awaitSeal(ctx); err != nil {
		return err
	}
	if err := s.settleContents(); err != nil {
		return err
	}
	s.Counters.Set(report.Comparing)
	if err := s.descend(ctx); err != nil {
		return err
	}
	s.plan = tree.Compare(&s.have, &s.want, s.area.Canon, s.origins)
	for i := range s.plan.Blocked {
		s.problem(s.plan.Blocked[i].Path(), "compare directory", errClosed)
	}
	if err := s.leftovers(ctx); err != nil {
		return err
	}
	s.plan.Find(s.have.Dir, s.area.Canon, leastReuse, s.stays())
	if s.changes = len(s.plan.Steps)+len(s.plan.Removals) > 0; s.changes {
		s.forget()
	}
	s.described = s.summer.Root(&s.want)
	if s.apply.Backup != nil {
		s.apply.Backup.Was(s.have.Dir)
	}
	if err := s.reuse(ctx); err != nil {
		return err
	}
	if err := s.guard(ctx); err != nil {
		return err
	}
	if err := s.fits(ctx); err != nil {
		return err
	}
	s.Counters.TotalFiles.Store(int64(s.plan.Files))
	s.Counters.TotalBytes.Store(s.plan.Bytes)
	s.Counters.Set(report.Transferring)
	s.steps, s.next = s.plan.Steps, 0
	return s.transfer(ctx)
}

// finish removes what goes, sets what comes last, and confirms the result.
func (s *session) finish(ctx context.Context) error {
	s.Counters.Set(report.Finishing)
	if err := s.saving(ctx, s.apply.InstallAll); err != nil {
		return err
	}
	for _, dir := range []dirfs.Dir{s.area.Files, s.area.Left} { // what could not be installed, or was not wanted
		if err := s.apply.Clear(ctx, dir, func() {}); err != nil {
			return err
		}
	}
	// A problem of either side but a vanished file forbids to remove.
	code := s.Problems.Code()
	removes := !s.seal.Incomplete && (code == fault.OK || code == fault.Vanished)
	if removes {
		removals := s.plan.Removals
		if s.Policy.NoDelete {
			for i := range removals {
				s.apply.Changes.Kept += removals[i].Have.Entries()
			}
			removals = nil // but what was displaced goes
		}
		if err := s.saving(ctx, func(ctx context.Context) error {
			return s.apply.Remove(ctx, removals, func() { s.Counters.Removed.Add(1) })
		}); err != nil {
			return err
		}
	}
	if s.Problems.Code() != fault.OK { // what was to go may be there still
		if err := s.apply.Unshare(s.plan.Steps); err != nil {
			return err
		}
	}
	if err := s.apply.Finish(&s.want, !removes); err != nil {
		return err
	}
	return s.confirm(ctx)
}

// saving calls f, which may save what goes. That can take long where it is copied to
// another disk, so that the sender has left is noticed meanwhile; but not while content
// still comes, where a batch bounds what is saved.
func (s *session) saving(ctx context.Context, f func(context.Context) error) error {
	if s.apply.Backup == nil {
		return f(ctx)
	}
	return s.whileReading(ctx, f)
}

// forget takes the contents out of the digests of the source.
func (s *session) forget() {
	if s.result.ByContent {
		contents.Forget(s.want.Dir)
	}
}

// linger is how long the receiver waits for a sender that is lost to come back for
// what has become of the destination, before it decides alone.
const linger = 10 * time.Second

// confirm tells the sender what the destination is now and waits for its
// verdict.
func (s *session) confirm(ctx context.Context) error {
	d := s.summer.Root(&s.want)
	done := &wire.Done{Code: uint32(s.Problems.Code()), Digest: d[:], Changes: &s.apply.Changes}
	done.Contents = s.result.ByContent && !s.changes
	if p, ok := s.conn.(wire.Patient); ok {
		p.SetPatience(linger)
	}
	if err := s.conn.Write(wire.Encode(done)); err != nil {
		return err
	}
	if done.Contents { // while the sender does so
		s.forget()
	}
	s.result.Digest, s.result.Changes, s.result.Counts = s.summer.Root(&s.want), &s.apply.Changes, s.seal.Counts
	for s.verdict == nil {
		if err := s.event(ctx); err != nil {
			return s.alone(err, d)
		}
	}
	switch {
	case s.verdict.Code == 0 && digest.Digest(s.verdict.Digest) != d:
		return fault.New(fault.Protocol, "the source has digest %s, the destination %s", digest.Digest(s.verdict.Digest), d)
	case s.verdict.Code != 0 && s.Problems.Code() == fault.OK:
		return fault.New(fault.Code(s.verdict.Code), "the sender's verdict: %s", fault.Code(s.verdict.Code))
	}
	return nil
}

// alone decides without the sender's verdict, after the connection was lost
// with err: what was sealed is what is there, so there is nothing to ask. Where
// files changed while they were read only the sender knows.
func (s *session) alone(err error, result digest.Digest) error {
	f := (*fault.Error)(nil)
	lost := errors.As(err, &f) && f.Code == fault.Lost
	if !lost || s.Problems.Code() != fault.OK || s.described != result {
		return err
	}
	s.Log.Warn("the sender left before its verdict; what it had sealed is what is here now")
	return nil
}
