package syncdirectory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// faults makes one call on a directory fail, the at-th that is of interest.
type faults struct {
	of     func(dirfs.Call) bool
	at     int
	always bool // all of them fail
	after  bool // all that come after it fail too
	err    error
	where  string // before the name in what the error says

	mu    sync.Mutex // guards the rest
	calls int
	hit   dirfs.Call
}

func (f *faults) before(c dirfs.Call) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Op == "Close" || c.Op == "File.Close" || !f.of(c) {
		return nil
	}
	f.calls++
	if f.calls != f.at && !f.always && !(f.after && f.calls > f.at) {
		return nil
	}
	if f.hit == (dirfs.Call{}) || !f.after {
		f.hit = c
	}
	return &fs.PathError{Op: c.Op, Path: f.where + c.Name, Err: f.err}
}

// mirrorFaulty is Local with a fault on one side, or on none.
func mirrorFaulty(t *testing.T, from, to string, source, destination *faults) (Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, r, err := openFaulty(t, from, to, source, destination)
	if err != nil {
		return Result{Code: CodeOf(err)}, err
	}
	defer s.close()
	result, err := local(ctx, s, r)
	result, err = closing(r, result, err)
	if ctx.Err() != nil {
		t.Fatalf("hangs: %v", err)
	}
	return result, err
}

// openFaulty opens both sides of it.
func openFaulty(t *testing.T, from, to string, source, destination *faults) (*giver, *taker, error) {
	t.Helper()
	s, err := (&Sender{Dir: from, Links: true}).open()
	if err != nil {
		t.Fatal(err)
	}
	if source != nil {
		s.root = dirfs.Inject(s.root, source.before)
	}
	path, err := (&Receiver{Dir: to}).prepare()
	if err != nil {
		t.Fatal(err)
	}
	r := &taker{Receiver: Receiver{Dir: to}}
	r.Options = r.withDefaults(2)
	if r.root, err = dirfs.OpenRoot(path, dirfs.Options{}); err != nil {
		t.Fatal(err)
	}
	if destination != nil {
		r.root = dirfs.Inject(r.root, destination.before)
	}
	if err := r.enter(path); err != nil {
		s.close()
		return nil, nil, errors.Join(err, r.root.Close())
	}
	return s, r, nil
}

// grow makes a tree of "path", "path=content", "path/" and "path->target".
func grow(t *testing.T, dir string, entries ...string) {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(dir, 0o755))
	for _, e := range entries {
		path, content, _ := strings.Cut(e, "=")
		path, target, link := strings.Cut(path, "->")
		full := filepath.Join(dir, path)
		check(os.MkdirAll(filepath.Dir(full), 0o755))
		switch {
		case strings.HasSuffix(path, "/"):
			check(os.MkdirAll(full, 0o755))
		case link:
			check(os.Symlink(target, full))
		case content == "LARGE" || content == "OTHER":
			b := make([]byte, 2<<20+len(path)) // three chunks
			for i := range b {
				b[i] = content[0] + byte(i>>16)
			}
			check(os.WriteFile(full, b, 0o644))
		default:
			check(os.WriteFile(full, []byte(content), 0o644))
		}
	}
}

// Content that is worth to be found elsewhere.
var (
	long   = strings.Repeat("long", 100)
	longer = strings.Repeat("longer", 100)
)

var (
	faultyWant = []string{"same=x", "new=n", "changed=new", "large=LARGE", "large2=OTHER", "dir/new/deep/f=f", "dir/new/l->x", "dir/f=f", "to-file=file", "to-dir/f=f", "link->there", "touched=t", "empty/",
		"place/moved/f=moved", "place/moved/sub/g=below", "original=" + long, "dir/copied=" + long, "dir/renamed=" + longer}
	faultyHave = []string{"same=x", "changed=old!", "large=old", "dir/f=g", "dir/extra=x", "to-file/a/b=b", "to-dir=d", "link->elsewhere", "extra/a/b=x", "extra/c=", "touched=t",
		"moves/f=moved", "moves/sub/g=below", "original=" + long, "name=" + longer}

	// aged are the paths of what was there before, on both sides, long ago.
	aged = []string{"place/moved/f", "place/moved/sub/g", "place/moved/sub", "original", "dir/copied", "dir/renamed", "moves/f", "moves/sub/g", "moves/sub", "name"}
)

// read returns what is in a tree, by content.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(rel, ".sync-directory") {
			return err
		}
		switch {
		case e.IsDir():
			all[rel] = "dir"
		case e.Type() == fs.ModeSymlink:
			all[rel], err = os.Readlink(path)
			all[rel] = "link " + all[rel]
		default:
			b, rerr := os.ReadFile(path)
			all[rel], err = "file "+string(b), rerr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// age gives what is there of the given paths one time, long ago.
func age(t *testing.T, dir string, paths []string) {
	t.Helper()
	when := time.Unix(1e9, 0)
	for _, p := range paths {
		if err := os.Chtimes(filepath.Join(dir, p), when, when); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			t.Fatal(err)
		}
	}
}

// hasMoved reports whether what was at a path is, as it was, where the directory
// that it is in was moved to: that is no removal.
func hasMoved(have, got map[string]string, path string) bool {
	rest, ok := strings.CutPrefix(path, "moves")
	return ok && have[path] != "" && got["place/moved"+rest] == have[path]
}

// whole reports entries that are neither what they were nor what they shall
// be, and extra ones that are gone although that is forbidden.
func whole(t *testing.T, have, want, got map[string]string, removes bool) {
	t.Helper()
	for path, is := range got {
		if is != have[path] && is != want[path] {
			t.Errorf("%s is torn: %.30q", path, is)
		}
	}
	for path := range have {
		if _, ok := got[path]; !ok && want[path] == "" && !removes && !strings.HasPrefix(path, "to-file") && !hasMoved(have, got, path) {
			t.Errorf("%s was removed", path)
		}
	}
}

func TestEveryFailingCallAtTheDestination(t *testing.T) {
	for _, have := range [][]string{faultyHave, nil} {
		t.Run(fmt.Sprint(len(have)), func(t *testing.T) {
			every(t, have, func(dirfs.Call) bool { return true }, func(f *faults) (*faults, *faults) { return nil, f },
				syscall.EIO, syscall.EACCES, syscall.ENOSPC)
		})
	}
}

func TestEveryFailingCallAtTheSource(t *testing.T) {
	for _, have := range [][]string{faultyHave, nil} {
		t.Run(fmt.Sprint(len(have)), func(t *testing.T) {
			every(t, have, func(dirfs.Call) bool { return true }, func(f *faults) (*faults, *faults) { return f, nil },
				syscall.EIO, syscall.EACCES, syscall.ENOENT)
		})
	}
}

// every lets one call after the other fail. No session hangs, no entry is
// torn, success means equal, and the next run heals.
func every(t *testing.T, have []string, of func(dirfs.Call) bool, side func(*faults) (source, destination *faults), errs ...error) {
	// A run takes a third of the calls, another one another third.
	memory, step := "/dev/shm", 3
	if probe, err := os.MkdirTemp(memory, ""); err != nil || os.Remove(probe) != nil {
		memory = t.TempDir() // where every barrier takes its time
		step = 9
	}
	if testing.Short() || raceDetector {
		step = 13
	}
	open := descriptors()
	for at := 1 + int(time.Now().UnixNano()>>10)%step; ; at += step {
		f := &faults{of: of, at: at, err: errs[at%len(errs)]}
		dir, err := os.MkdirTemp(memory, "faults")
		if err != nil {
			t.Fatal(err)
		}
		from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
		grow(t, from, faultyWant...)
		grow(t, to, have...)
		if have != nil {
			when := time.Unix(1e9, 0)
			for _, err := range []error{os.Chtimes(filepath.Join(from, "touched"), when, when), os.Chmod(filepath.Join(from, "same"), 0o600)} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		age(t, from, aged)
		age(t, to, aged)
		before, want := read(t, to), read(t, from)
		source, destination := side(f)
		result, err := mirrorFaulty(t, from, to, source, destination)
		got := read(t, to)
		t.Logf("%d: %+v %v: %v %v", at, f.hit, f.err, result.Code, err)
		whole(t, before, want, got, result.Code == OK || result.Code == Vanished || result.Code == Disk || result.Code == Partial && removing(result))
		switch result.Code {
		case OK:
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("success, but not equal: %v", err)
			}
			if have != nil && f.hit.Op == "" && result.Changes.Reused != 4 {
				t.Errorf("without a fault %d files are reused", result.Changes.Reused)
			}
		case Partial, Vanished:
			if len(result.Problems) == 0 {
				t.Errorf("%v without a problem", result.Code)
			}
		case Disk, BadPath:
		default:
			t.Errorf("code %v: %v", result.Code, err)
		}
		if _, err := mirrorFaulty(t, from, to, nil, nil); err != nil {
			t.Errorf("next run: %v", err)
		}
		if got := read(t, to); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("next run: not equal")
		}
		if _, err := os.Lstat(filepath.Join(to, ".sync-directory")); err == nil {
			t.Error("next run: .sync-directory is left")
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if now := descriptors(); now > open {
			t.Errorf("%d descriptors, %d before", now, open)
		}
		if t.Failed() {
			t.Fatalf("call %d: %+v %v", at, f.hit, f.err)
		}
		if f.hit.Op == "" {
			t.Logf("%d calls", at-1)
			return
		}
	}
}

// descriptors returns how many this process has open, 0 where that is not
// told.
func descriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// removing reports whether removal itself, or what comes after it, failed.
func removing(r Result) bool {
	for _, p := range r.Problems {
		if p.Operation != "remove" && !strings.HasPrefix(p.Operation, "set metadata") {
			return false
		}
	}
	return true
}
