package dirfs_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// The races here make the real calls over and over while a name flips between what it
// is and a link to a canary outside. Afterwards the canary is untouched, and nothing of
// it was read; a race in which no call met a link fails, since it shows nothing.

var flips = flag.Duration("flips", 0, "how long each call is raced against links that come and go; 0 is 40 ms, or 10 ms with -short")

// raced returns how long a race takes.
func raced() time.Duration {
	switch {
	case *flips > 0:
		return *flips
	case testing.Short():
		return 10 * time.Millisecond
	}
	return 40 * time.Millisecond
}

// flipping makes what a race needs to see a flip at most so late.
const flipping = 30 * time.Second

// race is a root in which somebody flips a name.
type race struct {
	*place
	target
	outside string // the canary
	stage   dirfs.Dir
	foreign map[uint64]bool // inodes of the canary
	hard    bool            // what comes is a hard link to the canary's file
	uid     int             // of who flips

	flips atomic.Int64
	met   int // calls that met a link
	done  int // calls that met what they were for
}

// newRace makes the directories "x" and "stage" in p, and the canary.
func newRace(p *place, uid int) *race {
	p.Helper()
	r := &race{place: p, outside: p.TempDir(), foreign: make(map[uint64]bool), uid: uid}
	for dir, word := range map[string]string{r.outside: "CANARY", p.at("x"): "inside"} {
		ok(p, os.MkdirAll(filepath.Join(dir, "dir"), 0o755))
		ok(p, os.MkdirAll(filepath.Join(dir, "empty"), 0o755))
		ok(p, os.WriteFile(filepath.Join(dir, "file"), []byte(word), 0o644))
		ok(p, os.WriteFile(filepath.Join(dir, "dir", word), nil, 0o644))
		ok(p, os.Symlink(word, filepath.Join(dir, "link")))
	}
	r.stage = p.mkdir("stage")
	if uid != os.Geteuid() {
		ok(p, os.Chown(p.path, uid, uid)) // who flips may do so in it
		ok(p, os.Chown(p.at("x"), uid, uid))
	}
	return r
}

// look returns all that is to be known of the canary, and fills r.foreign. The times of
// change, and the number of names, stay out where one of its files has a name that flips.
func (r *race) look() map[string]string {
	r.Helper()
	all := make(map[string]string)
	ok(r, filepath.WalkDir(r.outside, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		r.foreign[st.Ino] = true
		content, _ := os.ReadFile(path) // "" for a directory
		st.Atim = unix.Timespec{}
		if r.hard {
			st.Ctim, st.Nlink = unix.Timespec{}, 0
		}
		all[path] = fmt.Sprintf("%+v %q", st, content)
		return nil
	}))
	return all
}

// flipper changes what is called name, there and back.
type flipper func(dir int, name, other string) error

// exchanges swaps two names in one call.
func exchanges(dir int, name, other string) error {
	return unix.Renameat2(dir, name, dir, other, unix.RENAME_EXCHANGE)
}

// renames does so in three, between which name is missing.
func renames(dir int, name, other string) error {
	aside := name + ".aside"
	if err := unix.Renameat(dir, name, dir, aside); err != nil {
		return err
	}
	return errors.Join(unix.Renameat(dir, other, dir, name), unix.Renameat(dir, aside, dir, other))
}

// comes has something come to a name that is free, and go again.
func comes(dir int, name, other string) error {
	err := unix.Renameat2(dir, other, dir, name, unix.RENAME_NOREPLACE)
	if err == nil {
		err = unix.Renameat2(dir, name, dir, other, unix.RENAME_NOREPLACE)
	}
	return err
}

// flip flips name until stop is called.
func (r *race) flip(f flipper, name string) (stop func()) {
	r.Helper()
	dir := must(unix.Open(r.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0))(r)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if r.uid != os.Geteuid() {
			// The thread is another user's from now on, and ends with this goroutine.
			runtime.LockOSThread()
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(r.uid), uintptr(r.uid), uintptr(r.uid)); e != 0 {
				r.Error(e)
				return
			}
		}
		for {
			switch err := f(dir, name, name+".other"); {
			case err == nil:
				r.flips.Add(1)
			case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY),
				errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTDIR): // the call was there first
			default:
				r.Error(err)
				return
			}
			select {
			case <-quit:
				return
			default:
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(quit)
		<-done
		ok(r, unix.Close(dir))
	})
	r.Cleanup(stop) // also where the test ends early
	return stop
}

// run makes a call over and over while name flips.
func (r *race) run(f flipper, name string, call func() error) {
	r.Helper()
	before := r.look()
	stop := r.flip(f, name)
	begin := time.Now()
	for {
		if info, err := r.Stat(name); err == nil && r.comes(info) {
			r.met++
		}
		switch err := call(); {
		case err == nil:
			r.done++
		case isMet(err):
			r.met++
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist): // between two flips
		default:
			r.Errorf("after %d flips: %v", r.flips.Load(), err)
		}
		took := time.Since(begin)
		if r.Failed() || took >= raced() && r.met > 0 && r.done > 0 || took >= flipping {
			break
		}
	}
	stop()
	after := r.look()
	for path := range after {
		if after[path] != before[path] {
			r.Errorf("%s was\n%s, is\n%s", path, before[path], after[path])
		}
	}
	if len(after) != len(before) {
		r.Errorf("the canary had %d entries, has %d", len(before), len(after))
	}
	if r.met == 0 || r.done == 0 {
		r.Errorf("%d calls met a link, %d what they were for: nothing is shown", r.met, r.done)
	}
	r.Logf("%d flips, %d calls met a link, %d did not", r.flips.Load(), r.met, r.done)
}

// comes reports whether what a name is now is what comes.
func (r *race) comes(info dirfs.Info) bool {
	switch r.other {
	case hardLink:
		return r.foreign[info.Ino]
	case fifo:
		return info.Type == tree.Other
	case "link": // and a link is there in between
		return info.Size > int64(len("inside"))
	}
	return info.Type == tree.Link
}

// isMet reports whether err says that something else was there.
func isMet(err error) bool {
	for _, met := range []error{syscall.ELOOP, syscall.ENOTDIR, syscall.EINVAL, syscall.EISDIR, dirfs.ErrReplaced, dirfs.ErrNotRegular, dirfs.ErrNotLink} {
		if errors.Is(err, met) {
			return true
		}
	}
	// What os.Root says of a link that leads out has no name.
	return err != nil && strings.Contains(err.Error(), "path escapes from parent")
}

// again makes a call until it meets what it is for, to put back what another one has
// changed: a rename by path fails while the path leads elsewhere.
func (r *race) again(call func() error) error {
	for end := time.Now().Add(flipping); ; {
		err := call()
		if !isMet(err) && !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			return err
		}
	}
}

// ours fails if info is of the canary.
func (r *race) ours(info dirfs.Info, err error) error {
	if err == nil && r.foreign[info.Ino] {
		r.Errorf("examined the canary: %+v", info)
	}
	return err
}

// reads fails unless the content of a file is that of the root's own.
func (r *race) reads(f dirfs.File) error {
	buf := make([]byte, 10)
	n, _ := f.ReadAt(buf, 0)
	if string(buf[:n]) != "inside" {
		r.Errorf("read %q", buf[:n])
	}
	return nil
}

// races runs a test with every implementation, and with somebody who flips by one call
// or by several, and is the same user or nobody.
func races(t *testing.T, test func(p *place, uid int, f flipper)) {
	t.Helper()
	users := map[string]int{"same user": os.Geteuid()}
	if os.Geteuid() == 0 {
		users["nobody"] = nobody
	} else {
		t.Run("nobody", func(t *testing.T) { t.Skip("SKIPPED: another user needs root") })
	}
	for _, v := range append(nativeVariants()[:1], variant{name: "portable", open: openPortable}, variant{name: "portable-by-path", open: dirfs.OpenPortableByPath}) {
		f := flipper(exchanges)
		if !v.native {
			f = renames
		}
		for user, uid := range users {
			t.Run(v.name+"/"+user, func(t *testing.T) { test(&place{T: t, variant: v}, uid, f) })
		}
	}
}

// nobody is a user who has nothing.
const nobody = 65534

// sub returns an empty directory and its handle for a test that is a part of another.
func (p *place) sub(t *testing.T) *place {
	t.Helper()
	path := t.TempDir()
	d := must(p.open(path, dirfs.Options{}))(t)
	t.Cleanup(func() { d.Close() })
	return &place{t, p.variant, d, path}
}
