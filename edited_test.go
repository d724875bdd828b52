//go:build unix

package syncdirectory

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// A destination that somebody edits, and what it shall be.
const (
	editedWant = `
./ @5
f @7 =new
g @7 =new
d/ @7
d/f @7 =new
touched 600 @6 =touched
linked 600 @6 =touched
made @7 =new
n/deep/f @7 =new
to-file @7 =new
to-dir/f @7 =new
retimed/ 700 @7
retimed/f @7 =same
zone/keep @7 =keep
`
	editedHave = `
./ @5
f @6 =old
g @6 =old
d/ @6
d/f @6 =old
touched 644 @6 =touched
linked 644 @6 =touched
to-file/f @6 =f
to-file/deep/f @6 =f
to-dir @6 =old
retimed/ 755 @6
retimed/f @7 =same
extra @6 =extra
gone/f @6 =f
gone/deep/f @6 =f
zone/keep @7 =keep
zone/f @6 =f
zone/sub/f @6 =f
`
)

// edits are what somebody does to the destination between its scan and the change
// that was planned there.
var edits = []struct {
	name string
	do   func(s *scene)
	at   string // ahead of which call; "" for the first that stages anything
	code Code
	path string   // that is named
	has  []string // what the destination has then
	safe []string // what somebody has moved out of it still has
}{
	{name: "a file to be replaced is appended to", do: func(s *scene) { s.write("f", "old, and theirs") },
		code: Partial, path: "f", has: []string{"f=old, and theirs"}},
	{name: "a file to be replaced is another one", do: func(s *scene) { s.write("theirs", "odd"); s.rename("theirs", "f") },
		code: Partial, path: "f", has: []string{"f=odd"}},
	{name: "a file to be replaced has another mode", do: func(s *scene) { s.ok(os.Chmod(s.in("f"), 0o600)) },
		code: Partial, path: "f", has: []string{"f=old"}},
	{name: "a file to be replaced is a directory", do: func(s *scene) { s.remove("f"); s.write("f/theirs", "x") },
		code: Partial, path: "f", has: []string{"f/theirs=x"}},
	{name: "a file to be replaced is a link", do: func(s *scene) { s.plant("f") },
		code: Partial, path: "f", has: []string{"f->"}},
	{name: "a file to be replaced is gone", do: func(s *scene) { s.remove("f") },
		code: OK, has: []string{"f=new"}},

	{name: "a file is where one is to be made", do: func(s *scene) { s.write("made", "theirs") },
		code: Partial, path: "made", has: []string{"made=theirs"}},
	{name: "a link is where a file is to be made", do: func(s *scene) { s.plant("made") },
		code: Partial, path: "made", has: []string{"made->"}},
	{name: "a directory is where one is to be made", do: func(s *scene) { s.write("n/theirs", "x") },
		code: Partial, path: "n", has: []string{"n/theirs=x", "-n/deep"}},
	{name: "a link is where a directory is to be made", do: func(s *scene) { s.plant("n") },
		code: Partial, path: "n", has: []string{"n->"}},

	{name: "a directory to be worked in is a link", do: func(s *scene) { s.rename("d", "saved"); s.plant("d") },
		code: Partial, path: "d/f", has: []string{"d->", "saved/f=old"}},
	{name: "a directory to be worked in is elsewhere", do: func(s *scene) { s.rename("d", "../shelf/saved"); s.plant("d") },
		code: Partial, path: "d/f", has: []string{"d->"}, safe: []string{"saved/f=old"}},
	{name: "a directory to be worked in is another one", do: func(s *scene) { s.rename("d", "saved"); s.write("d/theirs", "x") },
		code: Partial, path: "d/f", has: []string{"d/theirs=x", "-d/f", "saved/f=old"}},
	{name: "a directory to be worked in is gone", do: func(s *scene) { s.remove("d") },
		code: Partial, path: "d/f", has: []string{"-d"}},

	{name: "a directory that makes way has an edited file", do: func(s *scene) { s.write("to-file/deep/f", "theirs") },
		code: Partial, path: "to-file", has: []string{"to-file/f=f", "to-file/deep/f=theirs"}},
	{name: "a directory that makes way has a new file", do: func(s *scene) { s.write("to-file/deep/theirs", "x") },
		code: Partial, path: "to-file", has: []string{"to-file/f=f", "to-file/deep/theirs=x"}},
	{name: "a directory that makes way has lost a file", do: func(s *scene) { s.rename("to-file/deep/f", "../shelf/saved") },
		code: Partial, path: "to-file", has: []string{"to-file/f=f"}},
	{name: "a directory that makes way is another one", do: func(s *scene) { s.rename("to-file", "saved"); s.write("to-file/f", "f") },
		code: Partial, path: "to-file", has: []string{"to-file/f=f", "saved/deep/f=f"}},
	{name: "a directory that makes way is gone", do: func(s *scene) { s.remove("to-file") },
		code: OK, has: []string{"to-file=new"}},
	{name: "a file that makes way is edited", do: func(s *scene) { s.write("to-dir", "odd") },
		code: Partial, path: "to-dir", has: []string{"to-dir=odd"}},
	{name: "a file that makes way is gone", do: func(s *scene) { s.remove("to-dir") },
		code: OK, has: []string{"to-dir/f=new"}},

	{name: "a file to be touched is edited", do: func(s *scene) { s.write("touched", "theirs!") }, at: "Open touched",
		code: Partial, path: "touched", has: []string{"touched=theirs!"}},
	{name: "a file to be touched with another name is edited", do: func(s *scene) { s.write("linked", "theirs!") }, at: "Open linked",
		code: Partial, path: "linked", has: []string{"linked=theirs!"}},
	{name: "a directory to be touched is another one", do: func(s *scene) { s.rename("retimed", "saved"); s.write("retimed/theirs", "x") },
		code: Partial, path: "retimed", has: []string{"retimed/theirs=x", "saved/f=same", "-extra"}},

	{name: "a file to be removed is edited", do: func(s *scene) { s.write("extra", "extra!") },
		code: Partial, path: "extra", has: []string{"extra=extra!", "-gone", "-zone/f"}},
	{name: "a file to be removed is a directory", do: func(s *scene) { s.remove("extra"); s.ok(os.Mkdir(s.in("extra"), 0o755)) },
		code: Partial, path: "extra", has: []string{"extra/", "-gone", "-zone/f"}},
	{name: "a file to be removed is a link", do: func(s *scene) { s.plant("extra") },
		code: Partial, path: "extra", has: []string{"extra->", "-gone", "-zone/f"}},
	{name: "a file to be removed is gone", do: func(s *scene) { s.remove("extra") },
		code: OK, has: []string{"-extra"}},
	{name: "a directory to be removed has a new file", do: func(s *scene) { s.write("gone/deep/theirs", "x") },
		code: Partial, path: "gone/deep", has: []string{"gone/deep/theirs=x", "-gone/f", "-extra", "-zone/f"}},
	{name: "a directory to be removed has an edited file", do: func(s *scene) { s.write("gone/deep/f", "theirs") },
		code: Partial, path: "gone/deep/f", has: []string{"gone/deep/f=theirs", "-gone/f", "-extra", "-zone/f"}},
	{name: "a directory to be removed is elsewhere", do: func(s *scene) { s.rename("gone", "../shelf/saved"); s.plant("gone") },
		code: Partial, path: "gone", has: []string{"gone->", "-extra"}, safe: []string{"saved/f=f", "saved/deep/f=f"}},
	{name: "a directory to be removed is another one", do: func(s *scene) { s.rename("gone/deep", "saved"); s.ok(os.Mkdir(s.in("gone/deep"), 0o700)) },
		code: Partial, path: "gone/deep", has: []string{"gone/deep/", "saved/f=f", "-extra"}},
	{name: "a directory to be removed from is elsewhere", do: func(s *scene) { s.rename("zone", "../shelf/saved"); s.plant("zone") },
		code: Partial, path: "zone/f", has: []string{"zone->", "-extra"}, safe: []string{"saved/f=f", "saved/keep=keep", "saved/sub/f=f"}},
}

// TestSomebodyEditsTheDestination has each of edits happen: what the scan did not
// see is neither overwritten, nor removed, nor given the time by which it would be
// taken for the source's; it is named, all else is done, no link is followed, and
// the next run, which sees it, heals.
func TestSomebodyEditsTheDestination(t *testing.T) {
	for _, e := range edits {
		for _, portable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, portable %v", e.name, portable), func(t *testing.T) {
				s := newScene(t, editedWant, editedHave)
				s.portable = portable
				s.ok(os.Link(s.in("linked"), filepath.Join(s.shelf, "name")))
				if e.at == "" {
					e.at = "Create *"
				}
				done := false
				_, received := s.run(nil, once(e.at, func() { e.do(s); done = true }))
				if !done {
					t.Fatal("it was not edited")
				}
				if received.Code != e.code || e.path != "" && !named(received, e.path) {
					t.Errorf("code %d, want %d with %q: %+v", received.Code, e.code, e.path, received.Problems)
				}
				s.has(s.to, e.has...)
				s.has(s.shelf, e.safe...)
				s.rest(e.path, e.code == OK || slices.ContainsFunc(e.has, func(h string) bool { return h == "-extra" || h == "-gone" }))
				s.heals()
			})
		}
	}
}

// rest fails unless everything but what is at or around a path that failed is as it
// shall be; if all is done, what goes is gone.
func (s *scene) rest(failed string, removes bool) {
	s.Helper()
	top, _, _ := strings.Cut(failed, "/")
	want, got := read(s.T, s.from), read(s.T, s.to)
	for path, is := range want {
		if first, _, _ := strings.Cut(path, "/"); (failed == "" || first != top) && got[path] != is {
			s.Errorf("%s is %q, want %q", path, got[path], is)
		}
	}
	for _, path := range []string{"extra", "gone/f", "zone/f"} {
		if first, _, _ := strings.Cut(path, "/"); failed != "" && first == top {
			continue
		}
		if is := got[path]; (is == "") != removes {
			s.Errorf("%s is %q", path, is)
		}
	}
}

// TestADirectoryIsEditedAtItsEnd has somebody make a file, or set the mode, in a
// directory that has just got its time: it is not taken for what it should be, nor the
// sender for one that broke the protocol.
func TestADirectoryIsEditedAtItsEnd(t *testing.T) {
	for name, do := range map[string]func(s *scene){
		"a file is made":  func(s *scene) { s.write("d/theirs", "x") },
		"the mode is set": func(s *scene) { s.ok(os.Chmod(s.in("d"), 0o750)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "./ @5\nd/ 700 @7\nd/f @7 =new\n", "./ @5\nd/ 755 @6\nd/f @6 =old\nextra @6\n")
			var last string // calls on directories themselves
			var mu sync.Mutex
			_, received := s.run(nil, func(c dirfs.Call) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case matches(c, "Rename >f"):
					last = "installed"
				case last == "installed" && c.Op == "SetTime":
					last = "set"
				case last == "set" && c.Op == "Self":
					last = "done"
					do(s)
				}
				return nil
			})
			if received.Code != Partial || !named(received, "d") || last != "done" {
				t.Errorf("code %d, %+v", received.Code, received.Problems)
			}
			s.has(s.to, "d/f=new", "-extra")
			s.heals()
		})
	}
}
