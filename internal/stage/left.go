package stage

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// NextFor returns a name as Next does, for what is to be installed at a path: a
// later run knows it by Tag.
func (a *Area) NextFor(path string) string { return a.Next() + "-" + TagOf(path) }

// movesMark is in the names of directories that move to where something of another type
// is: one call swaps the two, and then it is that which has the name.
const movesMark = "-moves"

// NextMoving returns a name as NextFor does, for a directory that takes the place of
// something that is none. Where that has the name, after a run that was interrupted, it
// goes to Displaced.
func (a *Area) NextMoving(path string) string { return a.NextFor(path) + movesMark }

// Tag returns what the name of something staged says of where it belongs; "" if
// it says nothing.
func Tag(name string) string {
	parts := strings.SplitN(name, "-", 4)
	if len(parts) < 3 {
		return ""
	}
	return parts[2]
}

// TagOf returns the tag of what belongs at a path.
func TagOf(path string) string {
	d := digest.Sum([]byte(path))
	return hex.EncodeToString(d[:8])
}

// TakeUp moves what an earlier session has staged from Files to Left, but for what
// no later one would know. Of what is left twice for one path the larger file stays;
// directories are merged.
func (a *Area) TakeUp() error {
	names, err := list(a.Files)
	if err != nil || len(names) == 0 {
		return err
	}
	left, err := list(a.Left)
	if err != nil {
		return err
	}
	tagged := make(map[string]string)
	for _, name := range left {
		tagged[Tag(name)] = name
	}
	for _, name := range names {
		if err := a.takeUp(name, tagged); err != nil {
			return err
		}
	}
	return nil
}

func (a *Area) takeUp(name string, tagged map[string]string) error {
	tag := Tag(name)
	if tag == "" {
		return discard(a.Files, name)
	}
	if strings.Contains(name, movesMark) {
		info, err := a.Files.Stat(name)
		if err != nil {
			return err
		}
		if info.Type != tree.Directory {
			return a.Files.Rename(name, a.Displaced, name)
		}
	}
	as := name
	if other, twice := tagged[tag]; twice {
		as = other
	}
	return merge(a.Files, name, a.Left, as)
}

// merge moves an entry to where there may be one already: of two files the larger
// one stays, of anything else the new one. It is as deep as what a session has made.
func merge(from dirfs.Dir, name string, to dirfs.Dir, as string) error {
	ours, err := from.Stat(name)
	if err != nil {
		return err
	}
	theirs, err := to.Stat(as)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return from.Rename(name, to, as)
	case err != nil:
		return err
	case ours.Type == tree.Directory && theirs.Type == tree.Directory:
		return mergeDirs(from, name, to, as)
	case ours.Type == tree.File && theirs.Type == tree.File && (ours.Alloc < theirs.Alloc || ours.Ino == theirs.Ino):
		return from.Remove(name)
	}
	if err := discard(to, as); err != nil {
		return err
	}
	return from.Rename(name, to, as)
}

func mergeDirs(from dirfs.Dir, name string, to dirfs.Dir, as string) error {
	ours, err := from.OpenDir(name)
	if err != nil {
		return err
	}
	defer ours.Close()
	theirs, err := to.OpenDir(as)
	if err != nil {
		return err
	}
	defer theirs.Close()
	names, err := list(ours)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := merge(ours, n, theirs, n); err != nil {
			return err
		}
	}
	return from.RemoveDir(name)
}

// discard removes an entry and all below it.
func discard(in dirfs.Dir, name string) error {
	info, err := in.Stat(name)
	if err != nil {
		return absent(err)
	}
	if info.Type != tree.Directory {
		return absent(in.Remove(name))
	}
	d, err := in.OpenDir(name)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := list(d)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := discard(d, n); err != nil {
			return err
		}
	}
	return in.RemoveDir(name)
}

func list(d dirfs.Dir) (names []string, err error) {
	err = d.Names(func(name []byte) bool {
		names = append(names, string(name))
		return true
	})
	return names, err
}

// HasLeft reports whether something that an earlier session has staged is there.
func (a *Area) HasLeft() (bool, error) {
	for _, d := range []dirfs.Dir{a.Files, a.Left} {
		found := false
		if err := d.Names(func([]byte) bool { found = true; return false }); err != nil || found {
			return found, err
		}
	}
	return false, nil
}
