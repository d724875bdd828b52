package apply_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/receiver"
	"github.com/sync-directory/sync-directory/internal/report"
	"github.com/sync-directory/sync-directory/internal/sender"
	"github.com/sync-directory/sync-directory/internal/stage"
	"github.com/sync-directory/sync-directory/internal/transport"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
	"github.com/sync-directory/sync-directory/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// temp returns a directory in memory where there is one: the tests sync.
func temp(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "apply")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { wipe(dir) })
	return dir
}

// wipe removes a directory in which some may not be written to.
func wipe(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// mirror makes the directory to equal from in a whole session, whose calls on
// to go through before, and returns how it ended.
func mirror(t testing.TB, from, to string, portable bool, before func(dirfs.Call) error) (fault.Code, string) {
	t.Helper()
	return mirrorUntil(t.Context(), t, from, to, portable, before)
}

// mirrorUntil is mirror until ctx ends.
func mirrorUntil(ctx context.Context, t testing.TB, from, to string, portable bool, before func(dirfs.Call) error) (fault.Code, string) {
	t.Helper()
	source, err := dirfs.OpenRoot(from, dirfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	root, err := dirfs.OpenRoot(to, dirfs.Options{Portable: portable})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if before != nil {
		root = dirfs.Inject(root, before)
	}
	area, err := stage.Open(root, stage.Options{})
	if err != nil {
		return fault.Path, err.Error()
	}
	empty, err := area.Empty()
	if err != nil {
		return fault.Path, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	a, b := transport.Pipe(4)
	id := []byte("0123456789abcdef")
	hello := &wire.Hello{Role: wire.Role_RECEIVER, Session: id, Destination: &wire.Destination{Id: area.ID[:], Empty: empty, Canon: wire.NewCanon(area.Canon)}}
	quiet, sent, got := slog.New(slog.DiscardHandler), report.NewProblems(nil), report.NewProblems(nil)
	var serr error
	var wg sync.WaitGroup
	wg.Go(func() {
		h := dirfs.NewHandles(source, 8)
		defer h.Close()
		_, serr = sender.Run(ctx, a, hello, h, sender.Options{Links: true, Transfers: 1, Checkers: 1, Log: quiet, Counters: new(report.Counters), Problems: sent})
	})
	h := dirfs.NewHandles(root, 8)
	_, err = receiver.Run(ctx, b, &wire.Hello{Role: wire.Role_SENDER}, receiver.Destination{Area: area, Handles: h, Empty: empty}, receiver.Options{Transfers: 1, Checkers: 1, Log: quiet, Counters: new(report.Counters), Problems: got})
	wg.Wait()
	h.Close()
	if !area.Gone() {
		err = errors.Join(err, area.Leave(area.Root.MTime))
	}
	why := fmt.Sprint(err, " / sender: ", serr)
	problems, _ := got.All()
	for _, p := range problems {
		why += "; " + p.String()
	}
	code, theirs := fault.Worse(fault.Of(err, 99), got.Code()), fault.Worse(fault.Of(serr, 99), sent.Code())
	if (code == fault.OK) != (theirs == fault.OK) {
		t.Errorf("the receiver ends with %d, the sender with %d: %s", code, theirs, why)
	}
	return code, why
}

// Old and wanted hold one of everything that a plan can say.
const (
	oldTree = `
./ 755 @5
keep @6 =kept
replace @6 =old
longer @6 =old
touch 600 @6 =touched
verify @6 =same
differs @6 =abc
dir/ 700 @6
dir/in @6 =in
dir/gone @6 =gone
file-to-dir @6 =file
dir-to-file/ @6
dir-to-file/x/y @6 =displaced-y
dir-to-link/ 555 @6
dir-to-link/z @6 =displaced-z
link-to-file >keep @6
link >keep @6
extra @6 =extra
extras/ 555 @6
extras/a/b @6 =b
extras/c @6 =c
fifo other
hard @6 =hard
moves/ 700 @6
moves/in @6 =moves
moves/deep/f @7 =deep
onto/ 755 @6
onto/in @6 =onto
to-move @6 =displaced-m
stay/ 755 @6
stay/in @6 =staying
renamed @6 +300
swap1 @6 +400
swap2 @6 +500
`
	newTree = `
./ 750 @7
keep @6 =kept
replace @7 =new
longer @7 =longer-than-before
touch 644 @6 =touched
verify @7 =same
differs @7 =xyz
dir/ 755 @7
dir/in @6 =in
dir/new @7 =new
file-to-dir/ 555 @7
file-to-dir/inside @7 =inside
dir-to-file @7 =file
dir-to-link >keep @7
link-to-file @7 =file
link >replace @7
fresh/ 555 @7
fresh/a/ 700 @7
fresh/a/b @7 =b
fresh/link >a/b @7
fifo @7 =file
hard 600 @6 =hard
fresh/moved/ 555 @7
fresh/moved/in @6 =moves
fresh/moved/deep/f @7 =deep
to-move/ 755 @6
to-move/in @6 =onto
stay/ 755 @6
stay/in @6 =staying
copy/ 700 @8
copy/in @6 =staying
dir/renamed @6 +300
swap2 @6 +400
swap1 @6 +500
`
)

// moved says which directories of the old tree are where in the new one.
var moved = map[string]string{"moves": "fresh/moved", "onto": "to-move"}

// state is what is at each path, without metadata.
func state(text string) map[string]string {
	m := everything(text)
	for path := range m {
		if strings.HasPrefix(path, tree.Reserved) {
			delete(m, path)
		}
	}
	return m
}

// everything is state with what the receiver has of its own.
func everything(text string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		path, dir := strings.CutSuffix(w[0], "/")
		what := w[len(w)-1]
		switch {
		case dir:
			what = "directory"
		case len(w) == 3 && strings.HasPrefix(w[1], ">"):
			what = w[1]
		}
		m[path] = what
	}
	return m
}

// change is what a session shall do.
type change struct {
	old, want map[string]string
	moved     map[string]string // directories: where they were, and where they go
	displaced []string          // contents that wait to be removed
}

// hasMoved reports whether what was at a path is, whole, at the one that it goes
// to; or has just gone where one call swaps it with what is there.
func (c *change) hasMoved(text, path string) bool {
	all := everything(text)
	for from, to := range c.moved {
		rest, below := strings.CutPrefix(path+"/", from+"/")
		if !below {
			continue
		}
		if now := all[strings.TrimSuffix(to+"/"+rest, "/")]; now == c.old[path] {
			return true
		}
		for at, now := range all {
			aside := strings.HasPrefix(at, tree.Reserved+"/displaced/") || strings.HasPrefix(at, tree.Reserved+"/stage/") // which the next run takes up
			if aside && strings.HasSuffix(at+"/", "/"+rest) && now == c.old[path] {
				return true
			}
		}
	}
	return false
}

// torn returns what is neither old nor new, or was removed too early: before
// all was complete, or at all where it was installing that failed. What has moved
// was not removed.
func (c *change) torn(text string, installing bool) (wrong []string) {
	old, want := c.old, c.want
	now := state(text)
	complete, removed := true, ""
	for path := range union(now, old, want) {
		if now[path] != old[path] && now[path] != want[path] {
			wrong = append(wrong, fmt.Sprintf("%s is %q, was %q, shall be %q", path, now[path], old[path], want[path]))
		}
		if w, ok := want[path]; ok && now[path] != w {
			complete = false
		}
		top, _, _ := strings.Cut(path, "/")
		if _, displaced := want[top]; old[path] != "" && want[path] == "" && now[path] == "" && (!displaced || top == "dir") && !c.hasMoved(text, path) {
			removed = path
		}
	}
	for _, content := range c.displaced {
		if !strings.Contains(text, "="+content+"\n") {
			removed = content
		}
	}
	if removed != "" && (!complete || installing) {
		wrong = append(wrong, removed+" was removed before everything new was there")
	}
	return wrong
}

func union(maps ...map[string]string) map[string]bool {
	all := make(map[string]bool)
	for _, m := range maps {
		for k := range m {
			all[k] = true
		}
	}
	return all
}

// Whatever fails, once or from then on, every path is old or new, nothing
// goes too early, and the next run heals it.
func TestEveryCallFails(t *testing.T) {
	from := filepath.Join(temp(t), "from")
	ok(t, os.Mkdir(from, 0o755))
	treetest.Make(t, from, newTree)
	wanted := treetest.Read(t, from)
	for _, v := range []struct {
		name     string
		portable bool
		then     bool // everything that changes something fails from then on
		err      error
	}{
		{"an error", false, false, syscall.EIO},
		{"a full disk", false, false, syscall.ENOSPC},
		{"the end", false, true, syscall.EIO},
		{"an error, portable", true, false, syscall.EIO},
	} {
		t.Run(v.name, func(t *testing.T) {
			for n := 1; ; n++ {
				outside := temp(t)
				to := filepath.Join(outside, "to")
				ok(t, os.Mkdir(to, 0o755))
				treetest.Make(t, to, oldTree)
				ok(t, os.Link(filepath.Join(to, "hard"), filepath.Join(outside, "hard")))
				ok(t, os.Chmod(filepath.Join(outside, "hard"), 0o644))
				old := state(treetest.Read(t, to))
				var mu sync.Mutex
				calls, hit, made := 0, "", make(map[string]int)
				code, why := mirror(t, from, to, v.portable, func(c dirfs.Call) error {
					mu.Lock()
					defer mu.Unlock()
					if !c.Mutates {
						return nil
					}
					made[c.Op]++
					if calls++; calls == n || calls > n && v.then {
						if hit == "" {
							hit = fmt.Sprintf("call %d, %s %q %q", n, c.Op, c.Name, c.NewName)
						}
						return v.err
					}
					return nil
				})
				if hit == "" {
					for _, op := range []string{"Rename", "Link", "Exchange", "File.CopyFrom"} {
						if made[op] == 0 {
							t.Errorf("%s is not called", op)
						}
					}
					if code != fault.OK {
						t.Errorf("without a fault: %d, %s", code, why)
					}
					t.Logf("%d calls", n-1)
					return
				}
				now := treetest.Read(t, to)
				installing := strings.Contains(hit, "Rename") || strings.Contains(hit, "Exchange")
				for _, w := range (&change{old: old, want: state(wanted), moved: moved, displaced: []string{"displaced-y", "displaced-z", "displaced-m"}}).torn(now, installing) {
					t.Errorf("%s: %s (%d, %s)", hit, w, code, why)
				}
				if code == fault.OK && now != wanted {
					t.Errorf("%s: success, but there is\n%s", hit, now)
				}
				if code, why := mirror(t, from, to, v.portable, nil); code != fault.OK {
					t.Errorf("%s: the next run ends with %d, %s", hit, code, why)
				}
				if now := treetest.Read(t, to); now != wanted {
					t.Errorf("%s: after the next run there is\n%s", hit, now)
				}
				if got := treetest.Read(t, outside); !strings.Contains(got, "\nhard 644 @6 =hard\n") {
					t.Errorf("%s: the other name of a file has changed:\n%s", hit, got)
				}
				ok(t, wipe(outside))
				if t.Failed() {
					return
				}
			}
		})
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
