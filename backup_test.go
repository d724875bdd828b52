package syncdirectory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/dirfs"
)

// TestBackup saves what is replaced or removed, each kind of it.
func TestBackup(t *testing.T) {
	for name, c := range map[string]struct {
		have, want, before []string // before is what the backup has
		after              []string
	}{
		"nothing to save":    {have: []string{"a=x"}, want: []string{"a=x", "b=new"}},
		"replaced":           {have: []string{"d/a=old!", "large=OTHER"}, want: []string{"d/a=new", "large=LARGE"}, after: []string{"d/a=old!", "large=OTHER"}},
		"removed":            {have: []string{"d/e/a=1", "d/e/empty/", "b=2", "l->x", "stays="}, want: []string{"stays="}, after: []string{"d/e/a=1", "d/e/empty/", "b=2", "l->x"}},
		"a link":             {have: []string{"l->old", "stays="}, want: []string{"l->new", "stays="}, after: []string{"l->old"}},
		"file to directory":  {have: []string{"d/x=file"}, want: []string{"d/x/in=dir"}, after: []string{"d/x=file"}},
		"directory to file":  {have: []string{"d/x/y/in=dir", "d/x/z/"}, want: []string{"d/x=file"}, after: []string{"d/x/y/in=dir", "d/x/z/"}},
		"link to directory":  {have: []string{"x->y"}, want: []string{"x/in=dir"}, after: []string{"x->y"}},
		"directory to link":  {have: []string{"x/in=dir"}, want: []string{"x->y"}, after: []string{"x/in=dir"}},
		"a later version":    {have: []string{"d/a=second"}, want: []string{"d/a=third"}, before: []string{"d/a=first", "other=kept"}, after: []string{"d/a=second", "other=kept"}},
		"a link in the way":  {have: []string{"d/a=old!"}, want: []string{"d/a=new"}, before: []string{"d->/etc"}, after: []string{"d->/etc", "d.~1~/a=old!"}},
		"a directory":        {have: []string{"a=old!", "stays="}, want: []string{"a=new", "stays="}, before: []string{"a/b=1", "a.~1~/b=2"}, after: []string{"a/b=1", "a.~1~/b=2", "a.~2~=old!"}},
		"a file in the way":  {have: []string{"a/b=old!", "a/c=old!"}, want: []string{"a/"}, before: []string{"a=1"}, after: []string{"a=1", "a.~1~/b=old!", "a.~1~/c=old!"}},
		"a removed one more": {have: []string{"d/new=2", "stays="}, want: []string{"stays="}, before: []string{"d/old=1"}, after: []string{"d/old=1", "d/new=2"}},
		"what moves":         {have: []string{"moves/f=moved", "moves/sub/g=below", "name=" + longer}, want: []string{"place/moved/f=moved", "place/moved/sub/g=below", "dir/renamed=" + longer}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to, saved, expected := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved"), filepath.Join(dir, "expected")
			for path, entries := range map[string][]string{from: c.want, to: c.have, expected: c.after} {
				grow(t, path, entries...)
				age(t, path, aged)
			}
			if c.before != nil {
				grow(t, saved, c.before...)
			}
			r, err := Local(t.Context(), &Sender{Dir: from, Links: true}, &Receiver{Dir: to, BackupDir: saved})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := read(t, to), read(t, from); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if name == "what moves" && r.Changes.Reused != 3 {
				t.Errorf("%d files move", r.Changes.Reused)
			}
			if c.after == nil {
				if _, err := os.Lstat(saved); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the backup is there, and nothing is in it: %v", err)
				}
				return
			}
			if got, want := read(t, saved), read(t, expected); !maps.Equal(got, want) {
				t.Errorf("saved %v, expected %v", got, want)
			}
			if _, err := os.Lstat(filepath.Join(saved, ".sync-directory")); err == nil {
				t.Error(".sync-directory is left")
			}
		})
	}
}

// What is saved keeps its time and permission, and a file whose content others can
// change by another name is copied.
func TestBackupKeepsWhatWas(t *testing.T) {
	dir := t.TempDir()
	from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
	grow(t, from, "a=new", "stays=")
	grow(t, to, "a=old!", "gone/b=b", "shared=s", "stays=")
	when := time.Unix(1e9, 5000)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "gone/b", "shared", "gone"} {
		must(os.Chmod(filepath.Join(to, name), 0o750))
		must(os.Chtimes(filepath.Join(to, name), when, when))
	}
	must(os.Link(filepath.Join(to, "shared"), filepath.Join(dir, "outside")))
	_, err := Local(t.Context(), &Sender{Dir: from}, &Receiver{Dir: to, BackupDir: saved})
	must(err)
	for _, name := range []string{"a", "gone/b", "shared", "gone"} {
		info, err := os.Stat(filepath.Join(saved, name))
		must(err)
		if info.Mode().Perm() != 0o750 || !info.ModTime().Equal(when) {
			t.Errorf("%s is saved with %v, %v", name, info.Mode(), info.ModTime())
		}
	}
	must(os.WriteFile(filepath.Join(dir, "outside"), []byte("edited"), 0o644))
	if b, err := os.ReadFile(filepath.Join(saved, "shared")); string(b) != "s" {
		t.Errorf("what is saved changes with another name of it: %q %v", b, err)
	}
}

// mirrorSaving is mirrorFaulty with a backup, whose calls go the same way.
func mirrorSaving(t *testing.T, from, to, saved string, before func(dirfs.Call) error) (Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := (&Sender{Dir: from, Links: true}).open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	r := &taker{Receiver: Receiver{Dir: to, BackupDir: saved}}
	if r.path, err = r.prepare(); err != nil {
		t.Fatal(err)
	}
	r.Options = r.withDefaults(2)
	if r.root, err = dirfs.OpenRoot(r.path, dirfs.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := r.enter(r.path); err != nil {
		t.Fatal(err)
	}
	// From here on calls can fail.
	for _, root := range []*dirfs.Dir{&r.root, &r.backup.root} {
		*root = dirfs.Inject(*root, before)
	}
	if err := errors.Join(r.area.Leave(r.area.Root.MTime), r.backup.leave()); err != nil {
		t.Fatal(err)
	}
	r.area = nil
	if err := r.work(); err != nil {
		return Result{Code: CodeOf(err)}, errors.Join(err, r.close())
	}
	result, err := local(ctx, s, r)
	result, err = closing(r, result, err)
	if ctx.Err() != nil {
		t.Fatalf("hangs: %v", err)
	}
	return result, err
}

// TestEveryFailingCallWithBackup lets one call after the other fail, alone or with all
// that come after it, as if the process had been killed: at every instant all old
// content is in its place or saved, in full, and the next run heals.
func TestEveryFailingCallWithBackup(t *testing.T) {
	memory, step := "/dev/shm", 3
	if probe, err := os.MkdirTemp(memory, ""); err != nil || os.Remove(probe) != nil {
		memory, step = t.TempDir(), 9
	}
	if testing.Short() || raceDetector {
		step = 23
	}
	errs := []error{syscall.EIO, syscall.EACCES, syscall.ENOSPC, syscall.EXDEV}
	for at := 1 + int(time.Now().UnixNano()>>10)%step; ; at += step {
		dir, err := os.MkdirTemp(memory, "saving")
		if err != nil {
			t.Fatal(err)
		}
		from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
		grow(t, from, faultyWant...)
		grow(t, to, faultyHave...)
		grow(t, saved, "changed=first", "extra=file")
		age(t, from, aged)
		age(t, to, aged)
		before, want := read(t, to), read(t, from)
		f := &faults{of: func(dirfs.Call) bool { return true }, at: at, err: errs[at%len(errs)], after: at%2 == 0}
		result, err := mirrorSaving(t, from, to, saved, f.before)
		nothingLost(t, before, read(t, to), read(t, saved), displaced(t, to))
		t.Logf("%d: %+v %v and all after it %v: %v %v", at, f.hit, f.err, f.after, result.Code, err)
		if result.Code == OK && fmt.Sprint(read(t, to)) != fmt.Sprint(want) {
			t.Errorf("success, but not equal")
		}
		if _, err := mirrorSaving(t, from, to, saved, func(dirfs.Call) error { return nil }); err != nil {
			t.Errorf("next run: %v", err)
		}
		got := read(t, to)
		nothingLost(t, before, got, read(t, saved), nil)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("next run: not equal")
		}
		for _, d := range []string{to, saved} {
			if _, err := os.Lstat(filepath.Join(d, ".sync-directory")); err == nil {
				t.Errorf("next run: %s/.sync-directory is left", filepath.Base(d))
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("call %d: %+v %v", at, f.hit, f.err)
		}
		if f.hit.Op == "" {
			t.Logf("%d calls", at-1)
			return
		}
	}
}

// displaced returns what a run has displaced and not removed.
func displaced(t *testing.T, to string) map[string]bool {
	contents := make(map[string]bool)
	dir := filepath.Join(to, ".sync-directory", "displaced")
	if _, err := os.Lstat(dir); err == nil {
		for _, is := range read(t, dir) {
			contents[is] = true
		}
	}
	return contents
}

// nothingLost reports what was there before and is neither in its place nor saved, nor
// displaced. What moves is where it moves to.
func nothingLost(t *testing.T, before, now, saved map[string]string, displaced map[string]bool) {
	t.Helper()
	for path, is := range before {
		if is == "dir" || now[path] == is || displaced[is] || saved[path] == is || hasMoved(before, now, path) || path == "name" {
			continue
		}
		if rest, ok := strings.CutPrefix(path, "extra/"); ok && saved["extra.~1~/"+rest] == is {
			continue
		}
		t.Errorf("%s is lost: it was %.30q, is %.30q, saved is %.30q", path, is, now[path], saved[path])
	}
}

// TestBackupOrder shows that what is saved is durable before anything goes.
func TestBackupOrder(t *testing.T) {
	dir := t.TempDir()
	from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
	grow(t, from, "a=new", "type=file", "stays=")
	grow(t, to, "a=old!", "gone/b=b", "type/c=c", "stays=")
	var mu sync.Mutex
	var calls []string
	_, err := mirrorSaving(t, from, to, saved, func(c dirfs.Call) error {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, strings.TrimSpace(c.Op+" "+c.Name+" "+c.NewName))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	at := func(from int, prefix, suffix string) int {
		for i := from; i < len(calls); i++ {
			if strings.HasPrefix(calls[i], prefix) && strings.HasSuffix(calls[i], suffix) {
				return i
			}
		}
		t.Fatalf("no %s … %s in %q", prefix, suffix, calls[from:])
		return 0
	}
	for _, c := range []struct{ saved, goes, as string }{{"Link a a", "Rename ", " a"}, {"Link b b", "Remove b", ""}, {"Link c c", "Remove c", ""}} {
		linked := at(0, c.saved, "")
		if barrier, gone := at(linked, "SyncFS", ""), at(0, c.goes, c.as); gone < barrier {
			t.Errorf("%s comes before what was saved is durable: %q", calls[gone], calls[linked:barrier+1])
		}
	}
}
