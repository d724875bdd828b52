// Package sender is the giving side of a session: it scans the source,
// answers the receiver's questions about it, and supplies the content that
// the receiver wants.
//
// Its law: it supplies only what its own description named, and reads nothing
// outside the source. Trouble with one entry is a Problem, told to both
// sides; Run fails only when the session as a whole cannot go on.
package sender

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/contents"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/queue"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/scan"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Options say what is described and how much is done at once.
type Options struct {
	Links     bool // describe links; without it they are left alone
	Transfers int  // files read at once
	Checkers  int  // directories read at once
	// Checksum compares all content; Cache has what is known of it and of large
	// files, or is nil.
	Checksum bool
	Cache    *cache.Cache
	// Cached says that both sides may know contents of an earlier session.
	Cached bool
	// Nested says that the source lies in the peer's destination, or its backup directory.
	Nested bool
	// Compression is this side's wish, and RoundTrip how long the peer's
	// answer to the Hello took.
	Compression *wire.Compression
	RoundTrip   time.Duration

	Here     *wire.Location // of the source
	Log      *slog.Logger
	Counters *report.Counters
	Problems *report.Problems
}

// Result says how a session went.
type Result struct {
	Digest  digest.Digest // of the root as it was sent
	Counts  *wire.Counts
	Changes *wire.Changes // at the receiver
	// ByContent says that all content was compared.
	ByContent bool
}

// Run gives the directory whose handles are source to the receiver that sent
// peer. It returns when the session is over and everything that it started
// has ended; the connection is closed then, with the reason. The code of the
// run is that of the error, or of the problems where that is nil.
func Run(ctx context.Context, conn wire.Conn, peer *wire.Hello, source *dirfs.Handles, o Options) (Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	s := newSession(conn, peer, source, fail, o)
	defer s.keep()
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		s.end()
		wire.CloseWith(conn, context.Cause(ctx))
	})
	defer func() {
		if !stop() {
			<-closed
		}
	}()
	if o.Nested {
		err := fault.New(fault.Path, "the source lies in %s", fault.Told(working(peer)))
		wire.CloseWith(conn, err)
		return s.result, err
	}
	s.withWorkers(ctx)
	if err := context.Cause(ctx); err != nil {
		wire.CloseWith(conn, err)
		return s.result, fault.With(fault.Interrupted, err)
	}
	return s.verdict(ctx)
}

// newSession returns a session that nothing works for yet.
func newSession(conn wire.Conn, peer *wire.Hello, source *dirfs.Handles, fail context.CancelCauseFunc, o Options) *session {
	s := &session{
		Options:  o,
		conn:     conn,
		peer:     peer,
		source:   source,
		fail:     fail,
		asks:     queue.New[question](),
		visited:  queue.New[*tree.Dir](),
		opened:   make(map[*large]bool),
		outlines: make(map[uint64]*outlined),
		proved:   make(map[*tree.Dir]bool),
		theirs:   make(chan bool, 1),
		canon:    peer.Destination.Canon.Tree(),
		summer:   tree.NewSummer(peer.Destination.Canon.Tree()),
	}
	s.index = tree.NewIndex(&s.root)
	switch {
	case s.asksWhatIsKnown():
		s.lookup = contents.NewLookup(s.Cache, contents.Few, func() {})
	case s.comparesContent():
		s.lookup = contents.NewLookup(s.Cache, contents.Any, func() {})
	}
	s.governor, s.compressor = compression(o.Compression, peer, o.RoundTrip)
	s.desk = newDesk(s.governor.compresses)
	return s
}

// withWorkers describes and answers, and returns when all that does so has ended.
func (s *session) withWorkers(ctx context.Context) {
	var wg sync.WaitGroup
	s.start = func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				s.fail(wire.Fault(err))
			}
		})
	}
	s.start(s.read)
	s.start(s.describe)
	for range max(1, min(s.Transfers, mostWorkers)) {
		s.start(s.work)
	}
	wg.Wait()
	for l := range s.opened { // of a session that ended early
		l.file.Close()
	}
	s.closeOutlines()
}

// mostWorkers bounds how many files are sent at once: of large ones each worker may
// have begun one that another completes.
const mostWorkers = wire.MaxLarge / 4

// keep keeps what was learnt of large files, once the receiver does not wait
// any more, also of a session that ended early.
func (s *session) keep() {
	if err := s.Cache.Save(false); err != nil {
		s.Log.Debug("what is known of large files was not kept", "cause", err)
	}
}

type session struct {
	Options
	conn    wire.Conn
	peer    *wire.Hello
	source  *dirfs.Handles
	fail    context.CancelCauseFunc
	start   func(func(context.Context) error) // a goroutine that Run waits for, by one of those
	asks    *queue.Queue[question]
	visited *queue.Queue[*tree.Dir] // directories to stream, while scanning
	desk    *desk

	governor   *governor
	compressor *wire.Compressor // nil where it is never used

	lookup *contents.Lookup // nil where contents do not matter
	theirs chan bool        // whether the receiver knows contents
	known  bool             // both sides know; owned by describe

	canon    tree.Canon         // what the receiver's file system holds
	reserved atomic.Int32       // entries skipped for their name
	root     tree.Entry         // set when it is scanned, before anything is answered
	summer   *tree.Summer       // owned by describe, then by verdict
	proved   map[*tree.Dir]bool // owned by describe: of which the content was asked for

	mu     sync.Mutex // guards what follows, and changes of the tree
	sealed bool       // the description is complete
	// byContent says that its digests cover contents; set before sealed.
	byContent bool
	asking    int // questions that are not answered
	opened    map[*large]bool
	index     *tree.Index
	wanted    [3]tree.Set // numbers of which content was asked for, a digest, or a delta

	outlines  map[uint64]*outlined // files opened by Probe, also those that are over
	outlining int                  // of them those that are not over
	probing   int                  // questions about them that are not answered
	sums      int                  // bytes of signatures of files whose deltas are to be sent

	// maxIndex bounds the numbers: a receiver asks for what it has found elsewhere
	// once more at most, and gets a part of what is below with it. Set before the
	// first answer.
	maxIndex uint64
	entries  uint64 // of the source; likewise

	wanting bool       // owned by read: the first want came, no question does
	told    bool       // owned by read: what the receiver knows
	done    *wire.Done // set by read when it ends
	result  Result
}

// end lets everything that waits for the peer go.
func (s *session) end() {
	s.asks.Close()
	s.visited.Close()
	s.desk.close()
}

// streams reports whether the receiver has nothing and is sent everything.
func (s *session) streams() bool { return s.peer.Destination.Empty }

// describe scans the source and describes it, as it is found where the
// receiver has nothing, otherwise as it asks.
func (s *session) describe(ctx context.Context) error {
	s.Counters.Set(report.Scanning)
	d := &describer{s: s, list: wire.NewListing(page)}
	if s.streams() {
		if err := s.stream(ctx, d); err != nil {
			return err
		}
	} else if err := s.scan(ctx, nil); err != nil {
		return err
	}
	if err := s.seal(); err != nil {
		return err
	}
	s.Counters.Set(report.Transferring)
	for {
		asks := s.asks.All()
		if asks == nil {
			return nil
		}
		for _, q := range asks {
			answer := d.answer
			if q.proves {
				answer = d.prove
			}
			if err := answer(ctx, q.Question); err != nil {
				return err
			}
		}
		if s.asks.Len() == 0 {
			if err := d.flush(); err != nil {
				return err
			}
		}
	}
}

// errTooMany is why a source cannot be described.
var errTooMany = fault.New(fault.Path, "the source holds more than %d entries, which cannot be mirrored in one run", tree.MaxEntries)

// seal tells the receiver what the whole source is.
func (s *session) seal() error {
	seal := new(wire.Seal)
	s.mu.Lock() // while streaming, workers note what has changed meanwhile
	s.summer.Sum(s.root.Dir)
	d := s.root.Dir.Digest
	seal.Counts = count(s.root.Dir)
	seal.Counts.Opaque += uint64(s.reserved.Load())
	if s.streams() {
		s.Counters.TotalFiles.Store(int64(seal.Counts.Files))
		s.Counters.TotalBytes.Store(int64(seal.Counts.Bytes))
	}
	s.result.Counts = seal.Counts
	s.entries = seal.Counts.Files + seal.Counts.Directories + seal.Counts.Links + seal.Counts.Opaque
	s.maxIndex = 4*s.entries + 1<<10
	s.byContent = s.comparesContent()
	s.sealed = true
	s.mu.Unlock()
	if s.entries > tree.MaxEntries {
		return errTooMany
	}
	seal.Perm, seal.Sec, seal.Nsec, seal.Digest = uint32(s.root.Perm), s.root.Sec, s.root.Nsec, d[:]
	code := s.Problems.Code()
	seal.Contents = s.byContent
	seal.Incomplete = code != fault.OK && code != fault.Vanished
	s.Log.Debug("source described", "entries", s.index.Len(), "digest", d.String())
	return s.conn.Write(wire.Encode(seal))
}

// scan fills the tree.
func (s *session) scan(ctx context.Context, visit func(*tree.Dir)) error {
	options := scan.Options{
		Workers: s.Checkers,
		Type:    s.describedAs,
		// The receiver leaves alone what it has in that place.
		Unexamined: tree.Opaque,
		Skip:       s.skip,
		Enter:      s.enter,
		Visit:      visit,
		Bounded:    true,
		Problem:    func(in *tree.Dir, name string, err error) { s.problem(in.Join(name), "scan", err, 0) },
		Found:      &s.Counters.Scanned,
		Flags: func(info dirfs.Info) tree.Flags {
			if info.Alloc < info.Size {
				return tree.Sparse
			}
			return 0
		},
	}
	if s.lookup != nil {
		options.Content = s.lookup.Find
	}
	root, err := scan.Scan(ctx, s.source, options)
	if err != nil {
		return fault.Doing(fault.Path, "scan the source", err)
	}
	if err := s.contents(ctx, root.Dir); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root = root
	return nil
}

// comparesContent reports whether the content of all files is compared. Where
// the receiver has nothing there is nothing to compare.
func (s *session) comparesContent() bool {
	return (s.Checksum || s.peer.Checksum || s.known) && !s.streams()
}

// asksWhatIsKnown reports whether it is up to what both sides know.
func (s *session) asksWhatIsKnown() bool {
	return s.Cached && !s.streams() && !s.Checksum && !s.peer.Checksum
}

// contents finds out all content if it is compared.
func (s *session) contents(ctx context.Context, root *tree.Dir) error {
	if s.asksWhatIsKnown() {
		if !s.lookup.Ended() {
			select {
			case theirs := <-s.theirs:
				s.known = theirs && !s.lookup.Ended()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if !s.known {
			contents.Forget(root)
		}
	}
	if !s.comparesContent() {
		return nil
	}
	s.Counters.Set(report.Comparing)
	return contents.Fill(ctx, root, s.source, s.Checkers, s.Cache, &s.Counters.Compared, s.Log)
}

// describedAs says what the receiver is told of an entry's type.
func (s *session) describedAs(t tree.Type) tree.Type {
	if t == tree.Other || t == tree.Link && !s.Links {
		return tree.Opaque
	}
	return t
}

// skip leaves out the working directory of a receiver at the root, and ends
// the session where the destination lies in the source.
func (s *session) skip(in *tree.Dir, name []byte, at dirfs.Dir) (bool, error) {
	if name[0] != '.' || !s.canon.IsReserved(string(name)) {
		return false, nil
	}
	if WorksIn(s.peer, at, string(name)) {
		return false, nested(working(s.peer), in)
	}
	if in.Parent != nil {
		return false, nil
	}
	s.reserved.Add(1)
	s.Log.Warn("skipped an entry of the source that has the receiver's own name", "name", string(name))
	return true, nil
}

// enter ends the session where the destination is a directory of the source.
func (s *session) enter(d *tree.Dir) error {
	switch {
	case s.peer.Location.Same(s.Here, d.Dev, d.Ino):
		return nested("the destination", d)
	case s.peer.Destination.Backup.Same(s.Here, d.Dev, d.Ino):
		return nested("the backup directory", d)
	}
	return nil
}

// working says which directories have the id of the receiver's destination.
func working(peer *wire.Hello) string {
	if peer.Destination.Backup != nil {
		return "the destination or its backup directory"
	}
	return "the destination"
}

func nested(what string, d *tree.Dir) error {
	return fault.New(fault.Path, "%s lies in the source, at %s, or is the same directory", fault.Told(what), fault.Told(report.Quote("/"+d.Path())))
}

// WorksIn reports whether name in at is the working directory of the receiver that sent
// peer.
func WorksIn(peer *wire.Hello, at dirfs.Dir, name string) bool {
	dir, err := at.OpenDir(name)
	if err != nil {
		return false
	}
	defer dir.Close()
	info, err := dir.Stat(tree.IDName(peer.Destination.Id))
	return err == nil && info.Type == tree.File
}

// count counts what a tree holds.
func count(root *tree.Dir) *wire.Counts {
	c := new(wire.Counts)
	for stack := []*tree.Dir{root}; len(stack) > 0; {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for i := range d.Entries {
			switch e := &d.Entries[i]; e.Type {
			case tree.File:
				c.Files++
				c.Bytes += uint64(e.Size)
			case tree.Directory:
				c.Directories++
				stack = append(stack, e.Dir)
			case tree.Link:
				c.Links++
			default:
				c.Opaque++
			}
		}
	}
	return c
}

// farewell is how long the verdict may take to arrive, over another connection if
// need be; the receiver waits as long for it.
const farewell = 10 * time.Second

// announce tells the receiver the verdict and ends the session. An error says that it
// may not have heard, or has failed meanwhile.
func (s *session) announce(v *wire.Verdict) error {
	if err := s.conn.Write(wire.Encode(v)); err != nil {
		return err
	}
	if p, ok := s.conn.(wire.Patient); ok {
		return p.Finish(farewell)
	}
	return s.conn.Close(wire.CloseNormal, "")
}

// verdict compares what the receiver has with what was sent, tells it, and
// ends the session.
func (s *session) verdict(ctx context.Context) (Result, error) {
	s.result.ByContent, s.result.Changes = s.byContent, s.done.Changes
	if s.byContent && !s.done.Contents {
		contents.Forget(s.root.Dir)
	}
	d := s.summer.Root(&s.root)
	code := fault.Worse(fault.Code(s.done.Code), s.Problems.Code())
	var err error
	if code == fault.OK && d != digest.Digest(s.done.Digest) {
		code = fault.Protocol
		err = fault.New(code, "the destination has digest %s, the source %s", digest.Digest(s.done.Digest), d)
	} else if code != fault.OK && s.Problems.Code() == fault.OK {
		err = fault.New(code, "the receiver's outcome: %s", code)
	}
	told := s.announce(&wire.Verdict{Code: uint32(code), Digest: d[:]})
	if cause := context.Cause(ctx); told != nil && cause != nil {
		return s.result, fault.With(fault.Interrupted, cause)
	}
	closed := (*wire.CloseError)(nil)
	switch failed := errors.As(told, &closed) && closed.Failed(); {
	case failed && code == fault.OK: // it was interrupted before it heard that
		err = wire.Fault(closed)
	case told != nil && !failed && code != fault.OK:
		// With success the receiver decides alone; this it can not know.
		s.Log.Warn("the receiver may not have heard the outcome", "outcome", code.String(), "cause", told)
	}
	if s.done.Contents { // while the receiver does so
		contents.Forget(s.root.Dir)
		d = s.summer.Root(&s.root)
	}
	s.result.Digest = d
	return s.result, err
}
