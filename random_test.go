//go:build unix

package syncdirectory

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

var (
	disturbed = flag.Int("disturbed", 24, "how many runs are disturbed at random")
	disturber = flag.Uint64("disturber", 0, "seed of what disturbs them; 0 takes one from the clock")
)

// record is the size of the pieces of which the files of a vandal are made: a page
// holds some of them, so that at each instant a file holds whole ones.
const record = 512

// next returns a record that may follow content: it is chained to that, so that no
// mixture of two versions is taken for one that there was.
func next(content []byte, n uint64) []byte {
	b := make([]byte, record)
	copy(b[sha256.Size:], fmt.Sprint(n))
	sum := sha256.Sum256(append(content[max(0, len(content)-record):len(content):len(content)], b[sha256.Size:]...))
	copy(b, sum[:])
	return b
}

// version reports whether content is one that a file of a vandal had at some time.
func version(content []byte) bool {
	for at := 0; at < len(content); at += record {
		if len(content) < at+record {
			return false
		}
		r := content[at : at+record]
		sum := sha256.Sum256(append(content[max(0, at-record):at:at], r[sha256.Size:]...))
		if !bytes.Equal(sum[:], r[:sha256.Size]) {
			return false
		}
	}
	return true
}

// vandal keeps changing a directory below which it never follows a link out.
type vandal struct {
	*rand.Rand
	root   *os.Root
	n      uint64 // of records that were made
	now    chan struct{}
	ended  sync.WaitGroup
	sneaky bool // times are put back
}

// links are what links point to, but for the canary.
var links = []string{"a", "../b", "nowhere", "a/b/c"}

// newVandal begins to change dir whenever before lets it.
func (s *scene) newVandal(dir string, r *rand.Rand) *vandal {
	s.Helper()
	root, err := os.OpenRoot(dir)
	s.ok(err)
	v := &vandal{Rand: r, root: root, n: r.Uint64() >> 1, now: make(chan struct{}, 1)}
	v.ended.Go(func() {
		for range v.now {
			_ = v.change(s.outside) // much of it cannot be done
		}
	})
	return v
}

// stop waits for the last change.
func (v *vandal) stop() {
	close(v.now)
	v.ended.Wait()
	v.root.Close()
}

// before returns a call that lets the vandal change something ahead of one in so many,
// and meanwhile.
func (v *vandal) before(every int) func(dirfs.Call) error {
	return func(dirfs.Call) error {
		if rand.IntN(every) == 0 {
			select {
			case v.now <- struct{}{}:
			default:
			}
		}
		return nil
	}
}

func (v *vandal) path() string {
	names := []string{"a", "b", "c", "d"}
	path := names[v.IntN(4)]
	for v.IntN(3) > 0 && len(path) < 5 {
		path += "/" + names[v.IntN(4)]
	}
	return path
}

func (v *vandal) content(records int) (all []byte) {
	for range records {
		v.n++
		all = append(all, next(all, v.n)...)
	}
	return all
}

// change does one thing.
func (v *vandal) change(outside string) error {
	path, other := v.path(), v.path()
	switch v.IntN(12) {
	case 0, 1, 2:
		return v.write(path, v.content(v.IntN(3)))
	case 3:
		return v.write(path, v.content(500+v.IntN(1000)))
	case 4:
		return v.edit(path, func(f *os.File, content []byte) error {
			v.n++
			_, err := f.WriteAt(next(content, v.n), int64(len(content)))
			return err
		})
	case 5:
		return v.edit(path, func(f *os.File, content []byte) error {
			return f.Truncate(int64(len(content) / record / 2 * record))
		})
	case 6:
		return v.root.MkdirAll(path, 0o755)
	case 7, 8:
		return v.root.Rename(path, other)
	case 9:
		return v.root.RemoveAll(path)
	case 10:
		if err := v.root.RemoveAll(path); err != nil {
			return err
		}
		if v.IntN(2) == 0 {
			return v.root.Symlink(outside, path)
		}
		return v.root.Symlink(links[v.IntN(len(links))], path)
	}
	return v.root.Chmod(path, []fs.FileMode{0o700, 0o755, 0o750}[v.IntN(3)])
}

// write makes a file of another inode, in the place of whatever is there.
func (v *vandal) write(path string, content []byte) error {
	const temporary = "d/d/temporary"
	if err := errors.Join(v.root.MkdirAll(filepath.Dir(temporary), 0o755), v.root.WriteFile(temporary, content, 0o644)); err != nil {
		return err
	}
	if err := v.root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if info, err := v.root.Lstat(path); err == nil && info.IsDir() {
		if err := v.root.RemoveAll(path); err != nil {
			return err
		}
	}
	return v.root.Rename(temporary, path)
}

// edit changes a file in place.
func (v *vandal) edit(path string, f func(*os.File, []byte) error) error {
	info, err := v.root.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	file, err := v.root.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := v.root.ReadFile(path)
	if err != nil || !version(content) {
		return err
	}
	if err := f(file, content); err != nil || !v.sneaky {
		return err
	}
	return v.root.Chtimes(path, time.Time{}, info.ModTime())
}

// TestDisturbed has vandals change the source and the destination during runs. Each
// path of the destination is a version that there was, nothing outside is touched, both
// sides end alike, nothing goes after an entry that failed; and a run that nobody
// disturbs makes both equal, and leaves nothing.
func TestDisturbed(t *testing.T) {
	seed := *disturber
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newScene(t, "", "")
	codes := make(map[Code]int)
	for round := range *disturbed {
		s.portable = r.IntN(2) == 0
		result := s.disturb(r)
		codes[result.Code]++
		if r.IntN(3) == 0 {
			s.checksum = true // since times are put back
			s.heals()
			s.checksum = false
		}
		if t.Failed() {
			t.Fatalf("round %d: %d, %+v", round, result.Code, result.Problems)
		}
	}
	t.Logf("codes %v", codes)
}

// disturb runs once, while one of the sides or both change, or an entry fails.
func (s *scene) disturb(r *rand.Rand) Result {
	s.Helper()
	begin := func(dir string) *vandal {
		v := s.newVandal(dir, rand.New(rand.NewPCG(r.Uint64(), 0)))
		v.sneaky = r.IntN(2) == 0
		for range 4 + r.IntN(20) {
			_ = v.change(s.outside) // before the run
		}
		return v
	}
	source, destination := begin(s.from), func(dirfs.Call) error { return nil }
	theirs := (*vandal)(nil)
	switch r.IntN(3) {
	case 0:
		theirs = begin(s.to)
		destination = theirs.before(1 + r.IntN(60))
	case 1:
		name := ">" + []string{"a", "b", "c", "d"}[r.IntN(4)]
		destination = func(c dirfs.Call) error {
			if matches(c, "Rename "+name) {
				return syscall.EBUSY
			}
			return nil
		}
	}
	before := read(s.T, s.to)
	_, received := s.run(source.before(1+r.IntN(60)), destination)
	source.stop()
	if theirs != nil {
		theirs.stop()
	}
	after := read(s.T, s.to)
	s.versions(after)
	switch received.Code {
	case OK, Vanished:
	case Partial:
		if theirs == nil && !removing(received) {
			s.nothingRemoved(before, after)
		}
	default:
		s.Errorf("code %d", received.Code)
	}
	return received
}

// versions fails if anything in a destination never was there in one piece.
func (s *scene) versions(all map[string]string) {
	s.Helper()
	for path, is := range all {
		content, file := strings.CutPrefix(is, "file ")
		target, link := strings.CutPrefix(is, "link ")
		if file && !version([]byte(content)) || link && target != s.outside && !slices.Contains(links, target) {
			s.Errorf("%s is torn: %d bytes, %.100q", path, len(is), is)
		}
	}
}

// nothingRemoved fails if a file is gone for which nothing has come.
func (s *scene) nothingRemoved(before, after map[string]string) {
	s.Helper()
	has := contents(s.T, s.to) // what moves or makes way is somewhere
	for _, path := range slices.Sorted(maps.Keys(before)) {
		content, file := strings.CutPrefix(before[path], "file ")
		if file && after[path] == "" && !has[content] {
			s.Errorf("%s was removed", path)
		}
	}
}
