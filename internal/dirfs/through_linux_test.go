package dirfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// within are the calls in a directory that is reached through the name that flips. Each
// leaves the directory as it was.
var within = map[string]func(r *race, d dirfs.Dir) error{
	"Stat": func(r *race, d dirfs.Dir) error { return r.ours(d.Stat("file")) },
	"Self": func(r *race, d dirfs.Dir) error { return r.ours(d.Self()) },
	"List": func(r *race, d dirfs.Dir) error {
		return d.List(func(_ []byte, info dirfs.Info, err error) error { return r.ours(info, err) })
	},
	"OpenDir and Names": func(r *race, d dirfs.Dir) error { return r.lists(d, "dir") },
	"Open and ReadAt": func(r *race, d dirfs.Dir) error {
		f, err := d.Open("file")
		if err != nil {
			return err
		}
		return errors.Join(r.reads(f), f.Close())
	},
	"Open and touch": func(r *race, d dirfs.Dir) error { return touch(d, "file") },
	"ReadLink": func(r *race, d dirfs.Dir) error {
		target, err := d.ReadLink("link")
		if err == nil && target != "inside" {
			r.Errorf("the target is %q", target)
		}
		return err
	},
	"Create and write": func(r *race, d dirfs.Dir) error {
		if err := fill(d, "new", 10); err != nil {
			return err
		}
		return d.Remove("new")
	},
	"CopyFrom":            func(r *race, d dirfs.Dir) error { return r.copies(d, "file") },
	"Mkdir and RemoveDir": func(r *race, d dirfs.Dir) error { return errors.Join(d.Mkdir("new", 0o777), d.RemoveDir("new")) },
	"Symlink and SetLinkTime": func(r *race, d dirfs.Dir) error {
		return errors.Join(d.Symlink("file", "new"), d.SetLinkTime("new", tree.Time{Sec: 7}), d.Remove("new"))
	},
	"Link": func(r *race, d dirfs.Dir) error {
		err := d.Link("file", r.stage, "linked")
		if errors.Is(err, errors.ErrUnsupported) {
			return nil // where renames are by path
		}
		err = errors.Join(err, r.ours(r.stage.Stat("linked")))
		err = errors.Join(err, r.stage.Link("linked", d, "new"), d.Remove("new"))
		return errors.Join(err, r.stage.Remove("linked"))
	},
	"Rename in it": func(r *race, d dirfs.Dir) error {
		return r.thereAndBack(d, "file", d, "new")
	},
	"Rename a directory": func(r *race, d dirfs.Dir) error { return r.thereAndBack(d, "dir", r.stage, "out") },
	"Rename into it": func(r *race, d dirfs.Dir) error {
		if err := fill(r.stage, "staged", 10); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := r.stage.Rename("staged", d, "new"); err != nil {
			return err
		}
		return d.Remove("new")
	},
	"Rename out of it": func(r *race, d dirfs.Dir) error { return r.thereAndBack(d, "file", r.stage, "out") },
	"Exchange": func(r *race, d dirfs.Dir) error {
		if err := fill(r.stage, "staged", 10); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		err := d.Exchange("file", r.stage, "staged")
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return errors.Join(err, r.ours(r.stage.Stat("staged")), d.Exchange("file", r.stage, "staged"))
	},
	"Chmod":   func(r *race, d dirfs.Dir) error { return errors.Join(d.Chmod(0o700), d.Chmod(0o755)) },
	"SetTime": func(r *race, d dirfs.Dir) error { return d.SetTime(tree.Time{Sec: 7}) },
	"Sync":    func(r *race, d dirfs.Dir) error { return d.Sync() },
	"Space":   func(r *race, d dirfs.Dir) error { _, err := d.Space(); return err },
}

// TestThroughFlips has the directory in which the calls are made flip between itself
// and a link to the canary: while it is opened, and while it is held.
func TestThroughFlips(t *testing.T) {
	races(t, func(p *place, uid int, f flipper) {
		for name, call := range within {
			p.Run("opened/"+name, func(t *testing.T) {
				r := newRace(p.sub(t), uid)
				ok(r, os.Symlink(r.outside, r.at("x.other")))
				r.run(f, "x", func() error {
					d, err := r.OpenDir("x")
					if err != nil {
						return err
					}
					return errors.Join(call(r, d), d.Close())
				})
			})
			p.Run("held/"+name, func(t *testing.T) {
				r := newRace(p.sub(t), uid)
				ok(r, os.Symlink(r.outside, r.at("x.other")))
				d := must(r.OpenDir("x"))(r)
				defer d.Close()
				r.run(f, "x", func() error { return call(r, d) })
			})
		}
	})
}

// TestHandlesWhileFlipped has a directory flip of which the handle is closed and opened
// again and again, since there are others.
func TestHandlesWhileFlipped(t *testing.T) {
	races(t, func(p *place, uid int, f flipper) {
		r := newRace(p.sub(p.T), uid)
		ok(r, os.Symlink(r.outside, r.at("x.other")))
		root := &tree.Dir{}
		x := r.known(child(root, "x"))
		below := child(x, "dir") // of which nothing is known
		var others []*tree.Dir
		for i := range 3 {
			name := fmt.Sprint("other", i)
			ok(r, os.Mkdir(r.at(name), 0o755))
			others = append(others, child(root, name))
		}
		h := dirfs.NewHandles(r.Dir, 2)
		defer h.Close()
		r.run(f, "x", func() error {
			for _, d := range others {
				must(h.Acquire(d))(r)
				h.Release(d)
			}
			d, err := h.Acquire(below)
			if err != nil {
				return err
			}
			defer h.Release(below)
			return d.Names(func(name []byte) bool {
				if string(name) != "inside" {
					r.Errorf("listed %q", name)
				}
				return true
			})
		})
	})
}

// thereAndBack moves an entry, and back.
func (r *race) thereAndBack(d dirfs.Dir, name string, to dirfs.Dir, newName string) error {
	if err := d.Rename(name, to, newName); err != nil {
		return err
	}
	err := r.ours(to.Stat(newName))
	return errors.Join(err, r.again(func() error { return to.Rename(newName, d, name) }))
}

// lists fails unless a directory holds what the root's own holds.
func (r *race) lists(in dirfs.Dir, name string) error {
	d, err := in.OpenDir(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Names(func(name []byte) bool {
		if string(name) != "inside" {
			r.Errorf("listed %q", name)
		}
		return true
	})
}

// touch changes the metadata of a file, as it is done in place.
func touch(d dirfs.Dir, name string) error {
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.SetTime(tree.Time{Sec: 7}), f.Sync(), f.Close())
}

// fill makes a file and does all to it that is done to new ones.
func fill(d dirfs.Dir, name string, size int64) error {
	f, err := d.Create(name, 0o600)
	if err != nil {
		return err
	}
	if err := f.Allocate(0, size); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	_, err = f.WriteAt([]byte("inside"), 0)
	return errors.Join(err, f.Truncate(size/2), f.Truncate(6), f.Chmod(0o644), f.SetTime(tree.Time{Sec: 7}), f.Sync(), f.Close())
}

// copies copies a file into the stage.
func (r *race) copies(d dirfs.Dir, name string) error {
	from, err := d.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := r.stage.Create("copy", 0o600)
	if err != nil {
		return err
	}
	return errors.Join(to.CopyFrom(from, 0, 0, 6), r.reads(to), to.Close(), r.stage.Remove("copy"))
}
