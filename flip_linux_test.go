package syncdirectory

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

var flips = flag.Duration("flips", 0, "how long sessions are raced against directories that flip to links; 0 is 0.8 s, or 0.2 s with -short")

// raced returns how long a race takes.
func raced() time.Duration {
	switch {
	case *flips > 0:
		return *flips
	case testing.Short():
		return 200 * time.Millisecond
	}
	return 800 * time.Millisecond
}

// nobody is a user who has nothing.
const nobody = 65534

// flipped are names of directories that flip to a link to the canary and back: one that
// stays, one that is to be made, one that goes, and one that becomes a file.
var flipped = []string{"d", "n", "gone", "to-file"}

// flipping flips directories of dir, as a user, until it is stopped.
type flipping struct {
	*scene
	dir   string
	count atomic.Int64 // flips
	met   atomic.Int64 // calls of a session while there was a link
	ended sync.WaitGroup
	quit  chan struct{}
}

func (s *scene) newFlipping(dir string, uid int) *flipping {
	s.Helper()
	f := &flipping{scene: s, dir: dir, quit: make(chan struct{})}
	f.plant()
	if uid != os.Geteuid() {
		for _, top := range []string{dir, s.shelf} {
			s.ok(filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
				return errors.Join(err, os.Lchown(path, uid, uid))
			}))
		}
	}
	open := func(dir string) int {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		s.ok(err)
		return fd
	}
	in, aside := open(dir), open(s.shelf)
	f.ended.Go(func() {
		defer unix.Close(in)
		defer unix.Close(aside)
		if uid != os.Geteuid() {
			// The thread is another user's from now on, and ends with this goroutine.
			runtime.LockOSThread()
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); e != 0 {
				s.Error(e)
				return
			}
		}
		for {
			for _, name := range flipped {
				f.flip(in, aside, name)
			}
			select {
			case <-f.quit:
				return
			case <-time.After(time.Duration(50+f.count.Load()%7*100) * time.Microsecond):
			}
		}
	})
	return f
}

func (f *flipping) stop() {
	close(f.quit)
	f.ended.Wait()
}

// flip has a link come from aside to a name, and go again. The session may have changed
// what was there, and a user may not move what is not his: then there is no flip.
func (f *flipping) flip(in, aside int, name string) {
	for range 2 {
		err := unix.Renameat2(in, name, aside, name, unix.RENAME_EXCHANGE)
		if errors.Is(err, unix.ENOENT) {
			err = unix.Renameat2(aside, name, in, name, unix.RENAME_NOREPLACE)
		}
		if err == nil {
			f.count.Add(1)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// plant makes links where there are none any more.
func (f *flipping) plant() {
	f.Helper()
	for _, name := range flipped {
		other := filepath.Join(f.shelf, name)
		for _, at := range []string{filepath.Join(f.dir, name), other} {
			if info, err := os.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
				other = ""
			}
		}
		if other != "" {
			_ = os.RemoveAll(other) // or it has flipped
			if err := os.Symlink(f.outside, other); err == nil {
				_ = os.Lchown(other, nobody, nobody) // for whom it matters
			}
		}
	}
}

// look is called ahead of each call of a session, and counts links that it meets.
func (f *flipping) look(dirfs.Call) error {
	for _, name := range flipped {
		if info, err := os.Lstat(filepath.Join(f.dir, name)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			f.met.Add(1)
		}
	}
	return nil
}

// flippedTree is what a source has in the n-th session, so that there always is something
// to be done in what flips. What a canary has is described too.
func flippedTree(n int) string {
	return fmt.Sprintf(`
./ @5
f @7 =f
d/ %o @7
d/f @%d =inside%d
d/large @%d +%d
d/sub/ @7
d/sub/f @%d =inside
n/ @7
n/f @%d =inside
to-file @%d =inside
`, 0o755-n%2*5, n+10, n, n+10, 400_000+n, n+10, n+10, n+10)
}

const flippedOld = `
./ @5
f @7 =f
d/f @6 =old
d/sub/f @6 =old
d/gone/f @6 =old
gone/f @6 =old
gone/sub/f @6 =old
to-file/f @6 =old
`

// TestSessionsWhileFlipped mirrors over and over while directories flip to links to a
// canary, on either side, and by whoever can. The canary is untouched, nothing of it
// comes to the destination, and a session that is left alone heals.
func TestSessionsWhileFlipped(t *testing.T) {
	users := map[string]int{"same user": os.Geteuid()}
	if os.Geteuid() == 0 {
		users["nobody"] = nobody
	} else {
		t.Run("nobody", func(t *testing.T) { t.Skip("SKIPPED: another user needs root") })
	}
	for user, uid := range users {
		for _, portable := range []bool{false, true} {
			for _, side := range []string{"source", "destination"} {
				t.Run(fmt.Sprintf("%s/portable=%v/%s", user, portable, side), func(t *testing.T) {
					s := newScene(t, flippedTree(0), flippedOld)
					s.portable = portable
					s.whileFlipped(side == "source", uid)
				})
			}
		}
	}
}

func (s *scene) whileFlipped(source bool, uid int) {
	s.Helper()
	dir := s.to
	if source {
		dir = s.from
	}
	f := s.newFlipping(dir, uid)
	stop := sync.OnceFunc(f.stop)
	s.Cleanup(stop)
	codes := make(map[Code]int)
	begin, n := time.Now(), 0
	for ; n < 3 || time.Since(begin) < raced() || f.met.Load() == 0 && time.Since(begin) < 10*time.Second; n++ {
		f.plant()
		var received Result
		if source {
			s.ok(os.RemoveAll(s.to))
			s.ok(os.Mkdir(s.to, 0o755))
			treetest.Make(s.T, s.to, []string{"", flippedOld}[n%2]) // streamed, or compared
			_, received = s.run(f.look, nil)
		} else {
			s.again(flippedTree(n), flippedOld)
			_, received = s.run(nil, f.look)
		}
		codes[received.Code]++
		s.nothingOutside()
		if s.Failed() {
			break
		}
	}
	stop()
	if f.met.Load() == 0 || f.count.Load() == 0 {
		s.Errorf("%d flips, and no call met a link: nothing is shown", f.count.Load())
	}
	s.Logf("%d sessions, codes %v, %d flips, links at %d calls", n, codes, f.count.Load(), f.met.Load())
	s.untouched()
	for _, name := range flipped { // so that the source has what it had
		s.ok(os.RemoveAll(filepath.Join(s.from, name)))
	}
	treetest.Make(s.T, s.from, flippedTree(n))
	s.heals()
}

// again makes the source anew, and puts back in the destination what sessions have
// removed, as far as nobody stands in the way.
func (s *scene) again(want, have string) {
	s.Helper()
	s.ok(os.RemoveAll(s.from))
	s.ok(os.Mkdir(s.from, 0o755))
	treetest.Make(s.T, s.from, want)
	root, err := os.OpenRoot(s.to)
	s.ok(err)
	defer root.Close()
	for _, path := range []string{"gone/f", "gone/sub/f", "d/gone/f"} {
		_ = root.MkdirAll(filepath.Dir(path), 0o755)
		_ = root.WriteFile(path, []byte("old"), 0o644)
	}
	if root.Remove("to-file") == nil {
		_ = root.MkdirAll("to-file", 0o755)
	}
	_ = root.RemoveAll("n")
}

// nothingOutside fails if content of the canary is in the destination.
func (s *scene) nothingOutside() {
	s.Helper()
	root, err := os.OpenRoot(s.to)
	s.ok(err)
	defer root.Close()
	// What cannot be looked at flips just now.
	_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if content, err := root.ReadFile(path); err == nil && bytes.Contains(content, []byte("CANARY")) {
				s.Errorf("%s has the canary's content", path)
			}
		}
		return nil
	})
}
