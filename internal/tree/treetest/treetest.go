// Package treetest writes trees as text, for tests: as values, on a disk, and
// back from a disk. One line is one entry:
//
//	path [permission] [@seconds[.nanoseconds]] [what]
//
// A path that ends in a slash is a directory; "./" is the root, and parents
// that are not named are made. What is =content for a file, +N for a file of
// N patterned bytes, >target for a link, or one of the words of a tree that
// no disk has: closed, opaque, other, unknown, unproved, shared. Without a
// permission it is 644 or 755, without a time @1000.
//
// Its law: the same text is the same tree everywhere. It fails by panicking.
package treetest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/tree"
)

// line is one entry of a text.
type line struct {
	path    string // without a slash at its end; "." for the root
	entry   tree.Entry
	content []byte
}

// Pattern returns n bytes that differ from chunk to chunk.
func Pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)*31
	}
	return b
}

func parse(text string) (lines []line) {
	for text := range strings.Lines(text) {
		words := strings.Fields(text)
		if len(words) == 0 || words[0][0] == '#' {
			continue
		}
		l := line{path: path.Clean(words[0])}
		l.entry = tree.Entry{Type: tree.File, Perm: 0o644, Sec: 1000}
		if strings.HasSuffix(words[0], "/") {
			l.entry.Type, l.entry.Perm, l.entry.Dir = tree.Directory, 0o755, new(tree.Dir)
		}
		for _, w := range words[1:] {
			l.word(w)
		}
		lines = append(lines, l)
	}
	return lines
}

func (l *line) word(w string) {
	e := &l.entry
	switch {
	case w[0] == '@':
		sec, nsec, _ := strings.Cut(w[1:], ".")
		e.Sec = number(sec)
		if nsec != "" {
			e.Nsec = uint32(number((nsec + "000000000")[:9]))
		}
	case w[0] == '=':
		l.content = []byte(w[1:])
		e.Size = int64(len(l.content))
	case w[0] == '+':
		e.Size = number(w[1:])
		if e.Size < 1<<24 {
			l.content = Pattern(int(e.Size))
		}
	case w[0] == '>':
		e.Type, e.Target, e.Perm = tree.Link, w[1:], 0
	case w == "closed":
		e.Dir.Closed = true
	case w == "opaque":
		*e = tree.Entry{Type: tree.Opaque}
	case w == "other":
		*e = tree.Entry{Type: tree.Other}
	case w == "unknown":
		*e = tree.Entry{Type: tree.Unknown}
	case w == "unproved":
		e.Flags |= tree.Unproved
	case w == "shared":
		e.Flags |= tree.Shared
	default:
		perm, err := strconv.ParseUint(w, 8, 16)
		if err != nil {
			panic("treetest: " + w)
		}
		e.Perm = uint16(perm)
	}
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("treetest: " + err.Error())
	}
	return n
}

// Parse returns the tree that text describes.
func Parse(text string) *tree.Entry {
	root := &tree.Entry{Type: tree.Directory, Perm: 0o755, Sec: 1000, Dir: new(tree.Dir)}
	for _, l := range parse(text) {
		if l.path == "." {
			l.entry.Dir.Entries = root.Dir.Entries
			*root.Dir = *l.entry.Dir
			l.entry.Dir = root.Dir
			*root = l.entry
			continue
		}
		in := root.Dir
		names := strings.Split(l.path, "/")
		for _, name := range names[:len(names)-1] {
			e := in.Find(name)
			if e == nil {
				e = Add(in, tree.Entry{Name: name, Type: tree.Directory, Perm: 0o755, Sec: 1000, Dir: new(tree.Dir)})
			}
			in = e.Dir
		}
		l.entry.Name = names[len(names)-1]
		if e := in.Find(l.entry.Name); e != nil {
			panic("treetest: twice: " + l.path)
		}
		Add(in, l.entry)
	}
	return root
}

// Add puts an entry in its place in d and returns it there.
func Add(d *tree.Dir, e tree.Entry) *tree.Entry {
	if e.Dir != nil {
		e.Dir.Name, e.Dir.Parent = e.Name, d
	}
	i, _ := slices.BinarySearchFunc(d.Entries, e.Name, func(x tree.Entry, name string) int { return strings.Compare(x.Name, name) })
	d.Entries = slices.Insert(d.Entries, i, e)
	return &d.Entries[i]
}

// Format returns the text of a tree of values, all of it explicit.
func Format(root *tree.Entry) string {
	var b strings.Builder
	format(&b, "./", root)
	return b.String()
}

func format(b *strings.Builder, p string, e *tree.Entry) {
	fmt.Fprint(b, p)
	switch e.Type {
	case tree.File:
		fmt.Fprintf(b, " %o%s +%d", e.Perm, stamp(e.Sec, e.Nsec), e.Size)
	case tree.Directory:
		fmt.Fprintf(b, " %o%s", e.Perm, stamp(e.Sec, e.Nsec))
		if e.Dir.Closed {
			b.WriteString(" closed")
		}
	case tree.Link:
		fmt.Fprintf(b, " >%s%s", e.Target, stamp(e.Sec, e.Nsec))
	default:
		fmt.Fprintf(b, " %s", e.Type)
	}
	b.WriteByte('\n')
	if e.Dir == nil {
		return
	}
	for i := range e.Dir.Entries {
		c := &e.Dir.Entries[i]
		path := strings.TrimPrefix(p, "./") + c.Name
		if c.Dir != nil {
			path += "/"
		}
		format(b, path, c)
	}
}

func stamp(sec int64, nsec uint32) string {
	if nsec == 0 {
		return fmt.Sprintf(" @%d", sec)
	}
	return fmt.Sprintf(" @%d.%09d", sec, nsec)
}

// Make makes on the disk, below dir, what text describes.
func Make(t testing.TB, dir, text string) {
	t.Helper()
	lines := parse(text)
	for _, l := range lines {
		at := filepath.Join(dir, l.path)
		check(t, os.MkdirAll(filepath.Dir(at), 0o755))
		switch l.entry.Type {
		case tree.Directory:
			check(t, os.MkdirAll(at, 0o755))
		case tree.Link:
			check(t, os.Symlink(l.entry.Target, at))
		case tree.File:
			check(t, os.WriteFile(at, l.content, 0o644))
		case tree.Other:
			check(t, mkfifo(at))
		default:
			t.Fatalf("no disk has %s %s", l.entry.Type, l.path)
		}
	}
	lines = append(lines, unnamed(lines)...)
	// Metadata comes last, children before their parents.
	slices.SortStableFunc(lines, func(x, y line) int { return strings.Count(y.path, "/") - strings.Count(x.path, "/") })
	slices.SortStableFunc(lines, func(x, y line) int { return atRoot(x) - atRoot(y) })
	for _, l := range lines {
		at := filepath.Join(dir, l.path)
		switch l.entry.Type {
		case tree.Link:
			check(t, lutime(at, l.entry.MTime()))
		case tree.File, tree.Directory:
			check(t, os.Chmod(at, fs.FileMode(l.entry.Perm)))
			mtime := time.Unix(l.entry.Sec, int64(l.entry.Nsec))
			check(t, os.Chtimes(at, mtime, mtime))
		}
	}
}

// unnamed returns the parents that are not named, but for the root.
func unnamed(lines []line) (more []line) {
	named := map[string]bool{".": true}
	for _, l := range lines {
		named[l.path] = true
	}
	for _, l := range lines {
		for p := path.Dir(l.path); !named[p]; p = path.Dir(p) {
			named[p] = true
			more = append(more, line{path: p, entry: tree.Entry{Type: tree.Directory, Perm: 0o755, Sec: 1000}})
		}
	}
	return more
}

func atRoot(l line) int {
	if l.path == "." {
		return 1
	}
	return 0
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Read returns the text of what is on the disk below dir, all of it explicit.
// Content that is a Pattern is +N.
func Read(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		check(t, err)
		info, err := d.Info()
		check(t, err)
		p, err := filepath.Rel(dir, at)
		check(t, err)
		when := stamp(info.ModTime().Unix(), uint32(info.ModTime().Nanosecond()))
		switch m := info.Mode(); m.Type() {
		case 0:
			content, err := os.ReadFile(at)
			check(t, err)
			fmt.Fprintf(&b, "%s %o%s %s\n", p, m.Perm(), when, word(content))
		case fs.ModeDir:
			fmt.Fprintf(&b, "%s/ %o%s\n", p, m.Perm(), when)
		case fs.ModeSymlink:
			target, err := os.Readlink(at)
			check(t, err)
			fmt.Fprintf(&b, "%s >%s%s\n", p, target, when)
		default:
			fmt.Fprintf(&b, "%s other\n", p)
		}
		return nil
	})
	check(t, err)
	return b.String()
}

func word(content []byte) string {
	if len(content) > 64 && bytes.Equal(content, Pattern(len(content))) {
		return fmt.Sprintf("+%d", len(content))
	}
	quoted := strconv.QuoteToASCII(string(content))
	return "=" + strings.ReplaceAll(quoted[1:len(quoted)-1], " ", `\x20`)
}

// Contents returns the content of every file that text names.
func Contents(text string) map[string][]byte {
	contents := make(map[string][]byte)
	for _, l := range parse(text) {
		if l.entry.Type == tree.File {
			contents[l.path] = l.content
		}
	}
	return contents
}

// Find returns the entry at a path of a tree; "." is the root.
func Find(root *tree.Entry, p string) *tree.Entry {
	e := root
	if p == "." {
		return e
	}
	for _, name := range strings.Split(p, "/") {
		if e = e.Dir.Find(name); e == nil {
			panic("treetest: no " + p)
		}
	}
	return e
}
