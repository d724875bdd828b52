//go:build unix

package cli_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	syncdirectory "github.com/sync-directory/sync-directory"
)

var (
	seed  = flag.Uint64("seed", 0, "of the random trees; 0 takes one from the clock")
	pairs = flag.Int("pairs", 240, "how many pairs of random trees are compared")
)

// node is an entry of a random tree.
type node struct {
	kind    rune // f, d, l
	perm    uint32
	content string // or target
	mtime   unix.Timespec
	kids    map[string]*node
}

// forest makes random trees. Few names, sizes and times make that everything
// meets everything.
type forest struct {
	*rand.Rand
	links    bool
	anything bool // also files that only their content tells apart
	now      unix.Timespec
}

func pick[T any](f *forest, of ...T) T { return of[f.IntN(len(of))] }

func (f *forest) tree(depth int) *node {
	n := &node{kind: 'd', perm: pick[uint32](f, 0o755, 0o755, 0o700, 0o555, 0o775), mtime: f.time(), kids: make(map[string]*node)}
	for _, name := range []string{"a", "b", "c", "-d", "e e", "f\nf", "\xff"} {
		if f.IntN(3) > 0 {
			n.kids[name] = f.entry(depth)
		}
	}
	if f.IntN(60) == 0 { // wide enough to be split into ranges
		for i := range 100 + f.IntN(1500) {
			n.kids[fmt.Sprintf("%04d", i*3)] = f.file()
		}
	}
	return n
}

func (f *forest) entry(depth int) *node {
	switch k := f.IntN(10); {
	case k < 4 && depth > 0:
		return f.tree(depth - 1)
	case k < 6 && f.links:
		return &node{kind: 'l', content: pick(f, "a", "../b", "/etc", "no where"), mtime: f.time()}
	}
	return f.file()
}

func (f *forest) file() *node {
	n := &node{kind: 'f', perm: pick[uint32](f, 0o644, 0o644, 0o600, 0o400, 0o755), mtime: f.time()}
	n.content = pick(f, "", "aaa", "bbb", "cccc")
	if !f.anything && n.mtime != f.now {
		// Size and time are to prove something here, and so they do.
		n.content = fmt.Sprint(n.mtime.Nsec)
	}
	if f.IntN(4) == 0 { // worth to be found elsewhere
		n.content += strings.Repeat("more", 50)
	}
	if f.IntN(100) == 0 {
		n.content = string(noise(f.Uint64(), int64(f.IntN(3<<20))))
	}
	return n
}

func (f *forest) time() unix.Timespec {
	return pick(f, f.now, unix.Timespec{Sec: 1e9, Nsec: 1}, unix.Timespec{Sec: 1e9, Nsec: 2}, unix.Timespec{Sec: -5, Nsec: 999_999_999})
}

// mutate returns a copy of n with changes here and there.
func (f *forest) mutate(n *node, depth int) *node {
	if f.IntN(12) == 0 {
		return f.entry(depth)
	}
	c := *n
	if f.IntN(8) == 0 && c.kind == 'd' {
		c.perm, c.mtime = f.tree(0).perm, f.time()
	}
	if f.IntN(8) == 0 && c.kind == 'f' {
		c.perm = f.file().perm
	}
	c.kids = maps.Clone(n.kids)
	for _, name := range slices.Sorted(maps.Keys(n.kids)) { // the seed decides everything
		c.kids[name] = f.mutate(n.kids[name], depth-1)
		if f.IntN(15) == 0 {
			delete(c.kids, name)
		}
	}
	return &c
}

// clone returns a copy of n that shares nothing with it.
func (n *node) clone() *node {
	c := *n
	c.kids = nil
	if n.kids != nil {
		c.kids = make(map[string]*node, len(n.kids))
	}
	for name, kid := range n.kids {
		c.kids[name] = kid.clone()
	}
	return &c
}

// dirs returns the directories of n, itself first, in an order that the seed
// decides.
func (n *node) dirs() (all []*node) {
	if n.kind != 'd' {
		return nil
	}
	all = append(all, n)
	for _, name := range slices.Sorted(maps.Keys(n.kids)) {
		all = append(all, n.kids[name].dirs()...)
	}
	return all
}

// stir returns a copy of n in which entries were renamed, moved, copied and
// swapped.
func (f *forest) stir(n *node) *node {
	c := n.clone()
	for range 1 + f.IntN(6) {
		all := c.dirs()
		from, to := pick(f, all...), pick(f, all...)
		if len(from.kids) == 0 {
			continue
		}
		name := pick(f, slices.Sorted(maps.Keys(from.kids))...)
		what := from.kids[name]
		other := pick(f, name, "a", "b", "new", "e e")
		there := to.kids[other]
		if slices.Contains(what.dirs(), to) || there != nil && slices.Contains(there.dirs(), from) {
			continue // neither into itself, nor over what it is in
		}
		switch f.IntN(4) {
		case 0: // a copy
			to.kids[other] = what.clone()
		case 1: // the two are swapped
			delete(from.kids, name)
			if there != nil {
				from.kids[name] = there
			}
			to.kids[other] = what
		default: // a rename, or a move
			delete(from.kids, name)
			to.kids[other] = what
		}
	}
	return c
}

// plant writes n to path.
func plant(t *testing.T, n *node, path string) {
	t.Helper()
	switch n.kind {
	case 'f':
		must(t, os.WriteFile(path, []byte(n.content), 0o600))
	case 'l':
		must(t, os.Symlink(n.content, path))
	case 'd':
		must(t, os.Mkdir(path, 0o700))
		for name, kid := range n.kids {
			plant(t, kid, filepath.Join(path, name))
		}
	}
	if n.kind != 'l' {
		must(t, os.Chmod(path, os.FileMode(n.perm)))
	}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{n.mtime, n.mtime}, unix.AT_SYMLINK_NOFOLLOW))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expected returns what becomes of have: want, but for links when they are
// not mirrored, in whose places everything stays as it is.
func expected(want, have *node, links bool) *node {
	if want.kind != 'd' {
		return want
	}
	e := *want
	e.kids = make(map[string]*node)
	for name, kid := range want.kids {
		var there *node
		if have != nil && have.kind == 'd' {
			there = have.kids[name]
		}
		if kid.kind == 'l' && !links {
			if there != nil {
				e.kids[name] = there
			}
			continue
		}
		e.kids[name] = expected(kid, there, links)
	}
	return &e
}

// list says of a tree what look says of it once it is on a disk.
func (n *node) list(path string, into map[string]seen) {
	s := seen{MTime: stamp(n.mtime)}
	switch n.kind {
	case 'f':
		s.Mode, s.Size = unix.S_IFREG|n.perm, int64(len(n.content))
		s.Content = fmt.Sprintf("%x", sha256.Sum256([]byte(n.content)))
	case 'l':
		s.Mode, s.Content = unix.S_IFLNK|0o777, n.content
	case 'd':
		s.Mode = unix.S_IFDIR | n.perm
		for name, kid := range n.kids {
			kid.list(filepath.Join(path, name), into)
		}
	}
	into[path] = s
}

// TestDifferential mirrors random pairs of trees, through memory and over
// sockets, by size and time, by content, with and without links. The result is
// what the trees say, and what rsync makes of the same pair.
func TestDifferential(t *testing.T) {
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Log("NOT COMPARED WITH RSYNC, WHICH IS NOT INSTALLED")
	}
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	n := *pairs
	if testing.Short() || raceDetector {
		n /= 5
	}
	t.Logf("-seed %d", *seed)
	reused := uint64(0)
	for i := range n {
		reused += comparePair(t, i, rsync)
		if t.Failed() {
			t.Fatalf("pair %d of -seed %d", i, *seed)
		}
	}
	if t.Logf("%d files were taken from elsewhere", reused); reused == 0 {
		t.Error("nothing was taken from elsewhere")
	}
}

// comparePair returns how many files were taken from elsewhere.
func comparePair(t *testing.T, i int, rsync string) (reused uint64) {
	f := &forest{Rand: rand.New(rand.NewPCG(*seed, uint64(i))), links: i%4 != 3, anything: i%3 == 0}
	mirrored := f.links
	f.links = true
	// Ahead of the clock, so that planting may take its time.
	f.now = unix.Timespec{Sec: time.Now().Unix() + 1, Nsec: 5}
	want := f.tree(3)
	have := f.tree(3)
	if f.IntN(3) > 0 {
		if have = f.mutate(want, 3); have.kind != 'd' {
			have = f.tree(0)
		}
	}
	if f.IntN(2) == 0 {
		have = f.stir(have)
	}
	if f.IntN(20) == 0 {
		have.kids = nil
	}
	dir, err := os.MkdirTemp(memory(), "differential")
	must(t, err)
	defer release(t, dir)
	from, to, other := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "other")
	plant(t, want, from)
	plant(t, have, to)

	s := &syncdirectory.Sender{Dir: from, Links: mirrored}
	r := &syncdirectory.Receiver{Dir: to, NoFsync: true}
	r.Checksum, r.AllowEmpty = f.anything, true
	result, err := mirror(t, s, r, i)
	if err != nil {
		t.Errorf("%v: %v", err, result.Problems)
		return 0
	}
	e := make(map[string]seen)
	expected(want, have, mirrored).list(".", e)
	check(t, "expected", e, to)
	if rsync != "" && mirrored {
		plant(t, have, other)
		out, err := exec.Command(rsync, "-ac", "--delete", "--modify-window=-1", from+"/", other+"/").CombinedOutput()
		e := (*exec.ExitError)(nil)
		switch {
		case err == nil:
			got, err := look(other)
			must(t, err)
			check(t, "rsync", got, to)
		case os.Getuid() != 0 && errors.As(err, &e) && e.ExitCode() == 23:
			// Who is not root cannot make it empty a directory of mode 0555.
		default:
			t.Fatalf("rsync: %v: %s", err, out)
		}
	}
	if i%5 == 0 {
		again, err := mirror(t, s, r, i+1)
		if err != nil || !again.Changes.None() || again.Digest != result.Digest {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
	return result.Changes.Reused
}

func check(t *testing.T, what string, want map[string]seen, dir string) {
	t.Helper()
	got, err := look(dir)
	must(t, err)
	if diff := difference(want, got, func(s seen) seen { s.Ino, s.CTime = 0, ""; return s }); diff != "" {
		t.Errorf("%s: %s", what, diff)
	}
}

// memory returns where files cost little, or "". A disk that has just lost many
// files can be slow at making new ones.
func memory() string {
	var st unix.Statfs_t
	if unix.Statfs("/dev/shm", &st) != nil || st.Bavail*uint64(st.Bsize) < 512<<20 || unix.Access("/dev/shm", unix.W_OK) != nil {
		return ""
	}
	return "/dev/shm"
}

// release lets a tree of directories that may not be written be removed.
func release(t *testing.T, dir string) {
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	must(t, os.RemoveAll(dir))
}

// mirror runs a session in one of the ways there are and returns what the
// receiver says.
func mirror(t *testing.T, s *syncdirectory.Sender, r *syncdirectory.Receiver, way int) (syncdirectory.Result, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if way%2 == 0 {
		return syncdirectory.Local(ctx, s, r)
	}
	type outcome struct {
		result syncdirectory.Result
		err    error
	}
	listening, given := make(chan string, 1), make(chan outcome, 1)
	o := syncdirectory.ListenOptions{OnListening: func(a net.Addr) { listening <- "ws://" + a.String() }}
	listens := []func() (syncdirectory.Result, error){
		func() (syncdirectory.Result, error) { return r.Listen(ctx, o) },
		func() (syncdirectory.Result, error) { return s.Listen(ctx, o) },
	}
	dials := []func(string) (syncdirectory.Result, error){
		func(url string) (syncdirectory.Result, error) {
			return s.Dial(ctx, url, syncdirectory.DialOptions{})
		},
		func(url string) (syncdirectory.Result, error) {
			return r.Dial(ctx, url, syncdirectory.DialOptions{})
		},
	}
	which := way / 2 % 2
	go func() {
		result, err := listens[which]()
		given <- outcome{result, err}
	}()
	var a outcome
	select {
	case url := <-listening:
		a.result, a.err = dials[which](url)
	case b := <-given:
		return b.result, b.err
	}
	if a.err != nil {
		cancel() // a listener goes on after some failures
	}
	both := []outcome{<-given, a}
	if which == 1 {
		slices.Reverse(both)
	}
	if a.err != nil {
		return both[0].result, a.err
	}
	if both[0].err == nil && both[0].result.Digest != both[1].result.Digest {
		t.Errorf("digests %s and %s", both[0].result.Digest, both[1].result.Digest)
	}
	return both[0].result, both[0].err
}
