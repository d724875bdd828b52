//go:build unix

package syncdirectory

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// TestPlantedWorkingDirectory begins with a working directory that holds what no
// receiver has made: links to a canary, FIFOs, long names, directories in the place of
// files, loose permissions. It is taken up or cleared, nothing outside is touched, nothing
// waits, and nothing is left.
func TestPlantedWorkingDirectory(t *testing.T) {
	for _, portable := range []bool{false, true} {
		s := newScene(t, "./ @5\nf @7 =new\nd/f @7 =new", "./ @5\nf @6 =old")
		s.portable = portable
		area := s.in(tree.Reserved)
		long := strings.Repeat("n", 255)
		for _, in := range []string{"", "stage", "left", "displaced", "left/ab-1-0123456789abcdef"} {
			at := filepath.Join(area, in)
			s.ok(os.MkdirAll(at, 0o777))
			if in == "" {
				s.ok(os.Symlink(filepath.Join(s.outside, "f"), filepath.Join(at, "pid")))
				s.ok(syscall.Mkfifo(filepath.Join(at, "id"), 0o666))
				continue
			}
			for _, name := range []string{long, "x", "ab-2-0123456789abcdef", "ab-3-0123456789abcdef-moves"} {
				s.ok(os.Symlink(s.outside, filepath.Join(at, name)))
				s.ok(syscall.Mkfifo(filepath.Join(at, "p"+name[1:]), 0o666))
				s.ok(os.MkdirAll(filepath.Join(at, "d"+name[1:], long), 0o777))
				s.ok(os.Symlink(filepath.Join(s.outside, "sub"), filepath.Join(at, "d"+name[1:], long, "l")))
			}
			s.ok(os.Link(filepath.Join(s.outside, "n/f"), filepath.Join(at, "ab-4-0123456789abcdef")))
			s.ok(os.Chmod(at, 0o777))
		}
		s.ok(os.Chmod(area, 0o777))
		s.canary = s.look(s.outside)
		s.heals()
		if _, err := os.Lstat(area); !os.IsNotExist(err) {
			t.Errorf("the working directory is there, %v", err)
		}
	}
}

// TestForeignWorkingDirectory begins with one that belongs to another user, who can change
// it at any time: it is refused, also by root, with what is in it as it was.
func TestForeignWorkingDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: giving files to another user needs root")
	}
	for _, path := range []string{"", "stage", "left", "displaced"} {
		s := newScene(t, "./ @5\nf @7 =new", "./ @5\nf @6 =old")
		s.ok(os.MkdirAll(s.in(tree.Reserved+"/displaced/theirs"), 0o755))
		s.ok(os.MkdirAll(s.in(filepath.Join(tree.Reserved, path)), 0o755))
		s.ok(os.Chown(s.in(filepath.Join(tree.Reserved, path)), 65534, 65534))
		result, err := Local(t.Context(), &Sender{Dir: s.from}, &Receiver{Dir: s.to})
		if result.Code != BadPath || err == nil || !strings.Contains(err.Error(), "another user") {
			t.Errorf("%s: %d, %v", path, result.Code, err)
		}
		s.has(s.to, "f=old")
		if _, err := os.Stat(s.in(tree.Reserved + "/displaced/theirs")); err != nil {
			t.Error(err)
		}
	}
}

// TestDestinationReplacedWhileOpened has the path lead elsewhere between its opening and
// its lock.
func TestDestinationReplacedWhileOpened(t *testing.T) {
	for _, what := range []string{"directory", "FIFO"} {
		s := newScene(t, "", "")
		r := &taker{Receiver: Receiver{Dir: s.to}}
		r.Options = r.withDefaults(2)
		root, err := dirfs.OpenRoot(s.to, dirfs.Options{})
		s.ok(err)
		defer root.Close()
		r.root = root
		s.ok(os.Rename(s.to, filepath.Join(s.shelf, "old")))
		if what == "FIFO" {
			s.ok(syscall.Mkfifo(s.to, 0o600))
		} else {
			s.ok(os.Mkdir(s.to, 0o755))
		}
		if err := r.enter(s.to); err == nil {
			t.Errorf("a %s was taken for it", what)
			s.ok(r.close())
		}
		if got := treetest.Read(t, s.shelf); strings.Contains(got, tree.Reserved) {
			t.Errorf("there is\n%s", got)
		}
	}
}
