//go:build linux || darwin

package dirfs_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// TestInject makes every call of a small run fail in turn, and checks that
// what fails was not made.
func TestInject(t *testing.T) {
	everywhere(t, func(p *place) {
		var calls []string
		changes := 0
		run := func(failAt int) error {
			calls, changes = nil, 0
			d := dirfs.Inject(p.Dir, func(c dirfs.Call) error {
				if len(calls) == failAt {
					return fmt.Errorf("injected at %s", c.Op)
				}
				calls = append(calls, c.Op)
				if c.Mutates {
					changes++
				}
				return nil
			})
			return work(d)
		}
		ok(p, run(-1))
		want := []string{"Mkdir", "OpenDir", "Create", "File.WriteAt", "File.Truncate", "File.Chmod",
			"File.SetTime", "File.Sync", "File.Info", "File.Close", "Rename", "Open", "File.ReadAt",
			"File.Close", "Symlink", "ReadLink", "Stat", "Self", "List", "Names", "Chmod", "SetTime",
			"Sync", "Remove", "Remove", "Close", "RemoveDir", "Space"}
		if !slices.Equal(calls, want) || changes != 16 {
			p.Errorf("got %d changes, calls %q\nwant %q", changes, calls, want)
		}
		for i, op := range want {
			err := run(i)
			if err == nil || err.Error() != "injected at "+op {
				p.Errorf("call %d: got %v, want it to fail at %s", i, err, op)
			}
			ok(p, os.RemoveAll(p.at("sub")))
			os.Remove(p.at("file"))
			os.Remove(p.at("link"))
		}
	})
}

// work makes every call but those that some systems do not support, and stops
// at the first error.
func work(d dirfs.Dir) error {
	if err := d.Mkdir("sub", 0o700); err != nil {
		return err
	}
	sub, err := d.OpenDir("sub")
	if err != nil {
		return err
	}
	if err := workFile(sub, d); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return d.Symlink("x", "link") },
		func() error { _, err := d.ReadLink("link"); return err },
		func() error { _, err := d.Stat("file"); return err },
		func() error { _, err := d.Self(); return err },
		func() error { return d.List(func([]byte, dirfs.Info, error) error { return nil }) },
		func() error { return d.Names(func([]byte) bool { return true }) },
		func() error { return sub.Chmod(0o755) },
		func() error { return sub.SetTime(tree.Time{Sec: 1}) },
		func() error { return sub.Sync() },
		func() error { return d.Remove("link") },
		func() error { return d.Remove("file") },
		func() error { return sub.Close() },
		func() error { return d.RemoveDir("sub") },
		func() error { _, err := d.Space(); return err },
	}
	return each(steps)
}

// workFile makes a file in sub, moves it to d and reads it there.
func workFile(sub, d dirfs.Dir) error {
	f, err := sub.Create("file", 0o600)
	if err != nil {
		return err
	}
	if err := each([]func() error{
		func() error { _, err := f.WriteAt([]byte("abc"), 0); return err },
		func() error { return f.Truncate(2) },
		func() error { return f.Chmod(0o644) },
		func() error { return f.SetTime(tree.Time{Sec: 1}) },
		func() error { return f.Sync() },
		func() error { _, err := f.Info(); return err },
		func() error { return f.Close() },
		func() error { return sub.Rename("file", d, "file") },
	}); err != nil {
		return err
	}
	f, err = d.Open("file")
	if err != nil {
		return err
	}
	return each([]func() error{
		func() error { _, err := f.ReadAt(make([]byte, 2), 0); return err },
		func() error { return f.Close() },
	})
}

// each makes the steps until one fails.
func each(steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
