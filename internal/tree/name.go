package tree

import (
	"encoding/hex"
	"errors"
	"strings"
)

// Limits on what a description may hold. They are constants: no message of a
// peer raises them.
const (
	// MaxName is the longest name in bytes. Linux holds 255; 255 UTF-16
	// units, which other systems hold, take up to 765 bytes.
	MaxName = 1024
	// MaxTarget is the longest link target in bytes: PATH_MAX on Linux.
	MaxTarget = 4096
	// MaxDepth is how many directories may be above an entry: as many as a path has
	// that a system takes as one, with names of one byte. Some of what is done costs as
	// much as an entry is deep, for each entry.
	MaxDepth = 2048
	// MaxPath is the longest path in bytes of an entry below the root.
	MaxPath = 32 << 10
	// MaxEntries is how many entries a source has at most.
	MaxEntries = 10_000_000
	// MaxPerm is the largest value of permission bits that are carried.
	MaxPerm = 0o777
)

// Reserved is the name, at the root of a destination, of the directory that a
// receiver works in.
const Reserved = ".sync-directory"

// IDPrefix is how names begin, in Reserved, that say which receiver works there.
const IDPrefix = "id-"

// IDName returns the name, in Reserved, of a file that says that the receiver with an id
// works there. What a name says is found also by who may not read the file, such as a
// sender that is confined to its source and looks at what that lies in.
func IDName(id []byte) string { return IDPrefix + hex.EncodeToString(id) }

// Errors of CheckName: what is wrong with a name.
var (
	ErrNameEmpty = errors.New("empty name")
	ErrNameLong  = errors.New("name of more than 1024 bytes")
	ErrNameDots  = errors.New("name is one or two dots")
	ErrNameByte  = errors.New("name holds a slash or a NUL byte")
)

// CheckName reports why name cannot be one path component: it is empty, "."
// or "..", or too long, or holds a slash or a NUL byte. Names are checked,
// never cleaned. All other bytes are allowed, also those that are not UTF-8.
func CheckName(name string) error {
	switch {
	case name == "":
		return ErrNameEmpty
	case len(name) > MaxName:
		return ErrNameLong
	case name == "." || name == "..":
		return ErrNameDots
	case strings.IndexByte(name, '/') >= 0 || strings.IndexByte(name, 0) >= 0:
		return ErrNameByte
	}
	return nil
}

// IsReserved reports whether name, at the root, is the receiver's own. On a
// file system that folds case it is that in any letter case.
func (c Canon) IsReserved(name string) bool {
	return name == Reserved || c.FoldsCase && strings.EqualFold(name, Reserved)
}
