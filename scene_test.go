//go:build unix

package syncdirectory

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// scene is a source, a destination, and a canary outside of both that nobody
// may touch, while somebody changes the one or the other during a run.
type scene struct {
	*testing.T
	from, to, outside string
	shelf             string // where they move what they keep
	canary            map[string]string
	portable          bool // the destination's implementation of dirfs
	checksum          bool
}

// newScene makes both trees of text as treetest has it.
func newScene(t *testing.T, want, have string) *scene {
	t.Helper()
	dir := t.TempDir()
	s := &scene{T: t, from: filepath.Join(dir, "from"), to: filepath.Join(dir, "to"), outside: filepath.Join(dir, "outside"), shelf: filepath.Join(dir, "shelf")}
	for d, text := range map[string]string{s.from: want, s.to: have, s.outside: "f @7 =CANARY\nsub/f 600 @8 =CANARY\nn/f @9 =CANARY\n"} {
		s.ok(os.Mkdir(d, 0o755))
		treetest.Make(t, d, text)
	}
	s.ok(os.Mkdir(s.shelf, 0o755))
	s.canary = s.look(s.outside)
	return s
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// look returns what is in a tree, with metadata and inodes.
func (s *scene) look(dir string) map[string]string {
	s.Helper()
	all := exactly(s.T, dir)
	for path := range all {
		all[path] += fmt.Sprint(" ", inode(s.T, filepath.Join(dir, path)))
	}
	return all
}

// run mirrors over a real socket, with calls ahead of those on either disk, and
// returns what both sides say. It fails where they disagree or the canary is touched.
func (s *scene) run(source, destination func(dirfs.Call) error) (sent, received Result) {
	s.Helper()
	none := func(dirfs.Call) error { return nil }
	if source == nil {
		source = none
	}
	if destination == nil {
		destination = none
	}
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	giver, err := (&Sender{Dir: s.from, Links: true, Options: Options{Checksum: s.checksum}}).open()
	s.ok(err)
	defer giver.close()
	giver.root = dirfs.Inject(giver.root, source)
	r := &taker{Receiver: Receiver{Dir: s.to, NoFsync: true}, path: s.to}
	r.Options = r.withDefaults(2)
	r.root, err = dirfs.OpenRoot(s.to, dirfs.Options{Portable: s.portable})
	s.ok(err)
	r.root = dirfs.Inject(r.root, destination)
	s.ok(r.enter(s.to))
	urls, done := make(chan string, 1), make(chan struct{})
	var serr, rerr error
	go func() {
		defer close(done)
		received, rerr = listen(ctx, r, ListenOptions{OnListening: func(a net.Addr) { urls <- "ws://" + a.String() }})
		received, rerr = closing(r, received, rerr)
	}()
	sent, serr = dial(ctx, giver, <-urls, DialOptions{})
	<-done
	if ctx.Err() != nil {
		s.Fatalf("hangs: the sender with %v, %+v, the receiver with %v, %+v", serr, sent.Problems, rerr, received.Problems)
	}
	if sent.Code != received.Code || CodeOf(serr) != sent.Code || CodeOf(rerr) != received.Code {
		s.Errorf("the sender ends with %d, %v, the receiver with %d, %v", sent.Code, serr, received.Code, rerr)
	}
	if sent.Code != OK && sent.Code != Partial && sent.Code != Vanished {
		s.Errorf("the sender ends with %v, the receiver with %v", serr, rerr)
	}
	s.untouched()
	return sent, received
}

// untouched fails unless the canary is what it was.
func (s *scene) untouched() {
	s.Helper()
	now := s.look(s.outside)
	for path, was := range s.canary {
		if now[path] != was {
			s.Errorf("outside/%s was %s, is %s", path, was, now[path])
		}
	}
	for path := range now {
		if s.canary[path] == "" {
			s.Errorf("outside/%s was made", path)
		}
	}
}

// heals fails unless a run that nobody disturbs makes both trees equal, and leaves
// nothing.
func (s *scene) heals() {
	s.Helper()
	if sent, received := s.run(nil, nil); sent.Code != OK || received.Code != OK {
		s.Errorf("the next run: %d, %+v", received.Code, received.Problems)
	}
	if got, want := treetest.Read(s.T, s.to), treetest.Read(s.T, s.from); got != want {
		s.Errorf("after the next run there is\n%swant\n%s", got, want)
	}
}

// whenever returns a call that calls f ahead of each call that is one of op and name, as
// outcomes name them.
func whenever(call string, f func()) func(dirfs.Call) error {
	return func(c dirfs.Call) error {
		if matches(c, call) {
			f()
		}
		return nil
	}
}

// once does so ahead of the first one only.
func once(call string, f func()) func(dirfs.Call) error {
	var first sync.Once
	return whenever(call, func() { first.Do(f) })
}

// in returns a path of the destination.
func (s *scene) in(path string) string { return filepath.Join(s.to, path) }

// write writes a file of the destination in place, or makes it.
func (s *scene) write(path, content string) {
	s.Helper()
	s.ok(os.MkdirAll(filepath.Dir(s.in(path)), 0o755))
	s.ok(os.WriteFile(s.in(path), []byte(content), 0o644))
}

func (s *scene) remove(path string) { s.Helper(); s.ok(os.RemoveAll(s.in(path))) }

func (s *scene) rename(path, to string) { s.Helper(); s.ok(os.Rename(s.in(path), s.in(to))) }

// plant puts a link to the canary in the place of what is at path.
func (s *scene) plant(path string) {
	s.Helper()
	s.remove(path)
	s.ok(os.Symlink(filepath.Join(s.outside, filepath.Base(path)), s.in(path)))
}

// has fails unless a tree has these entries: path=content, path/, or a link path->;
// -path must not be there.
func (s *scene) has(dir string, entries ...string) {
	s.Helper()
	all := read(s.T, dir)
	for _, e := range entries {
		path, not := strings.CutPrefix(e, "-")
		path, link := strings.CutSuffix(path, "->")
		path, content, file := strings.Cut(path, "=")
		is := all[strings.TrimSuffix(path, "/")]
		switch {
		case not && is == "", link && strings.HasPrefix(is, "link "), file && is == "file "+content, is == "dir" && strings.HasSuffix(path, "/"):
		default:
			s.Errorf("want %s, there is %q", e, is)
		}
	}
}

// named reports whether a problem names a path.
func named(r Result, path string) bool {
	for _, p := range r.Problems {
		if p.Path == path {
			return true
		}
	}
	return false
}
