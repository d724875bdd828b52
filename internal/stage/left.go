package stage

import (
	"encoding/hex"
	"strings"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// NextFor returns a name as Next does, for what is to be installed at a path: a
// later run knows it by Tag.
func (a *Area) NextFor(path string) string { return a.Next() + "-" + TagOf(path) }

// Tag returns what the name of something staged says of where it belongs; "" if
// it says nothing.
func Tag(name string) string {
	_, rest, _ := strings.Cut(name, "-")
	_, tag, _ := strings.Cut(rest, "-")
	return tag
}

// TagOf returns the tag of what belongs at a path.
func TagOf(path string) string {
	d := digest.Sum([]byte(path))
	return hex.EncodeToString(d[:8])
}

// TakeUp moves what an earlier session has staged from Files to Left. Of several
// files for one path that are left the largest stays.
func (a *Area) TakeUp() error {
	names, err := list(a.Files)
	if err != nil || len(names) == 0 {
		return err
	}
	left, err := list(a.Left)
	if err != nil {
		return err
	}
	files := make(map[string]string) // by their tags
	for _, name := range left {
		files[Tag(name)] = name
	}
	for _, name := range names {
		if other, ok := files[Tag(name)]; ok && Tag(name) != "" {
			smaller, err := a.smaller(name, other)
			if err != nil {
				return err
			}
			if smaller {
				if err := a.Files.Remove(name); err != nil {
					return err
				}
				continue
			}
		}
		if err := a.Files.Rename(name, a.Left, name); err != nil {
			return err
		}
	}
	return nil
}

// smaller reports whether a file in Files is smaller than one in Left. If not,
// and both are files, it removes that one.
func (a *Area) smaller(name, other string) (bool, error) {
	ours, err := a.Files.Stat(name)
	if err != nil {
		return false, err
	}
	theirs, err := a.Left.Stat(other)
	if err != nil || ours.Type != tree.File || theirs.Type != tree.File {
		return false, err
	}
	if ours.Alloc < theirs.Alloc {
		return true, nil
	}
	return false, a.Left.Remove(other)
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
