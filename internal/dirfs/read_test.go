//go:build linux || darwin

package dirfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

func TestOpenRoot(t *testing.T) {
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			path := t.TempDir()
			ok(t, os.WriteFile(path+"/file", nil, 0o600))
			ok(t, unix.Mkfifo(path+"/fifo", 0o600))
			ok(t, os.Symlink(".", path+"/link"))
			_, err := v.open(path+"/file", dirfs.Options{})
			wants(t, err, syscall.ENOTDIR)
			_, err = v.open(path+"/fifo", dirfs.Options{})
			wants(t, err, syscall.ENOTDIR)
			_, err = v.open(path+"/none", dirfs.Options{})
			wants(t, err, fs.ErrNotExist)
			d := must(v.open(path+"/link", dirfs.Options{}))(t)
			if n := len(list(t, d)); n != 3 {
				t.Errorf("got %d entries through the link, want 3", n)
			}
			ok(t, d.Close())
		})
	}
}

func TestNamesRefused(t *testing.T) {
	everywhere(t, func(p *place) {
		sub := p.mkdir("sub")
		p.write("sub/b", "")
		tm := tree.Time{}
		for _, name := range []string{"", ".", "..", "sub/b", "sub/", "/", "../x", "a\x00b", strings.Repeat("x", 1025)} {
			_, stat := p.Stat(name)
			_, open := p.Open(name)
			_, openDir := p.OpenDir(name)
			_, readLink := p.ReadLink(name)
			_, create := p.Create(name, 0o600)
			for call, err := range map[string]error{
				"Stat": stat, "Open": open, "OpenDir": openDir, "ReadLink": readLink, "Create": create,
				"Mkdir": p.Mkdir(name, 0o700), "Symlink": p.Symlink("x", name),
				"Rename from": p.Rename(name, sub, "b"), "Rename to": sub.Rename("b", p.Dir, name),
				"Exchange from": p.Exchange(name, sub, "b"), "Exchange to": sub.Exchange("b", p.Dir, name),
				"Remove": p.Remove(name), "RemoveDir": p.RemoveDir(name), "SetLinkTime": p.SetLinkTime(name, tm),
			} {
				if !errors.Is(err, tree.CheckName(name)) || err == nil {
					p.Errorf("%s(%.20q): got %v, want %v", call, name, err, tree.CheckName(name))
				}
			}
		}
		if p.content("sub/b") != "" || len(list(p, p.Dir)) != 1 {
			p.Error("something was changed")
		}
	})
}

func TestNamesAreBytes(t *testing.T) {
	everywhere(t, func(p *place) {
		names := []string{strings.Repeat("n", 255), "new\nline", "...", " ", "-", `a\b`, "\x1b[1m"}
		if runtime.GOOS == "linux" {
			names = append(names, "\xff\xfe", "\xc3")
		}
		for i, name := range names {
			p.create(name, fmt.Sprint(i))
			if got := p.content(name); got != fmt.Sprint(i) {
				p.Errorf("%q: got %q", name, got)
			}
			f := must(p.Open(name))(p)
			ok(p, f.Close())
		}
		got := list(p, p.Dir)
		n := 0
		ok(p, p.Names(func(name []byte) bool {
			if _, ok := got[string(name)]; !ok {
				p.Errorf("Names has %q, List has not", name)
			}
			n++
			return true
		}))
		if len(got) != len(names) || n != len(names) {
			p.Errorf("List has %d, Names %d, want %d", len(got), n, len(names))
		}
		for _, name := range names {
			ok(p, p.Rename(name, p.Dir, "x"))
			ok(p, p.Rename("x", p.Dir, name))
			ok(p, p.Remove(name))
		}
		_, err := p.Create(strings.Repeat("n", 256), 0o600)
		wants(p, err, syscall.ENAMETOOLONG)
	})
}

func TestListInfo(t *testing.T) {
	everywhere(t, func(p *place) {
		p.write("file", "12345")
		ok(p, os.Chmod(p.at("file"), 0o4751))
		ok(p, os.Chmod(p.at("file"), 0o751|fs.ModeSetuid))
		ok(p, os.Link(p.at("file"), p.at("other")))
		ok(p, os.Symlink("/nowhere", p.at("link")))
		ok(p, os.Mkdir(p.at("dir"), 0o750))
		ok(p, unix.Mkfifo(p.at("fifo"), 0o600))
		got := list(p, p.Dir)
		for name, want := range map[string]tree.Type{
			"file": tree.File, "other": tree.File, "link": tree.Link, "dir": tree.Directory, "fifo": tree.Other,
		} {
			info := must(p.Stat(name))(p)
			if info != got[name] || info.Type != want || info.Ino == 0 || info.Dev == 0 {
				p.Errorf("%s: Stat %+v, List %+v, want type %v", name, info, got[name], want)
			}
		}
		if f := got["file"]; f.Size != 5 || f.Perm != 0o4751 || f.Nlink != 2 || f.CTime == (tree.Time{}) {
			p.Errorf("file: got %+v", f)
		}
		self := must(must(p.OpenDir("dir"))(p).Self())(p)
		if self != got["dir"] {
			p.Errorf("Self %+v, List %+v", self, got["dir"])
		}
	})
}

// TestListMany lists what takes several reads of the directory.
func TestListMany(t *testing.T) {
	const n = 3000
	path := t.TempDir()
	for i := range n {
		ok(t, os.Symlink("x", fmt.Sprintf("%s/%04d-%s", path, i, strings.Repeat("x", i%200))))
	}
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			d := must(v.open(path, dirfs.Options{}))(t)
			defer d.Close()
			for range 2 {
				if got := len(list(t, d)); got != n {
					t.Errorf("got %d entries, want %d", got, n)
				}
			}
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					if got := len(list(t, d)); got != n {
						t.Errorf("concurrently: got %d entries, want %d", got, n)
					}
				})
			}
			group.Wait()
		})
	}
}

func TestListInsideList(t *testing.T) {
	everywhere(t, func(p *place) {
		p.write("a", "")
		p.write("b", "")
		outer := 0
		ok(p, p.List(func([]byte, dirfs.Info, error) error {
			outer++
			if n := len(list(p, p.Dir)); n != 2 {
				p.Errorf("inner listing: got %d entries, want 2", n)
			}
			return nil
		}))
		if outer != 2 {
			p.Errorf("outer listing: got %d entries, want 2", outer)
		}
	})
}

func TestListEnds(t *testing.T) {
	everywhere(t, func(p *place) {
		if n := len(list(p, p.Dir)); n != 0 {
			p.Errorf("empty: got %d entries", n)
		}
		p.write("a", "")
		p.write("b", "")
		mine, calls := errors.New("mine"), 0
		err := p.List(func([]byte, dirfs.Info, error) error { calls++; return mine })
		if err != mine || calls != 1 {
			p.Errorf("List: got %v after %d calls", err, calls)
		}
		calls = 0
		err = p.Names(func([]byte) bool { calls++; return false })
		if err != nil || calls != 1 {
			p.Errorf("Names: got %v after %d calls", err, calls)
		}
		if n := len(list(p, p.Dir)); n != 2 {
			p.Errorf("again: got %d entries, want 2", n)
		}
	})
}

// TestSpecialNeverRead opens what is no regular file, as when something else
// took the place of one: nothing waits, and nothing is handed out.
func TestSpecialNeverRead(t *testing.T) {
	everywhere(t, func(p *place) {
		ok(p, unix.Mkfifo(p.at("fifo"), 0o600))
		socket := must(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0))(p)
		defer unix.Close(socket)
		p.Chdir(p.path)
		ok(p, unix.Bind(socket, &unix.SockaddrUnix{Name: "socket"}))
		ok(p, os.Mkdir(p.at("dir"), 0o700))
		names := []string{"fifo", "socket", "dir"}
		if err := unix.Mknod(p.at("null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err == nil {
			names = append(names, "null")
		} else {
			p.Logf("DEVICES NOT TESTED: mknod: %v (needs root)", err)
		}
		for _, name := range names {
			_, err := p.Open(name)
			wants(p, err, dirfs.ErrNotRegular)
			if name != "dir" {
				_, err = p.OpenDir(name)
				wants(p, err, syscall.ENOTDIR)
			}
		}
	})
}

func TestLinksNeverFollowed(t *testing.T) {
	everywhere(t, func(p *place) {
		p.write("file", "content")
		ok(p, os.Mkdir(p.at("dir"), 0o700))
		ok(p, os.Symlink("file", p.at("to-file")))
		ok(p, os.Symlink("dir", p.at("to-dir")))
		ok(p, os.Symlink("none", p.at("to-none")))
		before := list(p, p.Dir)
		for _, name := range []string{"to-file", "to-dir", "to-none"} {
			_, err := p.Open(name)
			wants(p, err, syscall.ELOOP)
			_, err = p.OpenDir(name)
			wants(p, err, syscall.ELOOP, syscall.ENOTDIR)
			_, err = p.Create(name, 0o600)
			wants(p, err, fs.ErrExist)
			wants(p, p.Mkdir(name, 0o700), fs.ErrExist)
			wants(p, p.Symlink("x", name), fs.ErrExist)
			wants(p, p.RemoveDir(name), syscall.ENOTDIR)
			if p.typeOf(name) != tree.Link {
				p.Errorf("%s: Stat followed", name)
			}
		}
		if got := must(p.ReadLink("to-none"))(p); got != "none" {
			p.Errorf("ReadLink: got %q", got)
		}
		_, err := p.ReadLink("file")
		wants(p, err, dirfs.ErrNotLink)
		for name, info := range list(p, p.Dir) {
			if info != before[name] {
				p.Errorf("%s changed: %+v, was %+v", name, info, before[name])
			}
		}

		// What replaces or removes a link leaves its target alone.
		p.create("new", "new")
		ok(p, p.Rename("new", p.Dir, "to-file"))
		ok(p, p.Remove("to-none"))
		ok(p, p.Remove("to-dir"))
		if p.content("file") != "content" || p.content("to-file") != "new" || p.typeOf("dir") != tree.Directory {
			p.Error("a link was followed")
		}
	})
}

func TestReadFile(t *testing.T) {
	everywhere(t, func(p *place) {
		p.write("file", "0123456789")
		f := must(p.Open("file"))(p)
		defer f.Close()
		buf := make([]byte, 6)
		n, err := f.ReadAt(buf, 2)
		if n != 6 || err != nil || string(buf) != "234567" {
			p.Errorf("got %d, %v, %q", n, err, buf)
		}
		n, err = f.ReadAt(buf, 7)
		if n != 3 || err != io.EOF {
			p.Errorf("over the end: got %d, %v", n, err)
		}
		n, err = f.ReadAt(buf, 10)
		if n != 0 || err != io.EOF {
			p.Errorf("at the end: got %d, %v", n, err)
		}
		if _, err = f.ReadAt(buf, -1); err == nil || err == io.EOF {
			p.Errorf("negative: got %v", err)
		}
		if _, err = f.WriteAt(buf, 0); err == nil {
			p.Error("wrote to a file opened for reading")
		}
		p.write("file", "x") // Info is of now, once something was read
		if info := must(f.Info())(p); info.Size != 1 {
			p.Errorf("got size %d, want 1", info.Size)
		}
	})
}

func TestErrorsReadWell(t *testing.T) {
	everywhere(t, func(p *place) {
		_, err := p.Open("none")
		if got := err.Error(); got != "open none: no such file or directory" {
			p.Errorf("got %q", got)
		}
		var pe *fs.PathError
		if err := p.Rename("none", p.Dir, "x"); !errors.As(err, &pe) || pe.Path != "none" || pe.Op != "rename" {
			p.Errorf("got %v", err)
		}
	})
}

func TestUnreadable(t *testing.T) {
	everywhere(t, func(p *place) {
		if os.Geteuid() == 0 {
			p.Skip("SKIPPED: root may read everything; run as another user")
		}
		p.write("file", "")
		ok(p, os.Chmod(p.at("file"), 0))
		ok(p, os.Mkdir(p.at("dir"), 0))
		_, err := p.Open("file")
		wants(p, err, fs.ErrPermission)
		_, err = p.OpenDir("dir")
		wants(p, err, fs.ErrPermission)

		sub := p.mkdir("sub")
		p.write("sub/a", "")
		ok(p, os.Chmod(p.at("sub"), 0o400)) // to read, not to search
		defer os.Chmod(p.at("sub"), 0o700)
		calls := 0
		err = sub.List(func(name []byte, info dirfs.Info, err error) error {
			calls++
			wants(p, err, fs.ErrPermission)
			if string(name) != "a" || info != (dirfs.Info{}) {
				p.Errorf("got %q, %+v", name, info)
			}
			return nil
		})
		if err == nil && calls != 1 {
			p.Errorf("got %d calls, want 1", calls)
		}
	})
}
