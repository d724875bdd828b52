//go:build unix

package syncdirectory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// umaskVariable says with which umask TestPrivate runs, in a process of its own: the
// whole process has one.
const umaskVariable = "SYNC_DIRECTORY_TEST_UMASK"

// TestPrivate looks at the working directory ahead of each call of a run, under umasks
// that take nothing, some and everything: what is in it can be reached by its owner
// alone, since every directory is its own alone. What becomes of it does not depend on
// the umask.
func TestPrivate(t *testing.T) {
	if mask := os.Getenv(umaskVariable); mask != "" {
		n, err := strconv.ParseUint(mask, 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		for _, portable := range []bool{false, true} {
			if portable && n&0o700 != 0 && os.Geteuid() != 0 {
				t.Log("SKIPPED: what the umask keeps from its owner cannot be opened to be given a permission; needs root")
				continue
			}
			staysPrivate(t, int(n), portable)
		}
		return
	}
	for _, mask := range []string{"0", "22", "777"} {
		t.Run(mask, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestPrivate$", "-test.v")
			cmd.Env = append(os.Environ(), umaskVariable+"="+mask, "TMPDIR="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestPrivate") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

const (
	privateWant = `
./ 755 @5
small 666 @9 =small
large 777 @9 +3000000
delta 644 @9 +70000
outline 640 @9 +3000000
mode 666 @9 =mode
new/ 777 @9
new/sub/ 775 @9
new/sub/nf 666 @9 =f
new/sub/nlarge 666 @9 +3000000
new/l >nf @9
moved/ 777 @9
moved/d/ 755 @9
moved/d/mf 666 @9 =f
to-file 666 @9 =file
to-dir/ 777 @9
to-dir/df 666 @9 =f
`
	privateHave = `
./ 755 @5
delta 644 @6 +69000
outline 644 @6 +2900000
mode 600 @9 =mode
d/ 755 @9
d/mf 666 @9 =f
to-file/ 755 @9
to-file/tf 644 @9 =f
to-dir 644 @9 =f
gone 644 @6 =gone
`
)

func staysPrivate(t *testing.T, mask int, portable bool) {
	s := newScene(t, privateWant, privateHave)
	s.portable = portable
	old := syscall.Umask(mask)
	defer syscall.Umask(old)
	var mu sync.Mutex
	looks := 0
	_, received := s.run(nil, func(dirfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		looks += s.isPrivate()
		return nil
	})
	if received.Code != OK || looks < 100 {
		t.Errorf("%d, %+v, %d looks", received.Code, received.Problems, looks)
	}
	if got, want := treetest.Read(t, s.to), treetest.Read(t, s.from); got != want {
		t.Errorf("there is\n%swant\n%s", got, want)
	}
}

// isPrivate fails unless the working directory is private, and returns how many entries
// it has.
func (s *scene) isPrivate() (n int) {
	s.Helper()
	top := s.in(tree.Reserved)
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = d.Info()
		}
		if errors.Is(err, fs.ErrNotExist) || err == nil && d.Type() == fs.ModeSymlink {
			return nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil // another call is just making it
		}
		if err != nil {
			return err
		}
		n++
		if d.IsDir() && (filepath.Base(filepath.Dir(path)) == "displaced" || strings.HasSuffix(path, "-moves")) {
			return fs.SkipDir // it was in the destination, and keeps what it has
		}
		if perm := info.Mode().Perm(); d.IsDir() && perm&0o077 != 0 {
			s.Errorf("%s has %o", path, perm)
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
	return n
}

// TestMadePrivate makes a destination and a backup directory that are missing: they are
// the owner's alone until the run is through, and then as the source is; and the backup
// stays so, since it has what may have been out of reach.
func TestMadePrivate(t *testing.T) {
	s := newScene(t, "./ 755 @5\na @6 =a", "")
	s.ok(os.Remove(s.to))
	saved := filepath.Join(s.shelf, "not/there/saved")
	r := &Receiver{Dir: s.to, BackupDir: saved}
	var seen []string
	r.OnProblem = func(p Problem) { s.Errorf("%+v", p) }
	taker, err := r.open()
	s.ok(err)
	for _, dir := range []string{s.to, saved} {
		info, err := os.Stat(dir)
		s.ok(err)
		seen = append(seen, fmt.Sprintf("%o", info.Mode().Perm()))
	}
	s.ok(taker.close())
	if strings.Join(seen, " ") != "700 700" {
		t.Errorf("they have %v", seen)
	}
	if _, err := Local(t.Context(), &Sender{Dir: s.from}, r); err != nil {
		t.Error(err)
	}
	if got, want := treetest.Read(t, s.to), treetest.Read(t, s.from); got != want {
		t.Errorf("there is\n%swant\n%s", got, want)
	}
}
