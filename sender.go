package syncdirectory

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/wire"
)

// Sender gives a directory.
type Sender struct {
	// Dir is the directory, whose contents are mirrored. It may be reached
	// through links; below it none is followed.
	Dir string
	// Links mirrors symbolic links as links. Without it they are skipped,
	// and what the destination has in their places is left alone.
	Links bool
	Options
}

// Dial connects to a receiver that listens at a ws or wss URL, and mirrors.
func (s *Sender) Dial(ctx context.Context, url string, o DialOptions) (Result, error) {
	if err := o.check(url); err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	from, err := s.open()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	defer from.close()
	return dial(ctx, from, url, o)
}

// Listen waits for a receiver and mirrors.
func (s *Sender) Listen(ctx context.Context, o ListenOptions) (Result, error) {
	if err := o.check(); err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	from, err := s.open()
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	defer from.close()
	return listen(ctx, from, o)
}

// giver is a Sender whose directory is open.
type giver struct {
	Sender
	path string // without links
	root dirfs.Dir

	compression *wire.Compression
}

func (s *Sender) open() (*giver, error) {
	compression, err := s.wish()
	if err != nil {
		return nil, err
	}
	path, err := resolve(s.Dir)
	if err != nil {
		return nil, fault.New(fault.Path, "source %s: %w", s.Dir, cause(err))
	}
	root, err := dirfs.OpenRoot(path, dirfs.Options{CrossMounts: true})
	if err != nil {
		return nil, fault.New(fault.Path, "source %s: %w", s.Dir, cause(err))
	}
	g := &giver{Sender: *s, path: path, root: root, compression: compression}
	g.Options = g.withDefaults(max(1, min(4, runtime.NumCPU()/2)))
	return g, nil
}

func (g *giver) close() {
	// A directory handle has nothing to lose.
	_ = g.root.Close()
}

func (g *giver) role() wire.Role { return wire.Role_SENDER }

func (g *giver) options() Options { return g.Options }

func (g *giver) opened() error { return g.onOpen(g.path) }

func (g *giver) hello() (*wire.Hello, error) {
	h := newHello(wire.Role_SENDER, g.Options, g.compression)
	h.Location = newLocation(g.root)
	h.Cached = g.hasCache(g.path)
	return h, nil
}

func (g *giver) session(ctx context.Context, l link, r *run) error {
	handles := dirfs.NewHandles(g.root, dirfs.DefaultHandles())
	defer handles.Close()
	result, err := sender.Run(ctx, l.conn, l.peer, handles, sender.Options{
		Links:       g.Links,
		Checksum:    g.Checksum,
		Cache:       g.cache(g.path, g.root, l),
		Cached:      l.cached(),
		Transfers:   g.Transfers,
		Checkers:    g.Checkers,
		Compression: l.mine.Compression,
		Nested:      worksAbove(l.peer, g.path),
		Here:        l.mine.Location,
		RoundTrip:   l.roundTrip,
		Log:         g.Log,
		Counters:    g.Counters,
		Problems:    r.problems,
	})
	r.result.Digest, r.result.ByContent = result.Digest.String(), result.ByContent
	r.result.Source, r.result.Changes = newCounts(result.Counts), newChanges(result.Changes)
	return err
}

// worksAbove reports whether the receiver that sent peer works in a directory that path
// is in.
func worksAbove(peer *wire.Hello, path string) bool {
	return path != filepath.Dir(path) && above(filepath.Dir(path), func(d dirfs.Dir) bool {
		return sender.WorksIn(peer, d, tree.Reserved)
	})
}

// resolve returns the absolute path of an existing directory without links.
func resolve(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("no directory given")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = errors.New("not a directory")
	}
	return path, err
}

// cause drops the operation and the path that the system's errors repeat.
func cause(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
