package dirfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// target is a call on a name that flips.
type target struct {
	kind  string // what the name is in between: file, link, dir, empty or nothing
	other string // what comes: a link to the canary's entry of this name, or a hard link to its file
	call  func(r *race) error
	takes bool // the call takes or replaces what has the name
}

const (
	hardLink = "hard link"
	fifo     = "FIFO"
)

// targets are the calls on a name that flips between what they are for and a link.
var targets = map[string]target{
	"Stat": {"file", "file", func(r *race) error { return r.ours(r.Stat("n")) }, false},
	"List": {"file", "file", func(r *race) error {
		return r.List(func(_ []byte, info dirfs.Info, err error) error { return r.ours(info, err) })
	}, false},
	"Open and ReadAt": {"file", "file", func(r *race) error {
		f, err := r.Open("n")
		if err != nil {
			return err
		}
		return errors.Join(r.reads(f), f.Close())
	}, false},
	"Open and touch":      {"file", "file", func(r *race) error { return touch(r, "n") }, false},
	"CopyFrom":            {"file", "file", func(r *race) error { return r.copies(r, "n") }, false},
	"OpenDir":             {"dir", "dir", func(r *race) error { return r.lists(r, "n") }, false},
	"OpenDir of a FIFO":   {"dir", fifo, func(r *race) error { return r.lists(r, "n") }, false},
	"Open of a FIFO":      {"file", fifo, func(r *race) error { return touch(r, "n") }, false},
	"OpenDir and Chmod":   {"dir", "dir", func(r *race) error { return chmodDir(r, "n") }, false},
	"ReadLink":            {"link", "link", readLink, false},
	"ReadLink of a file":  {"link", hardLink, readLink, false},
	"Create":              {"nothing", "none", func(r *race) error { return errors.Join(fill(r, "n", 10), r.Remove("n")) }, false},
	"Create over a file":  {"nothing", "file", func(r *race) error { return errors.Join(fill(r, "n", 10), r.Remove("n")) }, false},
	"Mkdir":               {"nothing", "none", func(r *race) error { return errors.Join(r.Mkdir("n", 0o777), r.RemoveDir("n")) }, false},
	"Symlink":             {"nothing", "none", func(r *race) error { return errors.Join(r.Symlink("file", "n"), r.Remove("n")) }, false},
	"Link onto it":        {"nothing", "none", linkOnto, false},
	"Link":                {"file", "file", linkOf, true},
	"Rename onto it":      {"file", "file", renameOnto, true},
	"Rename":              {"file", "file", func(r *race) error { return r.taken(r.Rename("n", r.stage, "taken")) }, true},
	"Rename a directory":  {"dir", "dir", func(r *race) error { return r.taken(r.Rename("n", r.stage, "taken")) }, true},
	"Exchange":            {"file", "file", exchange, true},
	"Remove":              {"file", "file", func(r *race) error { return r.Remove("n") }, true},
	"RemoveDir":           {"empty", "empty", func(r *race) error { return r.RemoveDir("n") }, true},
	"SetLinkTime":         {"link", "file", func(r *race) error { return r.SetLinkTime("n", tree.Time{Sec: 7}) }, false},
	"SetLinkTime, linked": {"link", hardLink, func(r *race) error { return r.SetLinkTime("n", tree.Time{Sec: 7}) }, false},
	"Mkdir, linked":       {"nothing", hardLink, func(r *race) error { return errors.Join(r.Mkdir("n", 0o777), r.RemoveDir("n")) }, false},
}

func readLink(r *race) error {
	target, err := r.ReadLink("n")
	if err == nil && target != "inside" && target != filepath.Join(r.outside, "link") {
		r.Errorf("the target is %q", target)
	}
	return err
}

func chmodDir(d dirfs.Dir, name string) error {
	sub, err := d.OpenDir(name)
	if err != nil {
		return err
	}
	return errors.Join(sub.Chmod(0o700), sub.Chmod(0o755), sub.SetTime(tree.Time{Sec: 7}), sub.Close())
}

func linkOf(r *race) error {
	err := r.Link("n", r.stage, "taken")
	if errors.Is(err, errors.ErrUnsupported) {
		return nil // where renames are by path
	}
	return r.taken(err)
}

func linkOnto(r *race) error {
	if err := fill(r.stage, "staged", 10); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err := r.stage.Link("staged", r.Dir, "n")
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return errors.Join(err, r.Remove("n"))
}

func renameOnto(r *race) error {
	if err := fill(r.stage, "staged", 10); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.stage.Rename("staged", r.Dir, "n")
}

func exchange(r *race) error {
	if err := fill(r.stage, "staged", 10); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	err := r.Exchange("n", r.stage, "staged")
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.taken(r.stage.Rename("staged", r.stage, "taken"))
}

// taken fails if what was taken into the stage is of the canary, and removes it.
func (r *race) taken(err error) error {
	if err != nil {
		return err
	}
	err = r.ours(r.stage.Stat("taken"))
	return errors.Join(err, os.RemoveAll(r.at("stage/taken")))
}

// plant makes what flips, as far as a call has taken it. It may be wrong about that,
// since names flip meanwhile, and is right a call later.
func (r *race) plant() error {
	if err := r.both(); err != nil || !r.takes {
		return err
	}
	isLink := func(name string) bool {
		info, err := os.Lstat(r.at(name))
		return err == nil && info.Mode()&fs.ModeSymlink != 0
	}
	one, other := isLink("n"), isLink("n.other")
	switch { // what cannot be removed has flipped
	case one && other:
		_ = os.RemoveAll(r.at("n"))
	case !one && !other:
		_ = os.RemoveAll(r.at("n.other"))
	}
	return r.both()
}

func (r *race) both() error {
	if _, err := os.Lstat(r.at("n")); err == nil && r.kind == "nothing" {
		if _, err := os.Lstat(r.at("n.other")); err != nil {
			return nil // it has come
		}
		// Another was made while it came: neither can move any more.
		err := unix.Unlink(r.at("n"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EISDIR) { // it has gone, or is the call's
			err = nil
		}
		return err
	}
	return errors.Join(r.make("n", r.kind), r.make("n.other", r.other+" outside"))
}

// make makes an entry of a kind unless there is one.
func (r *race) make(name, kind string) error {
	var err error
	switch at := r.at(name); kind {
	case "nothing":
	case "file":
		err = os.WriteFile(at+".new", []byte("inside"), 0o644)
		err = errors.Join(err, unix.Renameat2(unix.AT_FDCWD, at+".new", unix.AT_FDCWD, at, unix.RENAME_NOREPLACE))
	case "link":
		err = os.Symlink("inside", at)
	case "dir":
		err = errors.Join(os.MkdirAll(at+".new", 0o755), os.WriteFile(at+".new/inside", nil, 0o644))
		err = errors.Join(err, unix.Renameat2(unix.AT_FDCWD, at+".new", unix.AT_FDCWD, at, unix.RENAME_NOREPLACE))
	case "empty":
		err = os.Mkdir(at, 0o755)
	case hardLink + " outside":
		err = os.Link(filepath.Join(r.outside, "file"), at)
	case fifo + " outside":
		err = unix.Mkfifo(at, 0o600)
	default:
		err = os.Symlink(filepath.Join(r.outside, kind[:len(kind)-len(" outside")]), at)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// TestAtFlips has the very name flip that a call is on.
func TestAtFlips(t *testing.T) {
	races(t, func(p *place, uid int, f flipper) {
		for name, target := range targets {
			p.Run(name, func(t *testing.T) {
				r := newRace(p.sub(t), uid)
				r.target, r.hard = target, target.other == hardLink
				f := f
				switch {
				case target.takes || r.hard:
					f = exchanges // so that there are always two, or one is taken
				case target.kind == "nothing":
					f = comes
				}
				ok(r, r.plant())
				r.run(f, "n", func() error {
					err := target.call(r)
					if target.takes || target.kind == "nothing" {
						ok(r, r.plant())
					}
					return err
				})
			})
		}
	})
}
