// Package tree holds what a directory is to this program: entries with their
// metadata, the digest over them, the comparison of two trees, and the plan
// that makes one of them the other.
//
// Its law: it is pure. It opens nothing, waits for nothing and keeps no state
// between calls; the same input gives the same output on both sides of a
// connection. Trees are built by package scan from a disk and by package
// receiver from a description, and both check names with CheckName where they
// come in: past that door every Dir is sorted and valid.
package tree

import (
	"strings"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// Type says what an entry is. The numbers are part of the wire protocol.
type Type uint8

const (
	// File is a regular file.
	File Type = 1
	// Directory is a directory; Entry.Dir holds what is in it.
	Directory Type = 2
	// Link is a symbolic link; Entry.Target holds where it points.
	Link Type = 3
	// Opaque, in a description, stands for something that the source has
	// under this name and does not describe: a link without --links, a FIFO,
	// an entry that could not be examined. What a destination has under the
	// name is neither compared nor removed. It takes no part in digests.
	Opaque Type = 4
	// Other, in a scanned destination, is whatever is none of the above: a
	// FIFO, a socket, a device. It is never opened, but it can be removed.
	Other Type = 5
	// Unknown, in a scanned destination, could not be examined. It takes
	// part in digests, so that what is around it is never taken for equal.
	Unknown Type = 6
)

// String returns the word for t that messages use.
func (t Type) String() string {
	switch t {
	case File:
		return "file"
	case Directory:
		return "directory"
	case Link:
		return "link"
	case Opaque:
		return "opaque entry"
	case Other:
		return "special file"
	case Unknown:
		return "unknown entry"
	}
	return "unknown type"
}

// Flags are facts about an entry that take no part in digests. All but Sparse
// are known on one side only and never cross the wire.
type Flags uint8

const (
	// Unproved marks a destination file of which size and time prove nothing:
	// its mtime and ctime are so close that anyone may have written it in
	// the same tick of the clock, or all content is to be compared.
	Unproved Flags = 1 << iota
	// Shared marks a file or link that has further hard links: it is never changed
	// in place, since the other name may lie outside.
	Shared
	// Sparse marks a file of the source that has holes.
	Sparse
	// Moved marks an entry of the destination that the wanted tree has at
	// another path, to which it moves: it is not removed.
	Moved
)

// Entry describes one thing in a directory. It is 64 bytes on a 64-bit
// machine, since there can be a million of them.
type Entry struct {
	Name   string // one path component, as bytes; "" for the root
	Target string // of a Link; of a File the bytes of its content digest, where content is compared
	Dir    *Dir   // of a Directory
	Size   int64  // of a File, in bytes
	Sec    int64  // mtime: seconds since 1970
	Nsec   uint32 // mtime: 0 to 999,999,999 nanoseconds after Sec
	Perm   uint16 // permission bits, 0 to 0o777
	Type   Type
	Flags  Flags
}

// MTime returns the entry's modification time.
func (e *Entry) MTime() Time { return Time{e.Sec, e.Nsec} }

// SetMTime sets the entry's modification time.
func (e *Entry) SetMTime(t Time) { e.Sec, e.Nsec = t.Sec, t.Nsec }

// Time is an instant with the range and precision that file systems have,
// which is more than an int64 of nanoseconds holds.
type Time struct {
	Sec  int64
	Nsec uint32
}

// Dir is the inside of a directory.
type Dir struct {
	Parent  *Dir          // nil for the root
	Name    string        // its name in Parent; "" for the root
	Entries []Entry       // ascending by the bytes of their names, no two equal
	Digest  digest.Digest // over Entries, set by Sum; zero where not computed

	// Unproved says that a file in or below is; set by Sum.
	Unproved bool

	// Closed says that Entries is not what the directory holds, because it
	// could not be read or lies on another file system. Nothing below a
	// closed directory is compared, changed or removed.
	Closed bool

	// Dev and Ino identify the directory on the disk that it was scanned
	// from, so that a handle that is opened again is known to be the same
	// directory. Both are zero where the directory is not known to exist.
	Dev, Ino uint64
}

// Path returns the directory's path below the root, joined with slashes: ""
// for the root itself. It is for messages; no system call takes it.
func (d *Dir) Path() string {
	var names []string
	for ; d.Parent != nil; d = d.Parent {
		names = append(names, d.Name)
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteString(names[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// Join returns the path of name in the directory.
func (d *Dir) Join(name string) string {
	if d.Parent == nil {
		return name
	}
	return d.Path() + "/" + name
}

// Depth returns how many directories are above d.
func (d *Dir) Depth() (n int) {
	for ; d.Parent != nil; d = d.Parent {
		n++
	}
	return n
}

// Find returns the entry with the given name, or nil.
func (d *Dir) Find(name string) *Entry {
	if i, ok := search(d.Entries, name); ok {
		return &d.Entries[i]
	}
	return nil
}

// Position returns where in Entries the entry with the given name is, and whether
// there is one.
func (d *Dir) Position(name string) (int, bool) { return search(d.Entries, name) }

// search returns where name is, or would be, among entries.
func search(entries []Entry, name string) (int, bool) {
	lo, hi := 0, len(entries)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if entries[m].Name < name {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < len(entries) && entries[lo].Name == name
}

// Between returns the positions lo and hi of the entries whose names are in
// from ≤ name < to, "" being no bound.
func (d *Dir) Between(from, to string) (lo, hi int) {
	lo, _ = search(d.Entries, from)
	if to == "" {
		return lo, len(d.Entries)
	}
	hi, _ = search(d.Entries, to)
	return lo, max(lo, hi)
}
