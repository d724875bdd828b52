package dirfs_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

func TestMountPoint(t *testing.T) {
	if _, err := os.Stat("/proc/self"); err != nil {
		t.Skip("SKIPPED: there is no /proc, which is a mount point everywhere")
	}
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			d := must(v.open("/", dirfs.Options{}))(t)
			defer d.Close()
			_, err := d.OpenDir("proc")
			wants(t, err, dirfs.ErrMount)

			cross := must(v.open("/", dirfs.Options{CrossMounts: true}))(t)
			defer cross.Close()
			proc := must(cross.OpenDir("proc"))(t)
			must(proc.Stat("version"))(t)
			_, err = proc.OpenDir("self") // a link, and a magic one
			wants(t, err, syscall.ELOOP, syscall.ENOTDIR)
			ok(t, proc.Close())
		})
	}
}

// TestBindMount mounts another file system, a directory of the same one, and files,
// in a namespace that only this thread sees.
func TestBindMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: mounting needs root")
	}
	path := t.TempDir()
	for _, name := range []string{"from", "bind", "tmpfs"} {
		ok(t, os.Mkdir(path+"/"+name, 0o700))
		ok(t, os.WriteFile(path+"/"+name+"-file", nil, 0o600))
	}
	done := make(chan string)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		if err := mountAll(path); err != nil {
			done <- fmt.Sprintf("SKIPPED: %v", err)
			return
		}
		for _, v := range variants() {
			d, err := v.open(path, dirfs.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			for _, name := range []string{"bind", "tmpfs"} {
				_, err := d.OpenDir(name)
				_, ferr := d.Open(name + "-file")
				// A portable handle knows devices only.
				if unseen := name == "bind" && !v.native; unseen == errors.Is(err, dirfs.ErrMount) || unseen == errors.Is(ferr, dirfs.ErrMount) {
					t.Errorf("%s: %s: got %v, %v", v.name, name, err, ferr)
				}
			}
			d.Close()
		}
	}()
	if skip, ok := <-done; ok {
		t.Skip(skip)
	}
}

// mountAll mounts in a namespace of this thread.
func mountAll(path string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount private: %w", err)
	}
	if err := unix.Mount(path+"/from", path+"/bind", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind mount: %w", err)
	}
	if err := unix.Mount("none", path+"/tmpfs", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	if err := os.WriteFile(path+"/tmpfs/file", nil, 0o600); err != nil {
		return err
	}
	for _, of := range []string{"from-file", "tmpfs/file"} {
		on := strings.NewReplacer("from", "bind", "/", "-").Replace(of)
		if err := unix.Mount(path+"/"+of, path+"/"+on, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind mount of a file: %w", err)
		}
	}
	return nil
}

// openFiles returns how many descriptors this process has.
func openFiles(t testing.TB) int {
	return len(must(os.ReadDir("/proc/self/fd"))(t))
}

func TestNothingLeftOpen(t *testing.T) {
	// Never "other than before": what an earlier test left to the garbage
	// collector may be closed meanwhile.
	before := openFiles(t)
	everywhere(t, func(p *place) {
		base := openFiles(p)
		ok(p, p.Mkdir("sub", 0o755))
		p.write("file", "")
		ok(p, os.Symlink("sub", p.at("link")))
		ok(p, unix.Mkfifo(p.at("fifo"), 0o600))
		for _, name := range []string{"none", "link", "fifo", "sub", "file"} {
			if f, err := p.Open(name); err == nil {
				ok(p, f.Close())
			}
			if d, err := p.OpenDir(name); err == nil {
				list(p, d)
				d.SyncFS()
				ok(p, d.SetTime(tree.Time{}))
				wants(p, d.Rename("none", p.Dir, "other"), syscall.ENOENT)
				ok(p, d.Close())
			}
		}
		if n := openFiles(p); n > base {
			p.Errorf("%d descriptors, were %d", n, base)
		}
	})
	if n := openFiles(t); n > before {
		t.Errorf("%d descriptors, were %d", n, before)
	}
}

func TestHandlesHoldDescriptors(t *testing.T) {
	d := must(dirfs.OpenRoot(t.TempDir(), dirfs.Options{}))(t)
	defer d.Close()
	const most = 5
	h := dirfs.NewHandles(d, most)
	root := &tree.Dir{}
	before := openFiles(t)
	for i := range 20 {
		name := fmt.Sprint(i)
		ok(t, d.Mkdir(name, 0o700))
		node := child(root, name)
		must(h.Acquire(node))(t)
		h.Release(node)
	}
	if n := openFiles(t); n > before+most {
		t.Errorf("%d descriptors more, want %d", n-before, most)
	}
	h.Close()
	if n := openFiles(t); n > before {
		t.Errorf("%d descriptors left", n-before)
	}
}

func TestDescriptorsRunOut(t *testing.T) {
	d := must(dirfs.OpenRoot(t.TempDir(), dirfs.Options{}))(t)
	defer d.Close()
	root := &tree.Dir{}
	var nodes []*tree.Dir
	for i := range 40 {
		ok(t, d.Mkdir(fmt.Sprint(i), 0o700))
		nodes = append(nodes, child(root, fmt.Sprint(i)))
	}
	var old unix.Rlimit
	ok(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	limit := old
	limit.Cur = uint64(openFiles(t) + 10)
	ok(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	h := dirfs.NewHandles(d, 1000)
	defer h.Close()
	for _, node := range nodes {
		_, err := h.Acquire(node)
		ok(t, err)
		h.Release(node)
	}
}

// populate makes n empty files.
func populate(t testing.TB, path string, n int) {
	for i := range n {
		ok(t, os.WriteFile(fmt.Sprintf("%s/%06d", path, i), nil, 0o600))
	}
}

func TestListAllocatesNothing(t *testing.T) {
	path := t.TempDir()
	populate(t, path, 1000)
	d := must(dirfs.OpenRoot(path, dirfs.Options{}))(t)
	defer d.Close()
	n := 0
	count := func([]byte, dirfs.Info, error) error { n++; return nil }
	if got := testing.AllocsPerRun(10, func() { ok(t, d.List(count)) }); got > 5 {
		t.Errorf("List of 1000 entries: %v allocations, want at most 5", got)
	}
}

func TestNamesAllocateNothing(t *testing.T) {
	path := t.TempDir()
	d := must(dirfs.OpenRoot(path, dirfs.Options{}))(t)
	defer d.Close()
	name := strings.Repeat("n", 255)
	populate(t, path, 1)
	for call, c := range map[string]struct {
		most float64
		make func() error
	}{
		"Stat":   {0, func() error { _, err := d.Stat("000000"); return err }},
		"Rename": {0, func() error { return each2(d.Rename("000000", d, name), d.Rename(name, d, "000000")) }},
		"Mkdir":  {0, func() error { return each2(d.Mkdir(name, 0o700), d.RemoveDir(name)) }},
		"Create": {1, func() error { // the File itself
			f, err := d.Create(name, 0o600)
			if err != nil {
				return err
			}
			return each2(f.Close(), d.Remove(name))
		}},
		"Open": {1, func() error {
			f, err := d.Open("000000")
			if err != nil {
				return err
			}
			return f.Close()
		}},
	} {
		got := testing.AllocsPerRun(10, func() { ok(t, c.make()) })
		if got > c.most {
			t.Errorf("%s: %v allocations, want %v", call, got, c.most)
		}
	}
}

// each2 returns the first error.
func each2(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// What is opened to be looked at needs no right to read: as root, whom no permission stops,
// the test shows only that none is had.
func TestLook(t *testing.T) {
	for _, v := range append(nativeVariants(), variant{"injected", injected(dirfs.OpenRoot), true}) {
		t.Run(v.name, func(t *testing.T) {
			path := t.TempDir()
			ok(t, os.MkdirAll(path+"/in/empty", 0o700))
			ok(t, os.WriteFile(path+"/in/file", []byte("content"), 0o600))
			ok(t, os.Symlink("target", path+"/in/link"))
			ok(t, os.Symlink("in", path+"/alias"))
			for _, closed := range []string{path + "/in", path} {
				ok(t, os.Chmod(closed, 0o311))
				t.Cleanup(func() { os.Chmod(closed, 0o700) })
			}

			d := must(v.open(path, dirfs.Options{Look: true}))(t)
			defer d.Close()
			if info := must(d.Self())(t); info.Type != tree.Directory || info.Ino == 0 {
				t.Errorf("itself is %+v", info)
			}
			_, err := d.OpenDir("alias")
			wants(t, err, syscall.ENOTDIR, syscall.ELOOP)
			in := must(d.OpenDir("in"))(t)
			defer in.Close()
			if info := must(in.Stat("file"))(t); info.Type != tree.File || info.Size != 7 {
				t.Errorf("the file is %+v", info)
			}
			if target := must(in.ReadLink("link"))(t); target != "target" {
				t.Errorf("the link points to %q", target)
			}
			ok(t, in.RemoveDir("empty"))
			if err := in.Names(func([]byte) bool { return true }); err == nil {
				t.Error("its names were read")
			}
		})
	}
	_, err := dirfs.OpenRoot("system_linux_test.go", dirfs.Options{Look: true})
	wants(t, err, syscall.ENOTDIR)
}
