package apply_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// shed is a directory of some files that moves, at one path or another; what is
// in it is older than anybody may doubt.
func shed(path string) string {
	return strings.ReplaceAll(`
P/ 755 @6
P/f 600 @7 =one
P/l >f @7
P/s/ 700 @8
P/s/g @9 =two
P/s/e/ @9
`, "P", path)
}

// moving is a destination, and the session that moves in it.
type moving struct {
	*testing.T
	from, to string
	change

	mu    sync.Mutex // guards calls
	calls []string
}

func newMoving(t *testing.T, have, want string) *moving {
	t.Helper()
	m := &moving{T: t, from: temp(t), to: temp(t)}
	treetest.Make(t, m.from, want)
	treetest.Make(t, m.to, have)
	m.old, m.want = state(treetest.Read(t, m.to)), state(treetest.Read(t, m.from))
	return m
}

// mirror runs a session; before may be nil.
func (m *moving) mirror(portable bool, before func(dirfs.Call) error) (fault.Code, string) {
	m.Helper()
	return mirror(m.T, m.from, m.to, portable, func(c dirfs.Call) error {
		m.mu.Lock()
		if c.Mutates {
			m.calls = append(m.calls, strings.TrimSpace(fmt.Sprint(c.Op, " ", c.Name, " ", c.NewName)))
		}
		m.mu.Unlock()
		if before == nil {
			return nil
		}
		return before(c)
	})
}

// equal fails unless the destination is the source.
func (m *moving) equal() {
	m.Helper()
	if got, want := treetest.Read(m.T, m.to), treetest.Read(m.T, m.from); got != want {
		m.Errorf("got\n%swant\n%s", got, want)
	}
}

// legal fails unless every path is old or new, and everything of old that is to
// stay, wherever, is somewhere.
func (m *moving) legal(contents ...string) {
	m.Helper()
	text := treetest.Read(m.T, m.to)
	for _, w := range m.torn(text, false) {
		m.Error(w)
	}
	for _, c := range contents {
		if !strings.Contains(text, "="+c+"\n") {
			m.Errorf("%q is nowhere in\n%s", c, text)
		}
	}
}

func node(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	ok(t, err)
	return info
}

// TestMove moves a directory to where nothing is, into a new tree, out of one that
// goes, and onto what is of another type: it is one rename, and no file is made.
func TestMove(t *testing.T) {
	for _, c := range []struct {
		name, have, want string
		old, path        string
	}{
		{"renamed", shed("a"), shed("z"), "a", "z"},
		{"into one that is there", shed("a") + "d/x @5 =x\n", "d/x @5 =x\n" + shed("d/z"), "a", "d/z"},
		{"into a new tree", shed("a"), shed("n/m/z"), "a", "n/m/z"},
		{"out of one that goes", shed("d/a") + "d/x @5 =x\n", shed("z"), "d/a", "z"},
		{"out of one that stays", shed("d/a") + "d/x @5 =x\n", "d/x @5 =x\n" + shed("z"), "d/a", "z"},
		{"onto a file", shed("a") + "z @5 =old\n", shed("z"), "a", "z"},
		{"onto a link", shed("a") + "z >a @5\n", shed("z"), "a", "z"},
		{"onto a FIFO", shed("a") + "z other\n", shed("z"), "a", "z"},
		{"with a mode that forbids", strings.Replace(shed("a"), "a/ 755", "a/ 555", 1), strings.Replace(shed("z"), "z/ 755", "z/ 555", 1), "a", "z"},
		{"and gets another mode and time", shed("a"), strings.Replace(shed("z"), "z/ 755 @6", "z/ 500 @66", 1), "a", "z"},
		{"two of them", shed("a") + strings.ReplaceAll(shed("b"), "=one", "=other"), shed("y") + strings.ReplaceAll(shed("x"), "=one", "=other"), "a", "y"},
	} {
		for _, portable := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", portable ", portable), func(t *testing.T) {
				m := newMoving(t, "./ @5\n"+c.have, "./ @5\n"+c.want)
				before := node(t, filepath.Join(m.to, c.old))
				file := node(t, filepath.Join(m.to, c.old, "s/g"))
				code, why := m.mirror(portable, nil)
				if code != fault.OK {
					t.Fatalf("%d: %s", code, why)
				}
				m.equal()
				if !os.SameFile(before, node(t, filepath.Join(m.to, c.path))) || !os.SameFile(file, node(t, filepath.Join(m.to, c.path, "s/g"))) {
					t.Error("it is not the directory that was there")
				}
				if i := index(m.calls, index(m.calls, 0, "SetTime"), "Create"); i >= 0 {
					t.Errorf("%s", m.calls[i])
				}
			})
		}
	}
}

// TestMoveWithoutExchange moves onto a file where nothing can be swapped.
func TestMoveWithoutExchange(t *testing.T) {
	m := newMoving(t, "./ @5\n"+shed("a")+"z @5 =old\n", "./ @5\n"+shed("z"))
	code, why := m.mirror(false, func(c dirfs.Call) error {
		if c.Op == "Exchange" {
			return errors.ErrUnsupported
		}
		return nil
	})
	if code != fault.OK {
		t.Errorf("%d: %s", code, why)
	}
	m.equal()
}

// TestMoveAcross: where the system does not rename a directory, as on an overlay,
// a copy is built aside, made durable and renamed in; the old one goes with the
// rest.
func TestMoveAcross(t *testing.T) {
	for name, c := range map[string]struct{ have, want, old string }{
		"renamed":         {shed("a"), shed("z"), "a"},
		"into a new tree": {shed("a"), "n/x @5 =x\n" + shed("n/m/z"), "a"},
		"out of one":      {shed("d/a") + "d/x @5 =x\n", shed("z"), "a"},
		"onto a file":     {shed("a") + "z @5 =old\n", shed("z"), "a"},
		"two of them":     {shed("a") + strings.ReplaceAll(shed("b"), "=one", "=other"), shed("n/y") + strings.ReplaceAll(shed("n/x"), "=one", "=other"), "a"},
	} {
		for _, portable := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", portable ", portable), func(t *testing.T) {
				m := newMoving(t, "./ @5\n"+c.have, "./ @5\n"+c.want)
				code, why := m.mirror(portable, func(call dirfs.Call) error {
					if call.Op == "Rename" && (call.Name == c.old || call.Name == "b") {
						return &os.LinkError{Op: "rename", Old: call.Name, New: call.NewName, Err: syscall.EXDEV}
					}
					return nil
				})
				if code != fault.OK {
					t.Fatalf("%d: %s", code, why)
				}
				m.equal()
				m.aside()
			})
		}
	}
}

// aside fails unless files are made in the stage alone, and what is made is
// synced before it is renamed in.
func (m *moving) aside() {
	m.Helper()
	made := index(m.calls, index(m.calls, 0, "Rename"), "Create")
	if made < 0 {
		m.Fatalf("nothing was copied: %q", m.calls)
	}
	placed, synced := -1, -1
	for i := made; i < len(m.calls); i++ {
		switch op := strings.Fields(m.calls[i])[0]; {
		case op == "SyncFS" || op == "Sync":
			synced = i
		case op == "Rename" && placed < 0 && !strings.Contains(m.calls[i], " a ") && !strings.Contains(m.calls[i], " b "):
			placed = i
			if synced < 0 {
				m.Errorf("renamed in before it was synced: %q", m.calls[made:i+1])
			}
		}
	}
	if placed < 0 {
		m.Errorf("made in its place: %q", m.calls[made:])
	}
}

// TestMoveFails: what can not move stays where it is, is named, and nothing else
// suffers nor goes; the next run moves it.
func TestMoveFails(t *testing.T) {
	have := "./ @5\n" + shed("a") + strings.ReplaceAll(shed("b"), "=one", "=other") + "k @5 =old\ngone @5 =gone\n"
	want := "./ @5\n" + shed("n/m/y") + strings.ReplaceAll(shed("z"), "=one", "=other") + "k @6 =new\n"
	for _, c := range []struct {
		name  string
		fails func(dirfs.Call) bool
		err   error
		code  fault.Code
		path  string // that is named
	}{
		{"not permitted", func(c dirfs.Call) bool { return c.Op == "Rename" && c.Name == "a" }, os.ErrPermission, fault.Partial, "n/m/y"},
		{"its parent can not be made", func(c dirfs.Call) bool { return c.Op == "Rename" && c.NewName == "n" }, syscall.EIO, fault.Partial, "n/m/y"},
		{"its parent can not be begun", func(c dirfs.Call) bool { return c.Op == "Mkdir" && c.Name == "m" }, syscall.EIO, fault.Partial, "n/m/y"},
		{"the disk is read-only", func(c dirfs.Call) bool { return c.Op == "Rename" && c.Name == "a" }, syscall.EROFS, fault.Disk, "n/m/y"},
		{"a copy fails", func(c dirfs.Call) bool { return c.Op == "Create" && c.Name == "g" }, syscall.EIO, fault.Partial, "n/m/y/s/g"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMoving(t, have, want)
			m.moved = map[string]string{"a": "n/m/y", "b": "z"}
			code, why := m.mirror(false, func(call dirfs.Call) error {
				switch {
				case c.fails(call):
					return c.err
				case c.name == "a copy fails" && call.Op == "Rename" && call.Name == "a":
					return syscall.EXDEV
				}
				return nil
			})
			if code != c.code || !strings.Contains(why, c.path) {
				t.Errorf("%d, %s", code, why)
			}
			m.legal("one", "other", "two", "gone")
			if code, why := m.mirror(false, nil); code != fault.OK {
				t.Errorf("the next run: %d, %s", code, why)
			}
			m.equal()
		})
	}
}

// TestMoveOntoWhatCame has somebody put a directory where one moves to, after the
// scan: it is not replaced, and the one that moves stays.
func TestMoveOntoWhatCame(t *testing.T) {
	m := newMoving(t, "./ @5\n"+shed("a"), "./ @5\n"+shed("z"))
	came := filepath.Join(m.to, "z")
	code, why := m.mirror(false, func(c dirfs.Call) error {
		if c.Op == "Stat" && c.Name == "z" {
			return os.Mkdir(came, 0o700)
		}
		return nil
	})
	if code != fault.Partial || !strings.Contains(why, "z: ") {
		t.Errorf("%d, %s", code, why)
	}
	if entries, err := os.ReadDir(came); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	node(t, filepath.Join(m.to, "a/s/g"))
	if code, why := m.mirror(false, nil); code != fault.OK {
		t.Errorf("the next run: %d, %s", code, why)
	}
	m.equal()
}

// TestMoveIsNotPermitted denies to move a directory that may not be written, as the
// system does, since its entry ".." changes: it is permitted for as long as it takes.
func TestMoveIsNotPermitted(t *testing.T) {
	closed := func(path string) string { return strings.Replace(shed(path), path+"/ 755", path+"/ 555", 1) }
	m := newMoving(t, "./ @5\n"+closed("a"), "./ @5\n"+closed("z"))
	code, why := m.mirror(false, func(c dirfs.Call) error {
		if c.Op == "Rename" && c.Name == "a" && node(t, filepath.Join(m.to, "a")).Mode()&0o200 == 0 {
			return os.ErrPermission
		}
		return nil
	})
	if code != fault.OK {
		t.Errorf("%d, %s", code, why)
	}
	m.equal()
}

// TestMoveInterrupted is stopped between one move and the next.
func TestMoveInterrupted(t *testing.T) {
	have := "./ @5\n" + shed("a") + strings.ReplaceAll(shed("b"), "=one", "=other") + "z @5 =old\ngone @5 =gone\n"
	want := "./ @5\n" + shed("y") + strings.ReplaceAll(shed("z"), "=one", "=other")
	for _, at := range []string{"Rename a", "Rename b", "Exchange", "Create"} {
		t.Run(at, func(t *testing.T) {
			m := newMoving(t, have, want)
			m.moved = map[string]string{"a": "y", "b": "z"}
			ctx, stop := context.WithCancel(t.Context())
			moves := false
			code, why := mirrorUntil(ctx, t, m.from, m.to, false, func(c dirfs.Call) error {
				moves = moves || c.Op == "Rename" && c.Name == "a"
				if moves && strings.HasPrefix(c.Op+" "+c.Name, at) {
					stop()
				}
				if at == "Create" && c.Op == "Rename" && c.Name == "a" {
					return syscall.EXDEV
				}
				return nil
			})
			stop()
			if code != fault.Interrupted || strings.Contains(why, "; move") {
				t.Errorf("%d, %s", code, why)
			}
			m.legal("one", "other", "two", "gone", "old")
			if code, why := m.mirror(false, nil); code != fault.OK {
				t.Errorf("the next run: %d, %s", code, why)
			}
			m.equal()
		})
	}
}

// TestMoveKilledAfterTheSwap ends a run when a directory and the file in its place have
// been swapped, and nothing else can be done: the file has the name of the directory in
// the stage, and the next run keeps it until the removals.
func TestMoveKilledAfterTheSwap(t *testing.T) {
	m := newMoving(t, "./ @5\n"+shed("a")+"z @5 =old\n", "./ @5\n"+shed("z"))
	swapped := false
	if code, why := m.mirror(false, func(c dirfs.Call) error {
		if swapped && c.Mutates {
			return syscall.EIO
		}
		swapped = swapped || c.Op == "Exchange"
		return nil
	}); code == fault.OK || !swapped {
		t.Fatalf("%d, %s", code, why)
	}
	m.legal("one", "two", "old")
	removing := false
	if code, why := m.mirror(false, func(c dirfs.Call) error {
		// What is displaced is cleared first of all that is removed.
		if removing = removing || c.Op == "Remove" && strings.Contains(c.Name, "-moves"); removing && c.Mutates {
			return syscall.EIO
		}
		return nil
	}); code == fault.OK || !removing {
		t.Errorf("the file was cleared with the stage: %d, %s", code, why)
	}
	m.legal("one", "two", "old")
	if code, why := m.mirror(false, nil); code != fault.OK {
		t.Errorf("the last run: %d, %s", code, why)
	}
	m.equal()
}

// TestMoveIsPutBack moves onto a file that does not make way: both are where they
// were.
func TestMoveIsPutBack(t *testing.T) {
	for _, swaps := range []bool{true, false} {
		t.Run(fmt.Sprint(swaps), func(t *testing.T) {
			m := newMoving(t, "./ @5\n"+shed("a")+"z @5 =old\n", "./ @5\n"+shed("z"))
			failed := false
			code, why := m.mirror(false, func(c dirfs.Call) error {
				switch {
				case c.Op == "Exchange" && !swaps:
					return errors.ErrUnsupported
				case !failed && (c.Op == "Exchange" || c.Op == "Rename" && c.NewName == "z"):
					failed = true
					return syscall.EIO
				}
				return nil
			})
			if code == fault.OK || !strings.Contains(why, "z: input/output error") {
				t.Errorf("%d, %s", code, why)
			}
			now := state(treetest.Read(t, m.to))
			for path, was := range m.old {
				if now[path] != was {
					t.Errorf("%s is %q, was %q", path, now[path], was)
				}
			}
			if code, why := m.mirror(false, nil); code != fault.OK {
				t.Errorf("the next run: %d, %s", code, why)
			}
			m.equal()
		})
	}
}
