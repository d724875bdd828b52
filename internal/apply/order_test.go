package apply_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// recorded mirrors one tree into another and returns the calls that changed
// something, in the order in which they were made.
func recorded(t *testing.T, old, want string, portable bool) []string {
	t.Helper()
	from, to := temp(t), temp(t)
	treetest.Make(t, from, want)
	treetest.Make(t, to, old)
	var mu sync.Mutex
	var calls []string
	code, why := mirror(t, from, to, portable, func(c dirfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Mutates {
			calls = append(calls, strings.TrimSpace(fmt.Sprint(c.Op, " ", c.Name, " ", c.NewName)))
		}
		return nil
	})
	if code != fault.OK {
		t.Fatalf("%d: %s", code, why)
	}
	if got, want := treetest.Read(t, to), treetest.Read(t, from); got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
	return calls
}

// index returns where the first call from at on is that begins with op, or
// -1.
func index(calls []string, at int, op string) int {
	for i := at; i < len(calls); i++ {
		if strings.HasPrefix(calls[i]+" ", op+" ") {
			return i
		}
	}
	return -1
}

const (
	orderOld = "./ @5\na @6 =old\ngone @6 =x\nd/ 700 @6\n"
	orderNew = "./ @5\na @7 =new\nd/ 755 @6\nd/n @7 =n\nt/ @7\nt/u @7 =u\n"
)

func TestOrder(t *testing.T) {
	calls := recorded(t, orderOld, orderNew, false)
	t.Logf("%q", calls)
	opened := index(calls, 0, "SetTime") // the area is there
	written := index(calls, opened+1, "File.WriteAt")
	barrier := index(calls, written, "SyncFS")
	renamed := index(calls, written, "Rename")
	second := index(calls, renamed, "SyncFS")
	removed := index(calls, 0, "Remove gone")
	third := index(calls, removed, "SyncFS")
	gone := index(calls, removed, "RemoveDir .sync-directory")
	last := index(calls, gone, "Sync")
	steps := []int{opened, written, barrier, renamed, second, removed, third, gone, last}
	for i, at := range steps {
		if at < 0 || i > 0 && at <= steps[i-1] {
			t.Fatalf("the order is %v in %q", steps, calls)
		}
	}
	if r := index(calls[:removed], barrier, "File.WriteAt"); r > 0 {
		t.Errorf("written after the barrier: %s", calls[r])
	}
	// The root is last of all that changes.
	if n := index(calls, gone, "SetTime"); n < 0 || n > last {
		t.Errorf("the root's time is set at %d of %d", n, last)
	}
}

// Where a file system cannot be synced as a whole, everything that was
// renamed in is synced by itself before anything is removed.
func TestOrderPortable(t *testing.T) {
	calls := recorded(t, orderOld, orderNew, true)
	t.Logf("%q", calls)
	removed := index(calls, 0, "Remove gone")
	renamed := -1
	for i := index(calls, 0, "Rename"); i >= 0; i = index(calls, i+1, "Rename") {
		renamed = i
	}
	syncs := 0
	for _, c := range calls[renamed:removed] {
		if c == "Sync" {
			syncs++
		}
	}
	if renamed > removed || syncs < 4 { // of the root, d, t and the stage
		t.Errorf("%d directories are synced between what is renamed in and what is removed", syncs)
	}
	for i, c := range calls {
		if strings.HasPrefix(c, "File.WriteAt") {
			name := strings.Fields(c)[1]
			if s := index(calls, i, "File.Sync "+name); !strings.HasPrefix(name, tree.IDPrefix) && name != "pid" && (s < 0 || s > removed) {
				t.Errorf("%s is not synced", name)
			}
		}
	}
}

// Nothing to do costs no barrier and changes nothing for good.
func TestOrderNothing(t *testing.T) {
	calls := recorded(t, orderNew, orderNew, false)
	if n := strings.Count(strings.Join(calls, "\n"), "SyncFS"); n != 0 {
		t.Errorf("%d barriers in %q", n, calls)
	}
	calls = recorded(t, strings.Replace(orderNew, "@5", "@4", 1), orderNew, false)
	if at := index(calls, index(calls, 0, "RemoveDir .sync-directory"), "Sync"); at < 0 {
		t.Errorf("the root's time is not made durable in %q", calls)
	}
}

// A file with another name is never changed in place.
func TestHardLinks(t *testing.T) {
	outside := temp(t)
	to, from := filepath.Join(outside, "to"), temp(t)
	ok(t, os.Mkdir(to, 0o755))
	treetest.Make(t, from, "./ @5\na 600 @9 =same\nb 644 @6 =new\nc 600 @6 =touch")
	treetest.Make(t, to, "./ @5\na 644 @6 =same\nb 644 @6 =old!\nc 644 @6 =touch")
	for _, name := range []string{"a", "b", "c"} {
		ok(t, os.Link(filepath.Join(to, name), filepath.Join(outside, name)))
	}
	if code, why := mirror(t, from, to, false, nil); code != fault.OK {
		t.Fatalf("%d: %s", code, why)
	}
	got := treetest.Read(t, outside)
	for _, line := range []string{"\na 644 @6 =same\n", "\nb 644 @6 =old!\n", "\nc 644 @6 =touch\n", "\nto/a 600 @9 =same\n", "\nto/b 644 @6 =new\n", "\nto/c 600 @6 =touch\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no %q in\n%s", line, got)
		}
	}
}

// A file that has got another name since the scan is not changed in place either, nor is
// a link.
func TestHardLinksThatCome(t *testing.T) {
	for _, portable := range []bool{false, true} {
		outside := temp(t)
		to, from := filepath.Join(outside, "to"), temp(t)
		ok(t, os.Mkdir(to, 0o755))
		treetest.Make(t, from, "./ @5\na 600 @9 =same\nl >x @9")
		treetest.Make(t, to, "./ @5\na 644 @9 =same\nl >x @6")
		name := func(name string) { // once
			if _, err := os.Lstat(filepath.Join(outside, name)); err != nil {
				ok(t, os.Link(filepath.Join(to, name), filepath.Join(outside, name)))
			}
		}
		code, _ := mirror(t, from, to, portable, func(c dirfs.Call) error {
			if c.Op == "Open" && c.Name == "a" || c.Op == "SetLinkTime" && c.Name == "l" {
				name(c.Name)
			}
			return nil
		})
		if code != fault.Partial { // the link is named
			t.Errorf("code %d", code)
		}
		got := treetest.Read(t, outside)
		for _, line := range []string{"\na 644 @9 =same\n", "\nl >x @6\n", "\nto/a 600 @9 =same\n"} {
			if !strings.Contains(got, line) {
				t.Errorf("there is no %q in\n%s", line, got)
			}
		}
		if code, why := mirror(t, from, to, portable, nil); code != fault.OK {
			t.Errorf("the next run: %d: %s", code, why)
		}
	}
}

// A new directory that somebody has exchanged for another one, after it was installed and
// before it has its metadata: the other one keeps its own, and is not worked in.
func TestNewDirectoryIsReplaced(t *testing.T) {
	for _, portable := range []bool{false, true} {
		outside := temp(t)
		to, from := filepath.Join(outside, "to"), temp(t)
		ok(t, os.Mkdir(to, 0o755))
		treetest.Make(t, from, "./ @5\nn/ 755 @9\nn/sub/ 750 @9\nn/sub/f @9 =f")
		treetest.Make(t, outside, "theirs/ 700 @3\ntheirs/sub/ 700 @3\ntheirs/sub/f 600 @3 =theirs")
		done := false
		code, why := mirror(t, from, to, portable, func(c dirfs.Call) error {
			if _, err := os.Lstat(filepath.Join(to, "n")); err == nil && !done {
				done = true
				ok(t, os.Rename(filepath.Join(to, "n"), filepath.Join(outside, "saved")))
				ok(t, os.Rename(filepath.Join(outside, "theirs"), filepath.Join(to, "n")))
			}
			return nil
		})
		if code != fault.Partial || !done {
			t.Errorf("%v, code %d: %s", done, code, why)
		}
		for _, dir := range []string{"saved", "saved/sub"} {
			if info, err := os.Stat(filepath.Join(outside, dir)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s, which is outside now, was changed: %v", dir, err)
			}
		}
		got := treetest.Read(t, to)
		for _, line := range []string{"\nn/ 700 @3\n", "\nn/sub/ 700 @3\n", "\nn/sub/f 600 @3 =theirs\n"} {
			if !strings.Contains(got, line) {
				t.Errorf("there is no %q in\n%s", line, got)
			}
		}
	}
}

// What the system does not permit in a directory of ours is permitted for as
// long as it takes, and the directory ends as it shall be.
func TestPermission(t *testing.T) {
	from, to := temp(t), temp(t)
	treetest.Make(t, from, "./ @5\nd/ 555 @7\nd/new @7 =n\ne/ 755 @8\ne/s @7 =s")
	treetest.Make(t, to, "./ @5\nd/ 555 @6\nd/old @6 =o\ne/ 555 @6\ne/s @7 =s\ne/x @6 =x\nf/ 555 @6\nf/g/ 555 @6\nf/g/h @6 =h")
	parents := map[string]string{"new": "d", "old": "d", "x": "e", "g": "f", "h": "f/g"}
	before := func(c dirfs.Call) error {
		name := c.Name
		if c.NewName != "" {
			name = c.NewName
		}
		dir, is := parents[name]
		if !is || !c.Mutates || strings.HasPrefix(c.Op, "File.") {
			return nil
		}
		if info, err := os.Stat(filepath.Join(to, dir)); err == nil && info.Mode()&0o200 == 0 {
			return os.ErrPermission
		}
		return nil
	}
	if code, why := mirror(t, from, to, false, before); code != fault.OK {
		t.Errorf("%d: %s", code, why)
	}
	if got, want := treetest.Read(t, to), treetest.Read(t, from); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
