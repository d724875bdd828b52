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
	"sync/atomic"
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
		"nothing to save":   {have: []string{"a=x"}, want: []string{"a=x", "b=new"}},
		"replaced":          {have: []string{"d/a=old!", "large=OTHER"}, want: []string{"d/a=new", "large=LARGE"}, after: []string{"d/a=old!", "large=OTHER"}},
		"removed":           {have: []string{"d/e/a=1", "d/e/empty/", "b=2", "l->x", "stays="}, want: []string{"stays="}, after: []string{"d/e/a=1", "d/e/empty/", "b=2", "l->x"}},
		"a link":            {have: []string{"l->old", "stays="}, want: []string{"l->new", "stays="}, after: []string{"l->old"}},
		"file to directory": {have: []string{"d/x=file"}, want: []string{"d/x/in=dir"}, after: []string{"d/x=file"}},
		"directory to file": {have: []string{"d/x/y/in=dir", "d/x/z/"}, want: []string{"d/x=file"}, after: []string{"d/x/y/in=dir", "d/x/z/"}},
		"link to directory": {have: []string{"x->y"}, want: []string{"x/in=dir"}, after: []string{"x->y"}},
		"directory to link": {have: []string{"x/in=dir"}, want: []string{"x->y"}, after: []string{"x/in=dir"}},
		"a later version":   {have: []string{"d/a=second"}, want: []string{"d/a=third"}, before: []string{"d/a=first", "other=kept"}, after: []string{"d/a=second", "other=kept"}},
		"a link in the way": {have: []string{"d/a=old!"}, want: []string{"d/a=new"}, before: []string{"d->/etc"}, after: []string{"d->/etc", "d.~1~/a=old!"}},
		"a directory":       {have: []string{"a=old!", "stays="}, want: []string{"a=new", "stays="}, before: []string{"a/b=1", "a.~1~/b=2"}, after: []string{"a/b=1", "a.~1~/b=2", "a.~2~=old!"}},
		"a file in the way": {have: []string{"a/b=old!", "a/c=old!"}, want: []string{"a/"}, before: []string{"a=1"}, after: []string{"a=1", "a.~1~/b=old!", "a.~1~/c=old!"}},
		"names that are taken": {have: []string{"a=1", "a.~1~=2", "b=3", "b.~1~/c=4", "stays="}, want: []string{"stays="}, before: []string{"a/", "b/c=old"},
			after: []string{"a/", "a.~1~=1", "a.~1~.~1~=2", "b/c=old", "b.~1~=3", "b.~1~.~1~/c=4"}},
		"an odd name":                        {have: []string{"x=1", "-rf=2", "\n=3", "stays="}, want: []string{"stays="}, after: []string{"x=1", "-rf=2", "\n=3"}},
		"a directory that moves onto a file": {have: []string{"moves/f=moved", "moves/sub/g=below", "place/moved=precious"}, want: []string{"place/moved/f=moved", "place/moved/sub/g=below"}, after: []string{"place/moved=precious"}},
		"a removed one more":                 {have: []string{"d/new=2", "stays="}, want: []string{"stays="}, before: []string{"d/old=1"}, after: []string{"d/old=1", "d/new=2"}},
		"what moves":                         {have: []string{"moves/f=moved", "moves/sub/g=below", "name=" + longer}, want: []string{"place/moved/f=moved", "place/moved/sub/g=below", "dir/renamed=" + longer}},
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

// What makes way for a directory is saved once, however many batches there are.
func TestBackupInBatches(t *testing.T) {
	const many = 17000 // a batch is 16,384
	dir, err := os.MkdirTemp("/dev/shm", "batches")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
	grow(t, from, "x/in=new")
	grow(t, to, "x=precious")
	for i := range many {
		for d, content := range map[string]string{from: "new", to: "old!"} {
			if err := os.WriteFile(fmt.Sprintf("%s/f%d", d, i), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	grow(t, saved, "x.~1~=kept")
	if _, err := Local(t.Context(), &Sender{Dir: from}, &Receiver{Dir: to, BackupDir: saved}); err != nil {
		t.Fatal(err)
	}
	got := read(t, saved)
	if got["x"] != "file precious" || got["x.~1~"] != "file kept" || len(got) != many+3 || got["f16999"] != "file old!" { // and the root
		t.Errorf("%d entries are saved; x %q, x.~1~ %q", len(got), got["x"], got["x.~1~"])
	}
}

// What had its own permission in the destination has it in the backup.
func TestBackupIsAsPrivate(t *testing.T) {
	dir := t.TempDir()
	from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
	grow(t, from, "private/secret=new")
	grow(t, to, "private/secret=old!")
	if err := os.Chmod(filepath.Join(to, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Local(t.Context(), &Sender{Dir: from}, &Receiver{Dir: to, BackupDir: saved}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(saved, "private")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestBackupOfWhatChanges edits the destination and the backup while it is saved: what
// was not saved as it is does not go.
func TestBackupOfWhatChanges(t *testing.T) {
	for name, c := range map[string]struct {
		after string // the call after which
		call  string // comes that before which it happens
		edit  func(to, saved string) error
		code  Code
		stays map[string]string // in the destination
	}{
		"an editor replaces a file that is saved": {"Link gone", "SyncFS", func(to, _ string) error {
			return errors.Join(os.WriteFile(filepath.Join(to, "new"), []byte("second version"), 0o644), os.Rename(filepath.Join(to, "new"), filepath.Join(to, "gone")))
		}, Partial, map[string]string{"gone": "file second version", "d/a": "file new", "log": ""}},
		"a file with two names grows": {"List", "Open log", func(to, _ string) error {
			f, err := os.OpenFile(filepath.Join(to, "log"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString(" second")
			return errors.Join(err, f.Close())
		}, Partial, map[string]string{"gone": "", "d/a": "file new", "log": "file first second"}},
		"somebody removes the backup": {"List", "Link a", func(_, saved string) error {
			return os.RemoveAll(filepath.Join(saved, "d"))
		}, Partial, map[string]string{"gone": "file first version", "d/a": "file old!", "log": "file first"}},
		"somebody removes a file": {"List", "Link gone", func(to, _ string) error {
			return os.Remove(filepath.Join(to, "gone"))
		}, Partial, map[string]string{"gone": "", "d/a": "file new"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
			grow(t, from, "d/a=new", "stays=")
			grow(t, to, "d/a=old!", "gone=first version", "log=first", "stays=")
			if err := os.Link(filepath.Join(to, "log"), filepath.Join(dir, "rotated")); err != nil {
				t.Fatal(err)
			}
			var began atomic.Bool
			var once sync.Once
			r, err := mirrorSaving(t, from, to, saved, false, func(call dirfs.Call) error {
				is := strings.TrimSpace(call.Op + " " + call.Name)
				if began.Load() && is == c.call {
					once.Do(func() {
						if err := c.edit(to, saved); err != nil {
							t.Error(err)
						}
					})
				}
				if is == c.after {
					began.Store(true)
				}
				return nil
			})
			if r.Code != c.code {
				t.Errorf("code %v: %v %v", r.Code, err, r.Problems)
			}
			got := read(t, to)
			for path, want := range c.stays {
				if got[path] != want {
					t.Errorf("%s is %q, not %q; %v", path, got[path], want, r.Problems)
				}
			}
		})
	}
}

// What an earlier run without a backup has displaced, and not removed, is saved too, also
// where the destination holds nothing else; and nothing goes where that is asked for and
// there is no backup.
func TestBackupOfDisplaced(t *testing.T) {
	dir := t.TempDir()
	from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
	grow(t, from, "a=new")
	grow(t, to, ".sync-directory/displaced/12345678-1/in=precious", ".sync-directory/displaced/12345678-2=file")
	if r, err := Local(t.Context(), &Sender{Dir: from, Options: Options{Backup: true}}, &Receiver{Dir: to}); r.Code != Guard {
		t.Errorf("without a backup: %v", err)
	}
	if _, err := Local(t.Context(), &Sender{Dir: from, Options: Options{Backup: true}}, &Receiver{Dir: to, BackupDir: saved}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, saved); got["displaced-12345678-1/in"] != "file precious" || got["displaced-12345678-2"] != "file file" {
		t.Errorf("saved %v", got)
	}
}

// A receiver whose backup cannot be used leaves nothing behind.
func TestBackupThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	to, saved := filepath.Join(dir, "to"), filepath.Join(dir, "saved")
	grow(t, to, "a=x")
	grow(t, saved, ".sync-directory=in the way")
	open := descriptors()
	for range 3 {
		if _, err := (&Receiver{Dir: to, BackupDir: saved}).Listen(t.Context(), ListenOptions{}); CodeOf(err) != BadPath {
			t.Fatal(err)
		}
	}
	if now := descriptors(); now > open {
		t.Errorf("%d descriptors, %d before", now, open)
	}
	if _, err := os.Lstat(filepath.Join(to, ".sync-directory")); err == nil {
		t.Error("the destination's working directory is left")
	}
}

// mirrorSaving is mirrorFaulty with a backup, whose calls go the same way.
func mirrorSaving(t *testing.T, from, to, saved string, portable bool, before func(dirfs.Call) error) (Result, error) {
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
	if r.root, err = dirfs.OpenRoot(r.path, dirfs.Options{Portable: portable}); err != nil {
		t.Fatal(err)
	}
	if err := r.enter(r.path); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.area.Leave(r.area.Root.MTime), r.backup.leave()); err != nil {
		t.Fatal(err)
	}
	if portable {
		_ = r.backup.root.Close() // nothing to lose
		if r.backup.root, err = dirfs.OpenRoot(saved, dirfs.Options{Portable: true}); err != nil {
			t.Fatal(err)
		}
	}
	// From here on calls can fail.
	for _, root := range []*dirfs.Dir{&r.root, &r.backup.root} {
		*root = dirfs.Inject(*root, before)
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
	errs := []error{syscall.EIO, syscall.EACCES, syscall.ENOSPC, syscall.EXDEV, syscall.ENOENT}
	more := func(want bool) []string {
		if want {
			return append([]string{"f-l->x", "l-f=file", "l-d/f=dir", "d-l->x", "onto/f=" + longer, "onto/sub/g=" + long}, faultyWant...)
		}
		return append([]string{"f-l=file!", "l-f->x", "l-d->x", "d-l/f/g=dir", "onto=makes way", "goes/f=" + longer, "goes/sub/g=" + long}, faultyHave...)
	}
	when := append([]string{"onto/f", "onto/sub/g", "onto/sub", "goes/f", "goes/sub/g", "goes/sub"}, aged...)
	for at := 1 + int(time.Now().UnixNano()>>10)%step; ; at += step {
		dir, err := os.MkdirTemp(memory, "saving")
		if err != nil {
			t.Fatal(err)
		}
		from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
		grow(t, from, more(true)...)
		grow(t, to, more(false)...)
		grow(t, saved, "changed=first", "extra=file")
		age(t, from, when)
		age(t, to, when)
		before, want := read(t, to), read(t, from)
		f := &faults{of: func(dirfs.Call) bool { return true }, at: at, err: errs[at%len(errs)], after: at%2 == 0}
		result, err := mirrorSaving(t, from, to, saved, false, f.before)
		nothingLost(t, before, read(t, to), read(t, saved), unfinished(t, to))
		t.Logf("%d: %+v %v and all after it %v: %v %v", at, f.hit, f.err, f.after, result.Code, err)
		// What a disk says is gone need not be removed.
		if result.Code == OK && f.err != syscall.ENOENT && fmt.Sprint(read(t, to)) != fmt.Sprint(want) {
			t.Errorf("success, but not equal")
		}
		if _, err := mirrorSaving(t, from, to, saved, false, func(dirfs.Call) error { return nil }); err != nil {
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

// unfinished returns what is on its way, in the working directory: a run has displaced it, or
// it moves, and the next run takes it up.
func unfinished(t *testing.T, to string) map[string]bool {
	contents := make(map[string]bool)
	for _, name := range []string{"stage", "left", "displaced"} {
		dir := filepath.Join(to, ".sync-directory", name)
		if _, err := os.Lstat(dir); err == nil {
			for _, is := range read(t, dir) {
				contents[is] = true
			}
		}
	}
	return contents
}

// nothingLost reports what was there before and is neither in its place nor saved, nor
// unfinished. What moves is where it moves to.
func nothingLost(t *testing.T, before, now, saved map[string]string, unfinished map[string]bool) {
	t.Helper()
	for path, is := range before {
		if is == "dir" || now[path] == is || unfinished[is] || saved[path] == is || hasMoved(before, now, path) || path == "name" || strings.HasPrefix(path, "goes/") && now["onto/"+path[5:]] == is {
			continue
		}
		if rest, ok := strings.CutPrefix(path, "extra/"); ok && saved["extra.~1~/"+rest] == is {
			continue
		}
		t.Errorf("%s is lost: it was %.30q, is %.30q, saved is %.30q", path, is, now[path], saved[path])
	}
}

// TestBackupOrder shows that what is saved is durable before anything goes: by one call for
// all, and, where there is none, by one for each file and directory.
func TestBackupOrder(t *testing.T) {
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprint("portable ", portable), func(t *testing.T) {
			dir := t.TempDir()
			from, to, saved := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "saved")
			grow(t, from, "a=new", "type=file", "stays=")
			grow(t, to, "a=old!", "gone/b=b", "type/c=c", "stays=")
			var mu sync.Mutex
			var calls []string
			_, err := mirrorSaving(t, from, to, saved, portable, func(c dirfs.Call) error {
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
			for _, c := range []struct{ name, goes, as string }{{"a", "Rename ", " a"}, {"b", "Remove b", ""}, {"c", "Exchange ", " type"}} {
				linked := at(0, "Link "+c.name+" "+c.name, "")
				barrier, first := at(linked, "Sync", ""), 0
				if portable {
					first = at(0, "File.Sync "+c.name, "")
				}
				if gone := at(0, c.goes, c.as); gone < barrier || first > linked {
					t.Errorf("%s comes before what was saved is durable: %q", calls[gone], calls[linked:barrier+1])
				}
			}
		})
	}
}
