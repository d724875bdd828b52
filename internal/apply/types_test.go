package apply_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/fault"
	"github.com/sync-directory/sync-directory/internal/tree"
	"github.com/sync-directory/sync-directory/internal/tree/treetest"
)

// kinds are what can be at a path P, in a version V.
var kinds = map[string]string{
	"nothing": "",
	"file":    "P @V =V-of-P\n",
	"empty":   "P/ 755 @V\n",
	"full":    "P/ 700 @V\nP/x/ 755 @V\nP/x/y @V =V-y-of-P\nP/z @V =V-z-of-P\nP/l >V @V\n",
	"closed":  "P/ 555 @V\nP/w @V =V-w-of-P\n",
	"link":    "P >V-of-P @V\n",
	"fifo":    "P other\n",
}

// pairs returns trees in which each kind is to become each other, at a path that says so.
func pairs() (old, want string) {
	old, want = "./ @5\nkeep @5 =kept\n", "./ @5\nkeep @5 =kept\n"
	for from, was := range kinds {
		for to, is := range kinds {
			if to == "fifo" { // which is not mirrored
				continue
			}
			path := from + "-" + to
			old += strings.NewReplacer("P", path, "V", "6").Replace(was)
			want += strings.NewReplacer("P", path, "V", "7").Replace(is)
		}
	}
	return old, want
}

// below returns what is at a path and below it.
func below(all map[string]string, top string) map[string]string {
	found := make(map[string]string)
	for path, is := range all {
		if rest, ok := strings.CutPrefix(path+"/", top+"/"); ok {
			found[rest] = is
		}
	}
	return found
}

// mixed reports what is wrong with a path at which something of kind from is to become
// something of kind to: it is the old one or the new one as a whole, but for directories
// that stay and those that are being removed. Where two cannot be swapped, it may be
// missing for as long as it is whole aside.
func mixed(now, old, want map[string]string, from, to string, swaps bool) string {
	path := from + "-" + to
	is, was, shall := below(now, path), below(old, path), below(want, path)
	switch dir := map[string]bool{"empty": true, "full": true, "closed": true}; {
	case maps.Equal(is, was) || maps.Equal(is, shall):
		return ""
	case dir[from] && (dir[to] || to == "nothing"):
		for p, what := range is {
			if what != was[p] && what != shall[p] {
				return fmt.Sprintf("%s/%s is %q", path, p, what)
			}
		}
		return ""
	case len(is) == 0 && !swaps:
		for at := range now {
			if dir := tree.Reserved + "/displaced"; filepath.Dir(at) == dir && maps.Equal(below(now, at), was) {
				return ""
			}
		}
	}
	return fmt.Sprintf("%s is %q", path, is)
}

// TestEveryTypeIntoEveryOther changes the type of everything, with both implementations,
// where two entries can be swapped and where not, and ends the run at every call: the
// path is old or new, and the next run, which ends it, leaves nothing behind.
func TestEveryTypeIntoEveryOther(t *testing.T) {
	step := 7
	if testing.Short() {
		step = 37
	}
	old, want := pairs()
	for _, portable := range []bool{false, true} {
		for _, swaps := range []bool{true, false} {
			t.Run(fmt.Sprintf("portable %v, swaps %v", portable, swaps), func(t *testing.T) {
				for end := 1 + rand.IntN(step); endsAt(t, old, want, portable, swaps, end); end += step {
				}
			})
		}
	}
}

// TestTypesOnLayers changes the type of directories that the system does not rename, as an
// overlay does not: what is in them is moved one by one.
func TestTypesOnLayers(t *testing.T) {
	old, want := pairs()
	dir := func(name string) bool {
		from, _, _ := strings.Cut(name, "-")
		return from == "empty" || from == "full" || from == "closed" || name == "x"
	}
	m := newMoving(t, old, want)
	refused := 0
	code, why := m.mirror(false, func(c dirfs.Call) error {
		if c.Op == "Exchange" && dir(c.NewName) || c.Op == "Rename" && dir(c.Name) {
			refused++
			return syscall.EXDEV
		}
		return nil
	})
	if code != fault.OK || refused == 0 {
		t.Fatalf("%d, %s; %d calls were refused", code, why, refused)
	}
	m.equal()
}

// TestTypesOnLayersFail has one call fail while what makes way is moved entry by entry: it
// comes back, and the next run does it.
func TestTypesOnLayersFail(t *testing.T) {
	old, want := "./ @5\nd/ 755 @6\nd/a @6 =a\nd/n/ 755 @6\nd/n/b @6 =b\nd/n/c @6 =c\n", "./ @5\nd @7 =file\n"
	for fails := 1; ; fails++ {
		m := newMoving(t, old, want)
		calls, hit := 0, false
		lower := map[string]bool{"d": true, "n": true} // of which copies are in the upper layer
		code, why := m.mirror(false, func(c dirfs.Call) error {
			switch {
			case c.Op == "Exchange":
				return syscall.EXDEV
			case c.Op == "Rename" && lower[c.Name]:
				lower[c.Name] = false
				return syscall.EXDEV
			case c.Op == "Rename", c.Op == "RemoveDir" && (c.Name == "d" || c.Name == "n"):
				if calls++; calls == fails {
					hit = true
					return syscall.EIO
				}
			}
			return nil
		})
		now := everything(treetest.Read(t, m.to))
		if is := below(now, "d"); !maps.Equal(is, below(m.want, "d")) {
			for path, what := range below(m.old, "d") {
				if is[path] != what {
					t.Errorf("call %d: %d, %s: %q was %q; there is %v", fails, code, why, path, what, is)
				}
			}
		}
		if code, why := m.mirror(false, nil); code != fault.OK {
			t.Errorf("call %d: the next run ends with %d, %s", fails, code, why)
		}
		m.equal()
		if t.Failed() {
			t.FailNow()
		}
		if !hit {
			return
		}
	}
}

// endsAt lets nothing be changed from the end-th call on, and reports whether there are
// so many.
func endsAt(t *testing.T, have, want string, portable, swaps bool, end int) bool {
	m := newMoving(t, have, want)
	var mu sync.Mutex
	calls, hit := 0, ""
	code, why := m.mirror(portable, func(c dirfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Mutates {
			calls++
		}
		switch {
		case c.Mutates && calls >= end:
			if hit == "" {
				hit = fmt.Sprintf("call %d, %s %q %q", end, c.Op, c.Name, c.NewName)
			}
			return syscall.EIO
		case c.Op == "Exchange" && !swaps:
			return errors.ErrUnsupported
		}
		return nil
	})
	if hit == "" && code != fault.OK {
		t.Fatalf("undisturbed: %d, %s", code, why)
	}
	text := treetest.Read(t, m.to)
	now := everything(text)
	for from := range kinds {
		for to := range kinds {
			if wrong := mixed(now, m.old, m.want, from, to, swaps && !portable); wrong != "" {
				t.Errorf("%s: %s in\n%s", hit, wrong, text)
			}
		}
	}
	if code, why := m.mirror(portable, nil); code != fault.OK {
		t.Errorf("%s: the next run ends with %d, %s", hit, code, why)
	}
	m.equal()
	if t.Failed() {
		t.FailNow()
	}
	if hit == "" {
		t.Logf("%d calls", calls)
	}
	return hit != ""
}
