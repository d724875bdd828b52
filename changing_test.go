//go:build unix

package syncdirectory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A source that changes while it is read, and what the destination has of it.
const (
	changingWant = `
./ @5
f @7 =first
large @7 +600000
link >f @7
sub/g @7 =first
sub/deep/h @7 =first
z @7 =first
`
	changingHave = `
./ @5
f @6 =old
large @6 +500000
link >old @6
sub/g @6 =old
sub/deep/h @6 =old
extra @6 =extra
`
)

// at returns a path of the source.
func (s *scene) at(path string) string { return filepath.Join(s.from, path) }

// append makes a file of the source longer.
func (s *scene) append(path string) {
	s.Helper()
	f, err := os.OpenFile(s.at(path), os.O_APPEND|os.O_WRONLY, 0)
	s.ok(err)
	_, err = f.WriteString(" and more")
	s.ok(err)
	s.ok(f.Close())
}

// rewrite changes a file of the source in place and puts its time back.
func (s *scene) rewrite(path string) {
	s.Helper()
	f, err := os.OpenFile(s.at(path), os.O_WRONLY, 0)
	s.ok(err)
	_, err = f.WriteAt([]byte("other"), 0)
	s.ok(err)
	s.ok(f.Close())
	s.ok(os.Chtimes(s.at(path), time.Time{}, time.Unix(7, 0)))
}

// another puts something else in the place of what is at path: what made makes at
// a path that is not in use.
func (s *scene) another(path string, made func(path string) error) {
	s.Helper()
	s.ok(os.Rename(s.at(path), filepath.Join(s.shelf, "saved")))
	s.ok(made(s.at(path)))
}

func otherFile(path string) error { return os.WriteFile(path, []byte("other"), 0o644) }

func otherDirectory(path string) error {
	return os.MkdirAll(filepath.Join(path, "theirs"), 0o755)
}

func otherFIFO(path string) error { return syscall.Mkfifo(path, 0o644) }

// changes are what happens to the source, ahead of which call.
var changes = []struct {
	name, at string
	do       func(s *scene)
	code     Code
	path     string // that is named, and is as it was; "" where all is equal
}{
	{"a file grows", "File.ReadAt f", func(s *scene) { s.append("f") }, OK, ""},
	{"a file shrinks", "File.ReadAt f", func(s *scene) { s.ok(os.Truncate(s.at("f"), 2)) }, OK, ""},
	{"a file is rewritten", "File.ReadAt f", func(s *scene) { s.rewrite("f") }, OK, ""},
	{"a file is another one", "File.ReadAt f", func(s *scene) { s.another("f", otherFile) }, OK, ""},
	{"a file is gone while it is read", "File.ReadAt f", func(s *scene) { s.ok(os.Remove(s.at("f"))) }, Vanished, "f"},
	{"a file has no permission any more", "File.ReadAt f", func(s *scene) { s.ok(os.Chmod(s.at("f"), 0)) }, unreadable(), "f"},
	{"a large file grows", "File.ReadAt large", func(s *scene) { s.append("large") }, OK, ""},
	{"a large file shrinks", "File.ReadAt large", func(s *scene) { s.ok(os.Truncate(s.at("large"), 2)) }, OK, ""},
	{"a large file is rewritten", "File.ReadAt large", func(s *scene) { s.rewrite("large") }, OK, ""},
	{"a large file is another one", "File.ReadAt large", func(s *scene) { s.another("large", otherFile) }, OK, ""},
	{"a large file is gone while it is read", "File.ReadAt large", func(s *scene) { s.ok(os.Remove(s.at("large"))) }, Vanished, "large"},
	{"a large file has no permission any more", "File.ReadAt large", func(s *scene) { s.ok(os.Chmod(s.at("large"), 0)) }, unreadable(), "large"},

	{"a file is gone", "Open f", func(s *scene) { s.ok(os.Remove(s.at("f"))) }, Vanished, "f"},
	{"a file is a directory", "Open f", func(s *scene) { s.another("f", otherDirectory) }, Vanished, "f"},
	{"a file is a link", "Open f", func(s *scene) { s.another("f", s.toCanary("f")) }, Vanished, "f"},
	{"a file is a FIFO", "Open f", func(s *scene) { s.another("f", otherFIFO) }, Vanished, "f"},
	{"a link is gone", "ReadLink link", func(s *scene) { s.ok(os.Remove(s.at("link"))) }, Vanished, "link"},
	{"a link is a file", "ReadLink link", func(s *scene) { s.another("link", otherFile) }, Vanished, "link"},

	{"a directory is gone in the scan", "OpenDir sub", func(s *scene) { s.ok(os.RemoveAll(s.at("sub"))) }, Vanished, "sub"},
	{"a directory is a link in the scan", "OpenDir sub", func(s *scene) { s.another("sub", s.toCanary("sub")) }, Vanished, "sub"},
	{"a directory is a file in the scan", "OpenDir sub", func(s *scene) { s.another("sub", otherFile) }, Vanished, "sub"},
	{"a directory is another one in the scan", "OpenDir sub", func(s *scene) { s.another("sub", otherDirectory) }, Vanished, "sub"},
	{"a directory below is gone in the scan", "OpenDir deep", func(s *scene) { s.ok(os.RemoveAll(s.at("sub/deep"))) }, Vanished, "sub/deep"},
	{"a directory below is a link in the scan", "OpenDir deep", func(s *scene) { s.another("sub/deep", s.toCanary("sub")) }, Vanished, "sub/deep"},

	{"a directory is gone", "Open g", func(s *scene) { s.ok(os.RemoveAll(s.at("sub"))) }, Vanished, "sub/g"},
}

// unreadable is the code of a file without permission, which root may read.
func unreadable() Code {
	if os.Getuid() == 0 {
		return OK
	}
	return Partial
}

// toCanary makes a link to what is outside.
func (s *scene) toCanary(name string) func(path string) error {
	return func(path string) error { return os.Symlink(filepath.Join(s.outside, name), path) }
}

// TestTheSourceChanges has each of changes happen once, where all is streamed and
// where it is compared. One consistent version is there afterwards, or the old one and
// 24 with the path; what goes is removed; nothing that the source does not hold is
// ever read.
func TestTheSourceChanges(t *testing.T) {
	for _, c := range changes {
		for _, have := range []string{"", changingHave} {
			t.Run(fmt.Sprintf("%s, streaming %v", c.name, have == ""), func(t *testing.T) {
				s := newScene(t, changingWant, have)
				before := read(t, s.to)
				done := false
				_, received := s.run(once(c.at, func() { c.do(s); done = true }), nil)
				if !done {
					t.Fatal("nothing has changed")
				}
				s.readable("f", "large")
				got := read(t, s.to)
				if received.Code != c.code || c.code != OK && !named(received, c.path) {
					t.Errorf("code %d, want %d with %q: %+v", received.Code, c.code, c.path, received.Problems)
				}
				for path, is := range got {
					if strings.Contains(is, "CANARY") {
						t.Errorf("%s is what is outside", path)
					}
				}
				if c.code == OK {
					s.rest("", true)
				} else {
					s.kept(before, got, c.path)
				}
				if got["extra"] != "" && c.code != Partial {
					t.Error("what goes is there")
				}
				s.heals()
			})
		}
	}
}

// readable lets anybody read what nobody can read to its end.
func (s *scene) readable(paths ...string) {
	s.Helper()
	for _, path := range paths {
		switch info, err := os.Lstat(s.at(path)); {
		case err != nil:
		case info.Mode()&os.ModeNamedPipe != 0:
			s.ok(os.Remove(s.at(path)))
		case info.Mode().IsRegular() && info.Mode().Perm() == 0:
			s.ok(os.Chmod(s.at(path), 0o644))
		}
	}
}

// kept fails unless what is at a path and below is what it was before, and all that
// the source still has elsewhere is there.
func (s *scene) kept(before, got map[string]string, failed string) {
	s.Helper()
	at := func(path, top string) bool { return path == top || strings.HasPrefix(path, top+"/") }
	for path, was := range before {
		if at(path, failed) && got[path] != was {
			s.Errorf("%s is %q, was %q", path, got[path], was)
		}
	}
	top, _, _ := strings.Cut(failed, "/")
	for path, is := range read(s.T, s.from) {
		if !at(path, top) && got[path] != is {
			s.Errorf("%s is %.30q, want %.30q", path, got[path], is)
		}
	}
}

// TestVanishedDirectoryReplacesNothing loses a directory of the source in its scan, where
// the destination has something else of that name: that does not make way.
func TestVanishedDirectoryReplacesNothing(t *testing.T) {
	for _, there := range []string{"sub @6 =old\n", "sub >f @6\n"} {
		s := newScene(t, changingWant, there)
		before := read(t, s.to)
		_, received := s.run(once("OpenDir sub", func() { s.another("sub", otherFile) }), nil)
		if received.Code != Vanished || !named(received, "sub") {
			t.Errorf("code %d, %+v", received.Code, received.Problems)
		}
		s.kept(before, read(t, s.to), "sub")
		s.heals()
	}
}

// TestTheSourceKeepsChanging rewrites a file whenever it is read, and puts its time
// back: what is there stays, and all else is done.
func TestTheSourceKeepsChanging(t *testing.T) {
	for _, have := range []string{"", changingHave} {
		for _, path := range []string{"f", "large"} {
			t.Run(fmt.Sprintf("%s, streaming %v", path, have == ""), func(t *testing.T) {
				s := newScene(t, changingWant, have)
				before := read(t, s.to)
				_, received := s.run(whenever("File.ReadAt "+path, func() { s.rewrite(path) }), nil)
				if received.Code != Vanished || !named(received, path) {
					t.Errorf("code %d, %+v", received.Code, received.Problems)
				}
				s.kept(before, read(t, s.to), path)
				s.heals()
			})
		}
	}
}
