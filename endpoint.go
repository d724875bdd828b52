package syncdirectory

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sync-directory/sync-directory/internal/cache"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// endpoint is one end of a connection in one role: what the code that
// connects needs of a sender or a receiver.
type endpoint interface {
	role() wire.Role
	// options returns the options with defaults.
	options() Options
	// opened is called once when all is open.
	opened() error
	// hello says who this end is. It is asked for each session anew.
	hello() (*wire.Hello, error)
	// session carries out one session and closes the connection.
	session(ctx context.Context, l link, run *run) error
}

// link is a connection whose Hellos are through.
type link struct {
	conn       wire.Conn
	mine, peer *wire.Hello
	roundTrip  time.Duration // at most: the peer may have had something to do
}

// run is what one session reports to.
type run struct {
	Options
	problems *report.Problems
	result   Result
}

// withDefaults fills in what the zero value leaves open. On two cores one
// reader at the sender and two writers at the receiver were the fastest.
func (o Options) withDefaults(transfers int) Options {
	if o.Transfers <= 0 {
		o.Transfers = transfers
	}
	if o.Checkers <= 0 {
		o.Checkers = max(2, min(8, runtime.NumCPU()))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = report.Logger(o.Log)
	if o.Counters == nil {
		o.Counters = new(Counters)
	}
	return o
}

// wish returns what Compression says.
func (o Options) wish() (*wire.Compression, error) {
	c, err := wire.ParseCompression(cmp.Or(o.Compression, "auto"))
	return c, fault.With(fault.Usage, err)
}

// onOpen says that all is open that is worked in, of which dirs are mirrored.
func (o Options) onOpen(dirs ...string) error {
	if o.OnOpen == nil {
		return nil
	}
	o.makeCache(dirs...)
	return fault.With(fault.Path, o.OnOpen())
}

// makeCache makes the cache while that is possible, unless it lies in one of dirs, where
// nothing is kept.
func (o Options) makeCache(dirs ...string) {
	in := func(dir string) bool { return within(o.Cache, dir) }
	if o.Cache != "" && !slices.ContainsFunc(dirs, in) {
		_ = cache.Make(o.Cache) // it is said when something cannot be kept
	}
}

// comparesContent reports whether either end wants that.
func (l *link) comparesContent() bool { return l.mine.Checksum || l.peer.Checksum }

// cached reports whether both ends may know contents of an earlier session.
func (l *link) cached() bool { return l.mine.Cached && l.peer.Cached }

// hasCache reports whether something of the directory at path is kept.
func (o Options) hasCache(path string) bool { return o.Cache != "" && cache.Exists(o.Cache, path) }

// cache returns what is known of the contents in the directory at path, or nil
// where nothing can be kept.
func (o Options) cache(path string, root dirfs.Dir, l link) *cache.Cache {
	if o.Cache == "" || !root.TellsChanges() || within(o.Cache, path) || l.inPeer(o.Cache) {
		return nil
	}
	return cache.Open(o.Cache, path)
}

// inPeer reports whether dir, which may not exist yet, lies in the peer's
// directory or is it.
func (l *link) inPeer(dir string) bool {
	path, _, err := existing(dir)
	return err != nil || above(path, func(d dirfs.Dir) bool { // otherwise it cannot be told
		info, err := d.Self()
		return err == nil && l.peer.Location.Same(l.mine.Location, info.Dev, info.Ino)
	})
}

// above reports whether f is true of the directory at path or of one that it is in, each
// of which is opened to be looked at. What cannot be opened is passed over.
func above(path string, f func(dirfs.Dir) bool) bool {
	for {
		if d, err := dirfs.OpenRoot(path, dirfs.Options{Look: true}); err == nil {
			found := f(d)
			_ = d.Close() // nothing to lose
			if found {
				return true
			}
		}
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
}

// ClearCache removes what runs with Options.Cache dir have kept, and returns
// how many directories it was of.
func ClearCache(dir string) (int, error) { return cache.Clear(dir) }

// newHello returns what both roles say of themselves.
func newHello(role wire.Role, o Options, c *wire.Compression) *wire.Hello {
	session := make([]byte, 16)
	rand.Read(session)
	return &wire.Hello{
		Version:    wire.Version,
		VersionMin: wire.Version,
		Role:       role,
		Program:    "sync-directory " + Version,
		Session:    session,
		Checksum:   o.Checksum,
		WholeFile:  o.WholeFile,
		Abilities:  uint64(wire.Abilities),
		Progress:   o.Timeout > 0,
		Policy:     &wire.Policy{MaxDelete: o.MaxDelete, NoDelete: o.NoDelete, AllowEmpty: o.AllowEmpty, Sparse: o.Sparse, Backup: o.Backup},

		Compression: c,
	}
}

// carry leads one session from the Hellos to its end, and returns its result
// with the error that says the same.
func carry(ctx context.Context, e endpoint, l link) (Result, error) {
	o := e.options()
	o.Counters.Reset()
	r := &run{Options: o, problems: report.NewProblems(o.OnProblem)}
	o.Log.Debug("session begins", "peer", l.peer.Program, "role", l.peer.Role.String(), "round trip", l.roundTrip)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := watch(ctx, cancel, l.conn, o)
	var telling sync.WaitGroup
	if l.peer.Progress {
		telling.Go(func() { tell(ctx, l.conn, o) })
	}
	start := time.Now()
	err := e.session(ctx, l, r)
	wire.CloseWith(l.conn, err) // which the session has done but where it did not begin
	stop()
	cancel(nil)
	telling.Wait()
	r.result.Elapsed = time.Since(start)
	r.result.Sent, r.result.Received = l.conn.Counters()
	r.result.Problems, r.result.Failed = r.problems.All()
	r.result.Code = fault.Worse(fault.Of(err, fault.Lost), r.problems.Code())
	if r.result.Code != fault.OK {
		r.result.Digest = ""
	}
	if err == nil && r.result.Code != fault.OK {
		err = fault.New(r.result.Code, "%s", r.result.Code)
	}
	o.Log.Debug("session ended", "code", r.result.Code.String(), "elapsed", r.result.Elapsed)
	return r.result, err
}

// tellEvery is how often a peer that waits with a timeout hears that work goes
// on here.
const tellEvery = time.Second

// tell tells the peer that work goes on, while it does, until ctx ends.
func tell(ctx context.Context, conn wire.Conn, o Options) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// What the peer tells is no work of ours: it would come back for ever.
		sum := o.Counters.Sum()
		if sum == last {
			continue
		}
		last = sum
		if conn.Write(wire.Encode(new(wire.Progress))) != nil {
			return // the session finds out why
		}
	}
}

// believed is for how long what a peer says of its own work counts as progress, while
// nothing else moves: reading all that there is may take a day, and saying so costs nothing.
const believed = 24 * time.Hour

// watch cancels a session in which nothing moves for o.Timeout, and returns
// what ends the watching.
func watch(ctx context.Context, cancel context.CancelCauseFunc, conn wire.Conn, o Options) (stop func()) {
	if o.Timeout <= 0 {
		return func() {}
	}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(max(o.Timeout/10, time.Millisecond))
		defer tick.Stop()
		ours, theirs := o.Counters.Sum(), o.Counters.Peer.Load()
		moved := time.Now() // here
		since := moved      // or there, as the peer says
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case now := <-tick.C:
				if sum := o.Counters.Sum(); sum != ours || isLost(conn) {
					ours, moved, since = sum, now, now
				}
				if n := o.Counters.Peer.Load(); n != theirs {
					theirs, since = n, now
				}
				if now.Sub(since) >= o.Timeout || now.Sub(moved) >= max(believed, o.Timeout) {
					cancel(fault.New(fault.Timeout, "no progress for %v", o.Timeout))
					return
				}
			}
		}
	}()
	return func() { close(done); <-ended }
}

// isLost reports whether a session waits for another connection, for which it has a
// limit of its own.
func isLost(conn wire.Conn) bool {
	p, ok := conn.(wire.Patient)
	return ok && p.Lost() > 0
}

// Local mirrors the directory of s into the one of r, in this process and
// through the same code.
func Local(ctx context.Context, s *Sender, r *Receiver) (Result, error) {
	from, err := s.open()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	defer from.close()
	// Found again by what the directories are, but then it would be too late
	// not to make one in the source.
	if within(r.Dir, from.path) {
		err := fault.New(fault.Path, "the destination lies in the source, or is the same directory")
		return Result{Code: CodeOf(err)}, err
	}
	if r.BackupDir != "" && within(r.BackupDir, from.path) {
		err := fault.New(fault.Path, "backup directory %s: it lies in the source, or is the same directory", r.BackupDir)
		return Result{Code: CodeOf(err)}, err
	}
	to, err := r.open()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	if from.OnOpen == nil {
		from.OnOpen = to.OnOpen
	}
	if from.OnOpen != nil {
		to.makeCache(from.path, to.path)
	}
	if err := from.onOpen(from.path, to.path); err != nil {
		return closing(to, Result{Code: CodeOf(err)}, err)
	}
	if max(from.compression.Mode, to.compression.Mode) == wire.Compression_AUTO {
		from.compression.Mode = wire.Compression_NONE // nothing leaves this process
	}
	result, err := local(ctx, from, to)
	return closing(to, result, err)
}

// within reports whether dir, which may not exist yet, is in the existing
// directory parent, or is it. Both are reached without links then.
func within(dir, parent string) bool {
	path, missing, err := existing(dir)
	if err != nil {
		return false
	}
	rel, err := filepath.Rel(parent, filepath.Join(path, missing))
	return err == nil && filepath.IsLocal(rel)
}

// existing returns how much of the path of dir there is, without links, and the
// rest of it.
func existing(dir string) (path, missing string, err error) {
	abs, err := filepath.Abs(dir)
	for err == nil {
		if path, err := filepath.EvalSymlinks(abs); err == nil {
			return path, missing, nil
		}
		if abs == filepath.Dir(abs) {
			return "", "", fs.ErrNotExist
		}
		abs, missing = filepath.Dir(abs), filepath.Join(filepath.Base(abs), missing)
	}
	return "", "", err
}

// outcome is what one end of a local session returns.
type outcome struct {
	result Result
	err    error
}

func local(ctx context.Context, from, to endpoint) (Result, error) {
	a, b := newPipe()
	given := make(chan outcome, 1)
	go func() {
		l, err := greet(ctx, from, a)
		if err != nil {
			given <- outcome{Result{Code: CodeOf(err)}, err}
			return
		}
		result, err := carry(ctx, from, l)
		given <- outcome{result, err}
	}()
	l, err := welcome(b, func(*wire.Hello) (*wire.Hello, error) { return to.hello() })
	if err != nil {
		wire.CloseWith(b, err)
		return Result{Code: CodeOf(err)}, errors.Join(err, (<-given).err)
	}
	result, err := carry(ctx, to, l)
	sent := <-given
	if f := (*fault.Error)(nil); err == nil || errors.As(err, &f) && f.Peer && sent.err != nil {
		err = sent.err // the side where it happened knows best
	}
	result.Code = fault.Worse(result.Code, fault.Of(err, fault.Lost))
	return result, err
}

// greet opens a session on a connection that this end has dialled.
func greet(ctx context.Context, e endpoint, conn wire.Conn) (link, error) {
	mine, err := e.hello()
	if err != nil {
		wire.CloseWith(conn, err)
		return link{}, err
	}
	return greetAs(ctx, conn, mine)
}

// greetAs does so with a Hello that is there.
func greetAs(ctx context.Context, conn wire.Conn, mine *wire.Hello) (link, error) {
	l := link{conn: conn, mine: mine}
	err := promptly(ctx, conn, func() (err error) {
		start := time.Now()
		l.peer, err = wire.Greet(conn, mine)
		l.roundTrip = time.Since(start)
		return err
	})
	if t, ok := conn.(wire.Timed); ok { // without the wait for one's turn
		l.roundTrip = min(l.roundTrip, t.RoundTrip())
	}
	return l, err
}

// welcome answers the Hello of a peer that has dialled, with what answer says.
func welcome(conn wire.Conn, answer func(peer *wire.Hello) (*wire.Hello, error)) (l link, err error) {
	l.conn = conn
	start := time.Now() // the peer hears now that it is connected, and says hello
	l.peer, err = wire.Welcome(conn, func(peer *wire.Hello) (*wire.Hello, error) {
		l.roundTrip = time.Since(start)
		l.mine, err = answer(peer)
		return l.mine, err
	})
	return l, err
}
