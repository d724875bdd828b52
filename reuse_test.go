//go:build unix

package syncdirectory

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/linksim"
)

// exactly returns what is in a tree, by content and metadata.
func exactly(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := read(t, dir)
	for path, is := range all {
		info, err := os.Lstat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			all[path] = fmt.Sprintf("%v %d %s", info.Mode(), info.ModTime().UnixNano(), is)
		}
	}
	return all
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// yard is a source, and a destination that was equal to it.
type yard struct {
	*testing.T
	from, to string
}

// newYard makes directories a, b and c of files that do not shrink: in each six,
// of which two are in a directory below. All are older than anybody may doubt.
func newYard(t *testing.T) *yard {
	t.Helper()
	dir := t.TempDir()
	y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range []string{"a", "b", "c"} {
		for i := range 6 {
			path := fmt.Sprintf("%s/%s%d", d, d, i)
			if i > 3 {
				path = fmt.Sprintf("%s/sub/f%d", d, i)
			}
			y.write(path, noise(r, 20_000+i*1000))
		}
	}
	y.write("log", noise(r, 30_000))
	y.write("log.1", noise(r, 31_000))
	y.write("log.2", noise(r, 32_000))
	y.write("large", noise(r, 3<<20))
	y.age()
	if out, err := exec.Command("cp", "-a", y.from, y.to).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return y
}

func (y *yard) write(path string, content []byte) {
	y.Helper()
	full := filepath.Join(y.from, path)
	y.ok(os.MkdirAll(filepath.Dir(full), 0o755))
	y.ok(os.WriteFile(full, content, 0o644))
}

// age gives everything a time of its own, long ago.
func (y *yard) age() {
	y.Helper()
	n := 0
	y.ok(filepath.WalkDir(y.from, func(path string, e fs.DirEntry, err error) error {
		n++
		when := time.Unix(1e9+int64(n), int64(n)*1001)
		return os.Chtimes(path, when, when)
	}))
}

func (y *yard) ok(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

// mv renames in the source.
func (y *yard) mv(from, to string) {
	y.Helper()
	y.ok(os.MkdirAll(filepath.Dir(filepath.Join(y.from, to)), 0o755))
	y.ok(os.Rename(filepath.Join(y.from, from), filepath.Join(y.from, to)))
}

func (y *yard) cp(from, to string) {
	y.Helper()
	if out, err := exec.Command("cp", "-a", filepath.Join(y.from, from), filepath.Join(y.from, to)).CombinedOutput(); err != nil {
		y.Fatalf("%v %s", err, out)
	}
}

// edit appends to a file of the source.
func (y *yard) edit(path string) {
	y.Helper()
	f, err := os.OpenFile(filepath.Join(y.from, path), os.O_APPEND|os.O_WRONLY, 0)
	y.ok(err)
	_, err = f.WriteString("edited\n")
	y.ok(err)
	y.ok(f.Close())
}

// TestReuse renames, moves, copies and swaps in the source. What the destination
// has is not sent again.
func TestReuse(t *testing.T) {
	const few = 4 << 10 // all that is no content
	for _, c := range []struct {
		name   string
		change func(y *yard)
		most   int64    // bytes on the wire
		moved  []string // "old>new": the very file, or directory
	}{
		{"a directory is renamed", func(y *yard) { y.mv("a", "z") }, few, []string{"a>z", "a/sub>z/sub", "a/a1>z/a1"}},
		{"a directory moves into another", func(y *yard) { y.mv("a", "b/a") }, few, []string{"a>b/a"}},
		{"a directory moves into a new one", func(y *yard) { y.mv("a", "new/deep/z") }, few, []string{"a>new/deep/z"}},
		{"a directory moves out of one that goes", func(y *yard) { y.mv("a/sub", "z"); y.ok(os.RemoveAll(y.from + "/a")) }, few, []string{"a/sub>z"}},
		{"a directory is renamed, and a file in it edited", func(y *yard) { y.mv("a", "z"); y.edit("z/a1") }, 30_000, []string{"a/sub>z/sub", "a/a2>z/a2"}},
		{"a directory is renamed, and a file added to it", func(y *yard) { y.mv("a", "z"); y.write("z/new", []byte("new")) }, few, []string{"a/sub>z/sub", "a/a2>z/a2"}},
		{"all directories are renamed", func(y *yard) { y.mv("a", "x"); y.mv("b", "y"); y.mv("c", "z") }, few, []string{"a>x", "b>y", "c>z"}},
		{"two directories are swapped", func(y *yard) { y.mv("a", "t"); y.mv("b", "a"); y.mv("t", "b") }, few, []string{}},
		{"directories in a cycle", func(y *yard) { y.mv("a", "t"); y.mv("c", "a"); y.mv("b", "c"); y.mv("t", "b") }, few, []string{}},
		{"directories in a chain", func(y *yard) { y.mv("c", "d"); y.mv("b", "c"); y.mv("a", "b") }, few, []string{"c/c1>d/c1"}},
		{"a directory onto another", func(y *yard) { y.ok(os.RemoveAll(y.from + "/b")); y.mv("a", "b") }, few, []string{"a/a1>b/a1"}},
		{"a directory in place of a file", func(y *yard) { y.ok(os.Remove(y.from + "/log")); y.mv("a", "log") }, few, []string{"a>log"}},
		{"a file in place of a directory", func(y *yard) { y.ok(os.RemoveAll(y.from + "/a")); y.mv("large", "a") }, few, []string{"large>a"}},
		{"a file takes the place of the directory that it is in", func(y *yard) { y.mv("a/a1", "t"); y.ok(os.RemoveAll(y.from + "/a")); y.mv("t", "a") }, few, nil},
		{"a directory takes the place of its parent", func(y *yard) { y.mv("a/sub", "t"); y.ok(os.RemoveAll(y.from + "/a")); y.mv("t", "a") }, few, nil},
		{"a directory moves into itself", func(y *yard) { y.mv("a", "t"); y.mv("t", "a/a") }, few, []string{"a/a1>a/a/a1"}},
		{"letters change their case", func(y *yard) { y.mv("a", "A"); y.mv("log", "LOG") }, few, []string{"a>A", "log>LOG"}},
		{"a directory is copied", func(y *yard) { y.cp("a", "z") }, few, nil},
		{"a directory is renamed, and one in it copied", func(y *yard) { y.cp("a/sub", "AA"); y.mv("a", "z") }, few, []string{"a>z"}},
		{"a directory is renamed and copied", func(y *yard) { y.cp("a", "y"); y.mv("a", "z") }, few, nil},
		{"a directory is copied, and what is in it renamed", func(y *yard) { y.cp("a", "z"); y.mv("a/sub", "a/other") }, few, []string{"a/sub>a/other"}},
		{"a directory is renamed, and one in it moves elsewhere", func(y *yard) { y.mv("a/sub", "other"); y.mv("a", "z") }, few, []string{"a/sub>other"}},
		{"a file is renamed", func(y *yard) { y.mv("large", "huge") }, few, []string{"large>huge"}},
		{"a file moves into a new directory", func(y *yard) { y.mv("large", "new/large") }, few, []string{"large>new/large"}},
		{"a file moves onto another", func(y *yard) { y.mv("large", "log") }, few, nil},
		{"two files are swapped", func(y *yard) { y.mv("log", "t"); y.mv("large", "log"); y.mv("t", "large") }, few, []string{"log>large", "large>log"}},
		{"files in a cycle", func(y *yard) { y.mv("log", "t"); y.mv("log.1", "log"); y.mv("log.2", "log.1"); y.mv("t", "log.2") }, few, []string{"log>log.2", "log.1>log"}},
		{"a log is rotated", func(y *yard) { y.mv("log.1", "log.2"); y.mv("log", "log.1"); y.write("log", []byte("fresh")) }, few, []string{"log.1>log.2"}},
		{"a file is renamed and copied", func(y *yard) { y.cp("large", "again"); y.mv("large", "huge") }, few, nil},
		{"a file is copied, and the old one's mode changed", func(y *yard) { y.cp("large", "a/large"); y.ok(os.Chmod(y.from+"/large", 0o600)) }, few, nil},
		{"a directory is copied, and what was in it moves out", func(y *yard) {
			y.cp("a", "z")
			y.cp("a", "y")
			y.mv("a/a0", "b/sub/a0")
			y.mv("a/a1", "c/a1")
			y.mv("a/sub", "b/other")
			y.ok(os.RemoveAll(y.from + "/a"))
		}, few, []string{"a>y"}},
		{"a file is copied", func(y *yard) { y.cp("large", "a/large") }, few, nil},
		{"a file is renamed, with another mode", func(y *yard) { y.mv("large", "huge"); y.ok(os.Chmod(y.from+"/huge", 0o600)) }, few, nil},
		{"everything moves down", func(y *yard) { y.mv("../from", "../t"); y.mv("../t", "all") }, few, []string{"a>all/a", "large>all/large"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t)
			c.change(y)
			nodes := make(map[string]uint64)
			for _, m := range c.moved {
				old, path, _ := strings.Cut(m, ">")
				nodes[path] = inode(t, filepath.Join(y.to, old))
			}
			result, sent, _, serr, rerr := acrossTo(t, y.from, &Receiver{Dir: y.to, NoFsync: true}, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("sender: %v, receiver: %v %v", serr, rerr, result.Problems)
			}
			t.Logf("%d bytes, %+v", sent, result.Changes)
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Error("the directories differ")
			}
			if sent > c.most {
				t.Errorf("%d bytes crossed the wire, want %d at most", sent, c.most)
			}
			for path, node := range nodes {
				if got := inode(t, filepath.Join(y.to, path)); got != node {
					t.Errorf("%s is not what has moved", path)
				}
			}
			unshared(t, y.to)
		})
	}
}

// unshared reports files that have a second name: what is there twice is there in
// two files.
func unshared(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Sys().(*syscall.Stat_t).Nlink != 1 {
			t.Errorf("%s has another name", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestReuseVerifies has other content under names, sizes and times that are the
// same: they prove nothing.
func TestReuseVerifies(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(y *yard)
	}{
		{"a file of a renamed directory", func(y *yard) { y.mv("a", "z"); y.swap("z/sub/f5") }},
		{"a renamed file", func(y *yard) { y.mv("large", "huge"); y.swap("huge") }},
		{"a file of a copied directory", func(y *yard) { y.cp("a", "z"); y.swap("z/a0") }},
		{"swapped files of a renamed directory", func(y *yard) { y.mv("a", "z"); y.mv("z/a0", "t"); y.mv("z/a1", "z/a0"); y.mv("t", "z/a1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t)
			c.change(y)
			result, _, _, serr, rerr := acrossTo(t, y.from, &Receiver{Dir: y.to, NoFsync: true}, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("sender: %v, receiver: %v", serr, rerr)
			}
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Errorf("the directories differ, %+v", result.Changes)
			}
		})
	}
}

// swap gives a file of the source other content of the same size and time.
func (y *yard) swap(path string) {
	y.Helper()
	path = filepath.Join(y.from, path)
	info, err := os.Stat(path)
	y.ok(err)
	b, err := os.ReadFile(path)
	y.ok(err)
	b[len(b)/2] ^= 1
	dir, err := os.Stat(filepath.Dir(path))
	y.ok(err)
	y.ok(os.WriteFile(path, b, 0o644))
	y.ok(os.Chtimes(path, info.ModTime(), info.ModTime()))
	y.ok(os.Chtimes(filepath.Dir(path), dir.ModTime(), dir.ModTime()))
}

// TestMovesAreNoRemovals holds what moves against the guards.
func TestMovesAreNoRemovals(t *testing.T) {
	none := uint64(0)
	t.Run("--max-delete", func(t *testing.T) {
		y := newYard(t)
		y.mv("a", "z")
		y.mv("large", "b/huge")
		y.mv("b/sub/f4", "t")
		r := &Receiver{Dir: y.to, NoFsync: true, Options: Options{MaxDelete: &none}}
		result, _, _, serr, rerr := acrossTo(t, y.from, r, linksim.Link{})
		if serr != nil || rerr != nil || result.Changes.Removed != 0 || result.Changes.Reused != 8 {
			t.Errorf("sender: %v, receiver: %v, %+v", serr, rerr, result.Changes)
		}
		if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
			t.Error("the directories differ")
		}
	})
	t.Run("--max-delete and more than moves", func(t *testing.T) {
		y := newYard(t)
		before := exactly(t, y.to)
		y.mv("a", "z")
		y.ok(os.Remove(filepath.Join(y.from, "log")))
		r := &Receiver{Dir: y.to, NoFsync: true, Options: Options{MaxDelete: &none}}
		_, _, _, serr, rerr := acrossTo(t, y.from, r, linksim.Link{})
		if CodeOf(serr) != 25 || CodeOf(rerr) != 25 {
			t.Errorf("sender: %v, receiver: %v", serr, rerr)
		}
		if !maps.Equal(before, exactly(t, y.to)) {
			t.Error("something was changed")
		}
	})
	t.Run("--no-delete", func(t *testing.T) {
		y := newYard(t)
		before := exactly(t, y.to)
		y.mv("a", "z")
		y.mv("large", "huge")
		r := &Receiver{Dir: y.to, NoFsync: true, Options: Options{NoDelete: true}}
		result, sent, _, _, rerr := acrossTo(t, y.from, r, linksim.Link{})
		if rerr != nil || result.Changes.Removed != 0 || sent > 4<<10 {
			t.Errorf("%v, %d bytes, %+v", rerr, sent, result.Changes)
		}
		got := exactly(t, y.to)
		for path, is := range exactly(t, y.from) {
			if path != "." && got[path] != is {
				t.Errorf("%s differs", path)
			}
		}
		for path, is := range before {
			if path != "." && got[path] != is {
				t.Errorf("%s is not what it was", path)
			}
		}
		unshared(t, y.to)
	})
}

// TestReuseAtRandom moves, copies, edits and removes at random, twice in a row.
func TestReuseAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	for round := range rounds {
		y := newYard(t)
		for again := range 2 {
			var did []string
			for range 1 + r.IntN(6) {
				did = append(did, y.stir(r))
			}
			result, _, _, serr, rerr := acrossTo(t, y.from, &Receiver{Dir: y.to, NoFsync: true, Options: Options{Checksum: r.IntN(4) == 0}}, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("round %d.%d, %q: sender: %v, receiver: %v", round, again, did, serr, rerr)
			}
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Fatalf("round %d.%d, %q: the directories differ, %+v", round, again, did, result.Changes)
			}
			unshared(t, y.to)
		}
	}
}

// stir changes something in the source, and says what.
func (y *yard) stir(r *rand.Rand) string {
	var paths []string
	y.ok(filepath.WalkDir(y.from, func(path string, e fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(y.from, path); rel != "." {
			paths = append(paths, rel)
		}
		return err
	}))
	if len(paths) == 0 {
		y.write("again", noise(r, 1000))
		return "again"
	}
	a, b := paths[r.IntN(len(paths))], paths[r.IntN(len(paths))]
	if r.IntN(3) == 0 {
		b = fmt.Sprintf("new%d", r.IntN(3))
	}
	if r.IntN(3) == 0 {
		b = filepath.Join(filepath.Dir(b), filepath.Base(a))
	}
	full := func(p string) string { return filepath.Join(y.from, p) }
	what := fmt.Sprint(a, " ", b)
	// What fails, as moving a directory into itself does, is no change.
	switch r.IntN(6) {
	case 0, 1, 2:
		if !within(full(b), full(a)) && !within(full(a), full(b)) {
			_ = os.RemoveAll(full(b))
			_ = os.Rename(full(a), full(b))
		}
		return "mv " + what
	case 3:
		_ = exec.Command("cp", "-a", full(a), full(b)).Run()
		return "cp " + what
	case 4:
		_ = os.RemoveAll(full(a))
		return "rm " + a
	}
	if b, err := os.ReadFile(full(a)); err == nil {
		y.ok(os.WriteFile(full(a), append(bytes.Clone(b), "more"...), 0o644))
	}
	return "edit " + a
}

// TestReuseDeep copies a deep directory that is wide at its bottom, and edits the
// old one there: at no level is it what the new one may be, but nearly all that
// is in it is. It is described once more at most.
func TestReuseDeep(t *testing.T) {
	for name, change := range map[string]func(y *yard){
		"a copy":          func(y *yard) {},
		"and one is gone": func(y *yard) { y.ok(os.RemoveAll(y.from + "/c")) },
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			deep := "a" + strings.Repeat("/d", 12)
			for i := range 1000 {
				y.write(fmt.Sprintf("%s/f%d", deep, i), []byte("x"))
			}
			y.write(deep+"/large", make([]byte, 50_000))
			y.age()
			y.ok(os.RemoveAll(y.to))
			if out, err := exec.Command("cp", "-a", y.from, y.to).CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			y.cp("a", "z")
			y.edit(deep + "/f7")
			change(y)
			_, sent, _, serr, rerr := acrossTo(t, y.from, &Receiver{Dir: y.to, NoFsync: true}, linksim.Link{})
			if serr != nil || rerr != nil {
				t.Fatalf("sender: %v, receiver: %v", serr, rerr)
			}
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Error("the directories differ")
			}
			if sent > 100_000 {
				t.Errorf("%d bytes crossed the wire", sent)
			}
		})
	}
}

// shelves makes a source of so many directories of files, and a destination that is
// equal, all in memory where there is some.
func shelves(t *testing.T, n int) *yard {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "moves")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
	for i := range n {
		for k := range 5 {
			y.write(fmt.Sprintf("s%d/sub/f%d", i, k), fmt.Appendf(nil, "%d in %d%s", k, i, strings.Repeat(" and more", 50+i)))
		}
		y.write(fmt.Sprintf("file%d", i), fmt.Appendf(nil, "file %d%s", i, strings.Repeat(" and more", 60+i)))
	}
	y.age()
	if out, err := exec.Command("cp", "-a", y.from, y.to).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return y
}

// rearrange renames directories and files of the source, moves them into another
// and out of it again, and what is in them one down.
func (y *yard) rearrange(r *rand.Rand) {
	y.Helper()
	anew := func(name string) string {
		return fmt.Sprintf("x%x-%s", r.Uint32(), name[strings.LastIndexByte(name, '-')+1:])
	}
	for _, dir := range []string{"", "box/"} {
		entries, err := os.ReadDir(filepath.Join(y.from, dir))
		y.ok(err)
		for _, e := range entries {
			if e.Name() == "box" {
				continue
			}
			switch name := dir + e.Name(); r.IntN(5) {
			case 0:
				y.mv(name, anew(e.Name()))
			case 1:
				y.mv(name, "box/"+anew(e.Name()))
			case 2:
				if e.IsDir() {
					y.mv(name+"/sub", "aside")
					y.mv("aside", name+"/sub/sub")
				}
			}
		}
	}
}

// contents returns all contents of files below dir, the receiver's own included.
func contents(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			all[string(b)] = true
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCancelWhileMoving stops sessions at random moments in which nothing but moves.
// Every path is what it was or what it shall be, all content is still there, and
// a run to the end heals, sending none of it.
func TestCancelWhileMoving(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	y := shelves(t, 30)
	y.ok(os.Mkdir(filepath.Join(y.from, "box"), 0o755))
	rounds, stopped, within := 60, 0, 50*time.Millisecond
	if testing.Short() {
		rounds = 12
	}
	for round := range rounds {
		y.rearrange(r)
		before, want, had := read(t, y.to), read(t, y.from), contents(t, y.to)
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(r.Int64N(int64(within))))
		_, err := Local(ctx, &Sender{Dir: y.from}, &Receiver{Dir: y.to, NoFsync: true})
		stop()
		switch CodeOf(err) {
		case OK:
		case Interrupted:
			stopped++
		default:
			t.Errorf("round %d: %v", round, err)
		}
		got, has := read(t, y.to), contents(t, y.to)
		for path, is := range got {
			if is != before[path] && is != want[path] {
				t.Errorf("round %d: %s is torn: %.30q", round, path, is)
			}
		}
		for path, was := range before {
			if _, there := got[path]; !there && want[path] == was {
				t.Errorf("round %d: %s is missing", round, path)
			}
		}
		for content := range had {
			if !has[content] {
				t.Errorf("round %d: %.30q is lost", round, content)
			}
		}
		if round%3 == 2 {
			began := time.Now()
			result, err := Local(t.Context(), &Sender{Dir: y.from}, &Receiver{Dir: y.to, NoFsync: true})
			within = time.Since(began) + 2*time.Millisecond
			if err != nil || result.Changes.Bytes > 0 {
				t.Errorf("round %d: the next run: %v, %+v", round, err, result.Changes)
			}
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Errorf("round %d: the directories differ", round)
			}
			unshared(t, y.to)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if t.Logf("%d of %d were stopped in time", stopped, rounds); stopped == 0 {
		t.Error("none was stopped")
	}
}

// TestRotationWithLinks keeps a tree aside under another name, with links in it that
// are not described, and has another one in its place: that is described within
// bounds.
func TestRotationWithLinks(t *testing.T) {
	dir := t.TempDir()
	y := &yard{t, filepath.Join(dir, "from"), filepath.Join(dir, "to")}
	var build func(path, more string, depth int)
	build = func(path, more string, depth int) {
		y.write(path+"/f", []byte("some content of "+path+more))
		for i := range 2 {
			if depth > 0 {
				build(fmt.Sprintf("%s/d%d", path, i), more, depth-1)
			}
		}
	}
	build("cur", "", 8)
	y.age()
	y.cp(".", "../to")
	y.mv("cur", "old")
	y.ok(filepath.WalkDir(filepath.Join(y.from, "old"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			info, err := e.Info()
			y.ok(err)
			y.ok(os.Symlink("f", filepath.Join(path, "link")))
			y.ok(os.Chtimes(path, info.ModTime(), info.ModTime()))
		}
		return err
	}))
	build("cur", ", and more of it", 8)
	sent, _, serr, rerr := across(t, y.from, y.to, linksim.Link{})
	if serr != nil || rerr != nil {
		t.Fatalf("%d bytes, sender: %v, receiver: %v", sent, serr, rerr)
	}
}

// failing returns what fails calls of one kind on one name from then on, or all that
// change something.
func failing(op, name string, err error, all bool) func(dirfs.Call) error {
	var hit atomic.Bool
	return func(c dirfs.Call) error {
		if c.Op == op && (c.Name == name || c.NewName == name) {
			hit.Store(true)
			return err
		}
		if all && hit.Load() && c.Mutates {
			return err
		}
		return nil
	}
}

// TestMoveThatDoesNotEnd fails in the middle of a move. No two names are one file
// then, also where the old name comes back in the source.
func TestMoveThatDoesNotEnd(t *testing.T) {
	none := func(dirfs.Call) error { return nil }
	for _, c := range []struct {
		name string
		fail func(dirfs.Call) error
		code Code
	}{
		{"the old name cannot be removed", failing("Remove", "large", syscall.EACCES, false), Partial},
		{"another entry fails", failing("Rename", "log", syscall.EACCES, false), Partial},
		{"the disk fails", failing("Rename", "huge", syscall.EROFS, false), Disk},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := newYard(t)
			y.mv("large", "huge")
			y.edit("log")
			if _, err := mirrorInjected(t, y.from, y.to, none, c.fail); CodeOf(err) != c.code {
				t.Fatalf("got %v, want code %d", err, c.code)
			}
			if c.code == Partial {
				unshared(t, y.to)
			}
			y.cp("huge", "large")
			if _, err := Local(t.Context(), &Sender{Dir: y.from}, &Receiver{Dir: y.to, NoFsync: true}); err != nil {
				t.Fatal(err)
			}
			unshared(t, y.to)
			if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
				t.Error("the directories differ")
			}
		})
	}
}

// TestKilledWhileDisplacing stops a run while a directory takes the place of a file.
// The next one takes the directory up, and counts it for no guard.
func TestKilledWhileDisplacing(t *testing.T) {
	y := newYard(t)
	y.ok(os.Remove(filepath.Join(y.from, "log")))
	y.mv("a", "log")
	if _, err := mirrorInjected(t, y.from, y.to, func(dirfs.Call) error { return nil }, failing("Exchange", "log", syscall.EIO, true)); err == nil {
		t.Fatal("it went on")
	}
	one := uint64(1)
	r := &Receiver{Dir: y.to, NoFsync: true, Options: Options{MaxDelete: &one}}
	_, sent, _, serr, rerr := acrossTo(t, y.from, r, linksim.Link{})
	if serr != nil || rerr != nil || sent > 8<<10 {
		t.Errorf("%d bytes, sender: %v, receiver: %v", sent, serr, rerr)
	}
	if want, got := exactly(t, y.from), exactly(t, y.to); !maps.Equal(want, got) {
		t.Error("the directories differ")
	}
}
