//go:build linux || darwin

package dirfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

func TestCreateIsExclusive(t *testing.T) {
	everywhere(t, func(p *place) {
		f := must(p.Create("file", 0o600))(p)
		must(f.WriteAt([]byte("abc"), 2))(p)
		buf := make([]byte, 5)
		must(f.ReadAt(buf, 0))(p)
		if string(buf) != "\x00\x00abc" {
			p.Errorf("got %q", buf)
		}
		ok(p, f.Truncate(3))
		ok(p, f.Sync())
		info := must(f.Info())(p)
		if info.Size != 3 || info.Perm != 0o600 || info.Type != tree.File {
			p.Errorf("got %+v", info)
		}
		ok(p, f.Close())
		if err := f.Close(); err == nil {
			p.Error("closed twice")
		}
		_, err := p.Create("file", 0o600)
		wants(p, err, fs.ErrExist)
		if got := p.content("file"); got != "\x00\x00a" {
			p.Errorf("got %q", got)
		}
	})
}

func TestExactBits(t *testing.T) {
	for _, umask := range []int{0o022, 0o077, 0o777, 0} {
		everywhere(t, func(p *place) {
			defer syscall.Umask(syscall.Umask(umask))
			for _, perm := range []uint16{0o700, 0o755, 0o777, 0o1777, 0o555, 0o2755, 0} {
				if err := p.Mkdir("dir", perm); err != nil {
					// Without fchmodat2 a directory that nobody may open
					// cannot be changed safely; nothing is left of it.
					if umask != 0o777 || os.Geteuid() == 0 {
						p.Errorf("umask %o: Mkdir %o: %v", umask, perm, err)
					}
					p.gone("dir")
					continue
				}
				if got := must(p.Stat("dir"))(p).Perm; got != perm {
					p.Errorf("umask %o: Mkdir %o made %o", umask, perm, got)
				}
				ok(p, p.RemoveDir("dir"))
			}
			f := must(p.Create("file", 0o600))(p)
			defer f.Close()
			for _, perm := range []uint16{0o644, 0o777, 0o4755, 0, 0o600} {
				ok(p, f.Chmod(perm))
				if got := must(f.Info())(p).Perm; got != perm {
					p.Errorf("umask %o: Chmod %o made %o", umask, perm, got)
				}
			}
		})
	}
}

func TestMkdirUnderSetgid(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, p.Chmod(0o2700))
		ok(p, p.Mkdir("dir", 0o700))
		if got := must(p.Stat("dir"))(p).Perm; got != 0o700 {
			p.Errorf("got %o, want 700", got)
		}
		wants(p, p.Mkdir("dir", 0o700), fs.ErrExist)
	})
}

func TestTimes(t *testing.T) {
	times := []tree.Time{
		{Sec: 0}, {Sec: 1, Nsec: 1}, {Sec: 1_700_000_000, Nsec: 999_999_999},
		{Sec: -1, Nsec: 999_999_999},           // a nanosecond before 1970
		{Sec: -2_147_483_647, Nsec: 1},         // 1901
		{Sec: 9_300_000_000, Nsec: 5},          // 2264: beyond an int64 of nanoseconds
		{Sec: 15_032_000_000, Nsec: 123456789}, // 2446
	}
	everywhere(t, func(p *place) {
		ok(p, p.Symlink("x", "link"))
		sub := p.mkdir("sub")
		f := must(p.Create("file", 0o600))(p)
		defer f.Close()
		links := true
		for _, want := range times {
			if runtime.GOOS != "linux" {
				want.Nsec -= want.Nsec % 1000
			}
			if strconv.IntSize == 32 && int64(int32(want.Sec)) != want.Sec {
				wants(p, f.SetTime(want), syscall.EOVERFLOW)
				continue
			}
			ok(p, f.SetTime(want))
			ok(p, sub.SetTime(want))
			if err := p.SetLinkTime("link", want); errors.Is(err, errors.ErrUnsupported) {
				links = false
			} else {
				ok(p, err)
			}
			for name, info := range list(p, p.Dir) {
				if info.MTime != want && (name != "link" || links) {
					p.Errorf("%s: got %+v, want %+v", name, info.MTime, want)
				}
			}
			if got := must(f.Info())(p).MTime; got != want {
				p.Errorf("Info: got %+v, want %+v", got, want)
			}
		}
		// What stands for "now" and "leave it" in the system's call.
		for _, nsec := range []uint32{1<<30 - 1, 1<<30 - 2, 1_000_000_000} {
			bad := tree.Time{Nsec: nsec}
			wants(p, f.SetTime(bad), syscall.EINVAL)
			wants(p, sub.SetTime(bad), syscall.EINVAL)
			wants(p, p.SetLinkTime("link", bad), syscall.EINVAL)
		}
		before := list(p, p.Dir)
		for _, name := range []string{"file", "sub"} {
			wants(p, p.SetLinkTime(name, times[0]), syscall.EINVAL)
			if must(p.Stat(name))(p) != before[name] {
				p.Errorf("SetLinkTime changed %s", name)
			}
		}
		wants(p, p.SetLinkTime("none", times[0]), fs.ErrNotExist)
	})
}

func TestDirOwn(t *testing.T) {
	everywhere(t, func(p *place) {
		sub := p.mkdir("sub")
		ok(p, sub.Chmod(0o1751))
		if got := must(p.Stat("sub"))(p).Perm; got != 0o1751 {
			p.Errorf("got %o, want 1751", got)
		}
		ok(p, sub.Sync())
		if err := sub.SyncFS(); p.native {
			ok(p, err)
		} else {
			wants(p, err, errors.ErrUnsupported)
		}
		if s := must(sub.Space())(p); s.Bytes == 0 {
			p.Errorf("got %+v", s)
		}
	})
}

func TestRename(t *testing.T) {
	everywhere(t, func(p *place) {
		a, b := p.mkdir("a"), p.mkdir("b")
		ok(p, a.Mkdir("deep", 0o700))
		deep := must(a.OpenDir("deep"))(p)
		defer deep.Close()
		p.write("a/deep/file", "1")
		p.write("b/file", "2")

		ok(p, deep.Rename("file", b, "file"))
		p.gone("a/deep/file")
		if got := p.content("b/file"); got != "1" {
			p.Errorf("got %q", got)
		}
		ok(p, b.Rename("file", p.Dir, "file"))
		ok(p, p.Rename("file", deep, "again"))
		if got := p.content("a/deep/again"); got != "1" {
			p.Errorf("got %q", got)
		}
		wants(p, a.Rename("none", b, "x"), fs.ErrNotExist)

		// A directory replaces an empty one only.
		ok(p, p.Mkdir("empty", 0o700))
		ok(p, a.Rename("deep", p.Dir, "empty"))
		wants(p, p.Rename("b", p.Dir, "empty"), fs.ErrExist, syscall.ENOTEMPTY)
		if got := p.content("empty/again"); got != "1" {
			p.Errorf("got %q", got)
		}
	})
}

func TestLink(t *testing.T) {
	everywhere(t, func(p *place) {
		a, b := p.mkdir("a"), p.mkdir("b")
		p.write("a/file", "1")
		p.write("b/taken", "2")
		ok(p, a.Symlink("file", "link"))
		err := a.Link("file", b, "again")
		if errors.Is(err, errors.ErrUnsupported) && strings.HasPrefix(p.name, "portable-by-path") {
			p.gone("b/again")
			return
		}
		ok(p, err)
		one, two := must(a.Stat("file"))(p), must(b.Stat("again"))(p)
		if one.Nlink != 2 || one.Ino != two.Ino {
			p.Errorf("%+v and %+v are two files", one, two)
		}
		wants(p, a.Link("file", b, "taken"), fs.ErrExist)
		wants(p, a.Link("none", b, "x"), fs.ErrNotExist)
		for _, name := range []string{"link", "../a"} {
			if err := a.Link(name, b, "x"); err == nil {
				p.Errorf("linked %q", name)
			}
		}
		wants(p, p.Link("a", b, "x"), dirfs.ErrNotRegular)
		if err := a.Link("file", b, "../x"); err == nil {
			p.Error("linked out of the directory")
		}
		p.gone("b/x")
		ok(p, a.Remove("file"))
		if got := p.content("b/again"); got != "1" {
			p.Errorf("got %q", got)
		}
	})
}

func TestHandleFollowsRename(t *testing.T) {
	everywhere(t, func(p *place) {
		a, b := p.mkdir("a"), p.mkdir("b")
		p.write("a/file", "1")
		ok(p, p.Rename("a", b, "moved"))
		if len(list(p, a)) != 1 {
			p.Error("lost the directory")
		}
		f := must(a.Open("file"))(p)
		ok(p, f.Close())
		err := a.Rename("file", p.Dir, "file")
		if p.name == "portable-by-path" || p.name == "portable-by-path-injected" {
			// What was renamed is stale for renames, and says so.
			if err == nil || p.content("b/moved/file") != "1" {
				p.Errorf("renamed by a stale path: %v", err)
			}
			return
		}
		ok(p, err)
		if got := p.content("file"); got != "1" {
			p.Errorf("got %q", got)
		}
	})
}

func TestExchange(t *testing.T) {
	everywhere(t, func(p *place) {
		sub := p.mkdir("sub")
		p.write("sub/file", "1")
		ok(p, p.Symlink("x", "link"))
		err := p.Exchange("link", sub, "file")
		if !p.native {
			wants(p, err, errors.ErrUnsupported)
			return
		}
		if errors.Is(err, errors.ErrUnsupported) {
			p.Skip("SKIPPED: this file system cannot exchange")
		}
		ok(p, err)
		if p.content("link") != "1" || must(sub.ReadLink("file"))(p) != "x" {
			p.Error("not exchanged")
		}
		wants(p, p.Exchange("none", sub, "file"), fs.ErrNotExist)
	})
}

func TestRemove(t *testing.T) {
	everywhere(t, func(p *place) {
		p.mkdir("dir")
		p.write("dir/file", "")
		p.write("file", "")
		wants(p, p.Remove("dir"), syscall.EISDIR, syscall.EPERM)
		wants(p, p.RemoveDir("dir"), syscall.ENOTEMPTY)
		wants(p, p.RemoveDir("file"), syscall.ENOTDIR)
		ok(p, os.Remove(p.at("dir/file")))
		wants(p, p.Remove("dir"), syscall.EISDIR, syscall.EPERM)
		ok(p, p.RemoveDir("dir"))
		ok(p, p.Remove("file"))
		wants(p, p.Remove("file"), fs.ErrNotExist)
		p.gone("dir")
		p.gone("file")
	})
}

func TestHoles(t *testing.T) {
	everywhere(t, func(p *place) {
		f := must(p.Create("file", 0o600))(p)
		defer f.Close()
		ok(p, f.Truncate(10<<20))
		must(f.WriteAt([]byte("x"), 5<<20))(p)
		from, to, err := f.Extent(0)
		if ok(p, err); from == 0 {
			p.Skip("HOLES NOT TESTED: the file system of the temporary directory has none")
		}
		if from > 5<<20 || to <= 5<<20 || to > 6<<20 {
			p.Errorf("data from %d to %d", from, to)
		}
		if from, to, err := f.Extent(to); err != io.EOF {
			p.Errorf("more data from %d to %d, %v", from, to, err)
		}
		if info := must(f.Info())(p); info.Alloc == 0 || info.Alloc >= info.Size {
			p.Errorf("takes %d of %d bytes", info.Alloc, info.Size)
		}
		switch err := f.Allocate(0, 10<<20); {
		case errors.Is(err, errors.ErrUnsupported):
		case err != nil:
			p.Error(err)
		default:
			if info := must(f.Info())(p); info.Alloc < info.Size {
				p.Errorf("takes %d of %d bytes, allocated", info.Alloc, info.Size)
			}
		}
		b := make([]byte, 2)
		must(f.ReadAt(b, 5<<20))(p)
		if string(b) != "x\x00" {
			p.Errorf("reads %q", b)
		}
	})
}

// CopyFrom copies any range, on disks and in memory, and says where there is
// none.
func TestCopyFrom(t *testing.T) {
	everywhere(t, func(p *place) {
		content := make([]byte, 300_000)
		for i := range content {
			content[i] = byte(i * i >> 8)
		}
		src := must(p.Create("src", 0o600))(p)
		defer src.Close()
		must(src.WriteAt(content, 0))(p)
		dst := must(p.Create("dst", 0o600))(p)
		defer dst.Close()
		ok(p, dst.CopyFrom(src, 1000, 7, 250_001))
		got := make([]byte, 250_001)
		must(dst.ReadAt(got, 7))(p)
		if !bytes.Equal(got, content[1000:251_001]) {
			p.Error("what was copied differs")
		}
		ok(p, dst.CopyFrom(src, 300_000, 0, 0))
		if err := dst.CopyFrom(src, 299_000, 0, 2000); !errors.Is(err, io.ErrUnexpectedEOF) {
			p.Errorf("beyond the end: %v", err)
		}
	})
}

// Create gives the permission that the umask leaves.
func TestCreatePermission(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	everywhere(t, func(p *place) {
		for perm, want := range map[uint16]uint16{0o666: 0o640, 0o755: 0o750, 0o400: 0o400, 0: 0} {
			f := must(p.Create("file", perm))(p)
			if info := must(f.Info())(p); info.Perm != want {
				p.Errorf("%o becomes %o, want %o", perm, info.Perm, want)
			}
			ok(p, f.Close())
			ok(p, p.Remove("file"))
		}
	})
}
