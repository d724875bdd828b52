package syncdirectory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// outcomes are what becomes of a run in which calls fail: the table of ARCHITECTURE.md,
// row by row. In the name of a call a "*" stands for any outside the working directory, and
// ">" goes before what something is renamed to.
var outcomes = []struct {
	side  string // whose disk it is
	call  string // and the name that it is given
	err   syscall.Errno
	times int64 // how often it fails; 0 for always
	code  Code
	path  string // that is named, if any
}{
	{"source", "Open changed", syscall.EACCES, 0, Partial, "changed"},
	{"source", "Open changed", syscall.EPERM, 0, Partial, "changed"},
	{"source", "Open changed", syscall.EIO, 0, Partial, "changed"},
	{"source", "Open changed", syscall.ENOENT, 0, Vanished, "changed"},
	{"source", "Open changed", syscall.ELOOP, 0, Vanished, "changed"},
	{"source", "Open changed", syscall.ENOTDIR, 0, Vanished, "changed"},
	{"source", "Open changed", syscall.ESTALE, 0, Vanished, "changed"},
	{"source", "Open *", syscall.EMFILE, 2, OK, ""},
	{"source", "Open *", syscall.ENFILE, 2, OK, ""},
	{"source", "Open changed", syscall.EMFILE, 0, Partial, "changed"},
	{"source", "OpenDir dir", syscall.EACCES, 0, Partial, "dir"},
	{"source", "OpenDir *", syscall.EMFILE, 1, OK, ""},
	{"source", "List", syscall.EIO, 1, BadPath, ""},
	{"source", "File.ReadAt changed", syscall.EIO, 0, Partial, "changed"},
	{"source", "File.ReadAt changed", syscall.ESTALE, 0, Vanished, "changed"},
	{"source", "File.ReadAt large", syscall.EIO, 0, Partial, "large"},
	{"source", "ReadLink link", syscall.EIO, 0, Partial, "link"},

	{"destination", "Create *", syscall.ENOSPC, 0, Disk, ""},
	{"destination", "Create *", syscall.EDQUOT, 0, Disk, ""},
	{"destination", "Create *", syscall.EROFS, 0, Disk, ""},
	{"destination", "Create *", syscall.EIO, 1, OK, ""},
	{"destination", "Create *", syscall.EIO, 0, Partial, "changed"},
	{"destination", "Create *", syscall.EACCES, 0, Partial, "changed"},
	{"destination", "Create *", syscall.EMFILE, 2, OK, ""},
	{"destination", "Create f", syscall.ENAMETOOLONG, 0, Partial, "dir/new/deep/f"},
	{"destination", "File.WriteAt *", syscall.ENOSPC, 0, Disk, ""},
	{"destination", "File.WriteAt *", syscall.EDQUOT, 0, Disk, ""},
	{"destination", "File.WriteAt *", syscall.EIO, 1, Partial, ""},
	{"destination", "File.WriteAt f", syscall.EFBIG, 0, Partial, "dir/new/deep/f"},
	{"destination", "File.SetTime f", syscall.EPERM, 0, Partial, "dir/new/deep/f"},
	{"destination", "Mkdir *", syscall.ENOSPC, 0, Disk, ""},
	{"destination", "Mkdir deep", syscall.ENAMETOOLONG, 0, Partial, "dir/new/deep"},
	{"destination", "Symlink *", syscall.EPERM, 0, Partial, "link"},
	{"destination", "Rename >changed", syscall.EBUSY, 0, Partial, "changed"},
	{"destination", "Rename >changed", syscall.ETXTBSY, 0, Partial, "changed"},
	{"destination", "Rename >changed", syscall.EPERM, 0, Partial, "changed"},
	{"destination", "Rename moves", syscall.EXDEV, 0, OK, ""},
	{"destination", "Exchange", syscall.EBUSY, 0, Partial, "to-file"},
	{"destination", "Remove extra", syscall.EPERM, 0, Partial, "dir/extra"},
	{"destination", "Remove extra", syscall.EBUSY, 0, Partial, "dir/extra"},
	{"destination", "RemoveDir extra", syscall.ENOTEMPTY, 0, Partial, "extra"},
	{"destination", "OpenDir dir", syscall.EACCES, 0, Partial, "dir"},
	{"destination", "OpenDir *", syscall.EMFILE, 1, OK, ""},
	{"destination", "Open same", syscall.EACCES, 0, OK, ""},
	{"destination", "Open *", syscall.EIO, 0, OK, ""},
	{"destination", "SyncFS", syscall.EIO, 0, Disk, ""},
	{"destination", "SyncFS", syscall.ENOSPC, 0, Disk, ""},
	{"destination", "List", syscall.EIO, 1, BadPath, ""},
}

// working are names in the working directory, which is made before a session.
var working = map[string]bool{".sync-directory": true, "pid": true, "stage": true, "left": true, "displaced": true, "probe": true}

// matches reports whether a call is the one that a row names.
func matches(c dirfs.Call, row string) bool {
	op, name, named := strings.Cut(row, " ")
	switch {
	case c.Op != op:
		return false
	case !named:
		return true
	case name == "*":
		return !working[c.Name] && !strings.HasPrefix(c.Name, tree.IDPrefix)
	case strings.HasPrefix(name, ">"):
		return c.NewName == name[1:]
	}
	return c.Name == name
}

// TestOutcomes has each row come true: the code, the path that failed, nothing torn, nothing
// removed where that is forbidden, and a next run that heals.
func TestOutcomes(t *testing.T) {
	for _, c := range outcomes {
		name := fmt.Sprintf("%s %s %v times %d", c.side, strings.ReplaceAll(c.call, "*", "any"), c.err, c.times)
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			grow(t, from, faultyWant...)
			grow(t, to, faultyHave...)
			age(t, from, aged)
			age(t, to, aged)
			before, want := read(t, to), read(t, from)
			var failed atomic.Int64
			f := &faults{of: func(call dirfs.Call) bool {
				return matches(call, c.call) && (c.times == 0 || failed.Add(1) <= c.times)
			}, always: true, err: c.err}
			source, destination := f, (*faults)(nil)
			if c.side == "destination" {
				source, destination = nil, f
			}
			result, err := mirrorFaulty(t, from, to, source, destination)
			got := read(t, to)
			if f.hit.Op == "" {
				t.Fatal("no such call was made")
			}
			if result.Code != c.code || (err == nil) != (c.code == OK) {
				t.Fatalf("code %d, want %d: %v %+v", result.Code, c.code, err, result.Problems)
			}
			whole(t, before, want, got, result.Code == OK || result.Code == Vanished || result.Code == Disk || result.Code == Partial && removing(result))
			named := c.path == ""
			for _, p := range result.Problems {
				named = named || p.Path == c.path
			}
			if !named {
				t.Errorf("%s is not named: %v %+v", c.path, err, result.Problems)
			}
			if c.code == OK && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Error("success, but not equal")
			}
			if _, err := mirrorFaulty(t, from, to, nil, nil); err != nil {
				t.Errorf("next run: %v", err)
			}
			if got := read(t, to); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Error("next run: not equal")
			}
			if _, err := os.Lstat(filepath.Join(to, ".sync-directory")); err == nil {
				t.Error("next run: .sync-directory is left")
			}
		})
	}
}
