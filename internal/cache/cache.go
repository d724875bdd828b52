// Package cache keeps the content digests of the files of one root, and the
// outlines of large ones, between runs, so that what has not changed need not be
// read again.
//
// Its laws: losing it costs time only, so whatever is wrong with it makes it
// empty; and it never vouches for a file that may have been changed unseen. A
// digest or outline is known by device, inode, size, mtime and ctime. It is kept only
// where both times are so far in the past, by the clock of the run, that a later
// change must give the file another ctime, which its owner knows of the file
// system; a clock that was set back, or a file
// from the future, keeps nothing. (What no ctime tells it does not know either:
// stores through a mapping of the file into memory, after the first one.) It is
// read and written in a directory that nobody else can write to.
package cache

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/dirfs"
	"github.com/sync-directory/sync-directory/internal/tree"
)

// Key says which content it is: that of a file which is still what it was.
type Key struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime tree.Time
}

// KeyOf returns the key of a file, and whether it has one: the system must
// tell files apart, and changes.
func KeyOf(info dirfs.Info) (Key, bool) {
	return Key{info.Dev, info.Ino, info.Size, info.MTime, info.CTime}, info.Ino != 0 && info.CTime != (tree.Time{})
}

// settled is how long ago a file must have changed for what was read of it to be
// kept: more than any file system's clock ticks.
const settled = 2 * time.Second

// settles reports whether what was read of a file from began on may be kept.
func (k *Key) settles(began time.Time) bool {
	limit := began.Add(-settled)
	return time.Unix(k.MTime.Sec, int64(k.MTime.Nsec)).Before(limit) && time.Unix(k.CTime.Sec, int64(k.CTime.Nsec)).Before(limit)
}

// A cache file is a head, the number of digests, as many records in ascending
// order of device and inode, outlines, and the checksum of all. Numbers are
// little-endian.
const (
	family     = "sync-directory digests "
	magic      = family + "2\n"
	keySize    = 8 + 8 + 8 + 12 + 12
	recordSize = keySize + digest.Size
)

// Cache has what is known of one root. Its methods are safe for concurrent use.
// One that is nil knows nothing and keeps nothing.
type Cache struct {
	path string
	root string // its path

	load    func()          // reads what follows, once; but for used it does not change then
	records string          // of earlier runs
	slots   []uint32        // the first of records of each block of inodes, plus one
	used    []atomic.Uint32 // which of records were found

	mu       sync.Mutex // guards the rest
	added    []record
	outlines []outline // of this run and earlier ones, one of an inode, last used ones first
	unsaved  bool      // something was added since it was saved
	all      bool      // records that were not found have been dropped
}

type record struct {
	Key
	sum digest.Digest
}

// Open returns the cache for the directory at root, an absolute path, that is
// kept in dir. It is read when something is first looked for, so that a run that
// looks for nothing does not pay for it.
func Open(dir, root string) *Cache {
	c := &Cache{path: filepath.Join(dir, nameOf(root)), root: root}
	c.load = sync.OnceFunc(c.read)
	return c
}

// Exists reports whether digests are kept in dir for the directory at root, as far
// as the beginning of the cache tells.
func Exists(dir, root string) bool {
	d, err := openPrivate(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	f, _, err := d.open(nameOf(root))
	if err != nil {
		return false
	}
	defer f.Close()
	head := headOf(root)
	b := make([]byte, len(head)+8)
	_, err = f.ReadAt(b, 0)
	return err == nil && bytes.HasPrefix(b, head) && binary.LittleEndian.Uint64(b[len(head):]) > 0
}

// nameOf returns the name of the cache of the directory at root.
func nameOf(root string) string {
	name := digest.Sum([]byte(root))
	return hex.EncodeToString(name[:16])
}

func (c *Cache) read() {
	if s, err := readPrivate(c.path); err == nil {
		c.records, c.outlines = c.check(s)
	}
	c.used = make([]atomic.Uint32, len(c.records)/recordSize)
	c.slots = blocks(c.records)
}

// check returns what is in a cache file, or nothing where it is none.
func (c *Cache) check(s string) (records string, outlines []outline) {
	body, ok := strings.CutPrefix(s, string(headOf(c.root)))
	n := len(body) - digest.ChecksumSize
	if !ok || n < 8 {
		return "", nil
	}
	sum := digest.CheckString(s[:len(s)-digest.ChecksumSize])
	if s[len(s)-digest.ChecksumSize:] != string(sum[:]) {
		return "", nil
	}
	count, body := binary.LittleEndian.Uint64([]byte(body[:8])), body[8:n]
	if count > uint64(len(body)/recordSize) {
		return "", nil
	}
	rest := body[count*recordSize:]
	if outlines, ok = readOutlines([]byte(rest)); !ok {
		return "", nil
	}
	return body[:count*recordSize], outlines
}

func headOf(root string) []byte {
	head := binary.LittleEndian.AppendUint32([]byte(magic), uint32(len(root)))
	return append(head, root...)
}

// Find returns the digest of the content with a key, as bytes, or "" if it is not
// known.
func (c *Cache) Find(k Key) string {
	if c == nil {
		return ""
	}
	c.load()
	i, ok := index(c.records, c.slots, k)
	if !ok {
		return ""
	}
	c.used[i].Store(1)
	return c.records[i*recordSize+keySize:][:digest.Size]
}

func compare(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Dev, b.Dev), cmp.Compare(a.Ino, b.Ino))
}

func (c *Cache) record(i int) record {
	b := c.records[i*recordSize:][:recordSize]
	return record{readKey(b), digest.Digest([]byte(b[keySize:]))}
}

// Add keeps the digest of the content with a key, of which the reading began
// then, if it may be kept.
func (c *Cache) Add(k Key, d digest.Digest, began time.Time) {
	if c == nil || !k.settles(began) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added = append(c.added, record{k, d})
	c.unsaved = true
}

// Save writes the cache, if there is anything new in it. What is of files that
// were not found in this run is dropped where all of the root was looked at, now
// or when it was saved before.
func (c *Cache) Save(all bool) error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.unsaved && !all {
		return nil
	}
	c.load()
	if all {
		c.all = true
		dropped := c.dropOutlines()
		if !c.unsaved && !dropped && !c.unused() {
			return nil
		}
	}
	err := replace(c.path, c.encode())
	if err == nil {
		c.unsaved = false
	}
	return err
}

// unused reports whether something that is known was not found in this run.
func (c *Cache) unused() bool {
	for i := range c.used {
		if c.used[i].Load() == 0 {
			return true
		}
	}
	return false
}

// kept returns the records to be kept, in their order.
func (c *Cache) kept() []record {
	records := slices.Clone(c.added)
	slices.Reverse(records)
	for i := range c.used {
		if c.used[i].Load() != 0 || !c.all {
			records = append(records, c.record(i))
		}
	}
	// What was added last comes first, and stays where there are more of one inode.
	slices.SortStableFunc(records, func(a, b record) int { return compare(a.Key, b.Key) })
	return slices.CompactFunc(records, func(a, b record) bool { return compare(a.Key, b.Key) == 0 })
}

func (c *Cache) encode() []byte {
	records := c.kept()
	b := binary.LittleEndian.AppendUint64(headOf(c.root), uint64(len(records)))
	b = slices.Grow(b, len(records)*recordSize+digest.ChecksumSize)
	for i := range records {
		b = append(records[i].append(b), records[i].sum[:]...)
	}
	b = appendOutlines(b, c.outlines)
	sum := digest.Check(b)
	return append(b, sum[:]...)
}

func (k *Key) append(b []byte) []byte {
	number := binary.LittleEndian.AppendUint64
	b = number(number(number(b, k.Dev), k.Ino), uint64(k.Size))
	for _, t := range []tree.Time{k.MTime, k.CTime} {
		b = binary.LittleEndian.AppendUint32(number(b, uint64(t.Sec)), t.Nsec)
	}
	return b
}

// readKey is the inverse of append.
func readKey(b string) Key {
	at := func(b string) tree.Time {
		return tree.Time{Sec: int64(number(b)), Nsec: binary.LittleEndian.Uint32([]byte(b[8:12]))}
	}
	return Key{number(b), number(b[8:]), int64(number(b[16:])), at(b[24:]), at(b[36:])}
}

// Make makes dir where it is missing, and fails unless it is one to keep caches in.
func Make(dir string) error {
	d, err := makePrivate(dir)
	if err != nil {
		return err
	}
	return d.Close()
}

// makePrivate opens dir, which it makes where it is missing.
func makePrivate(dir string) (*private, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return openPrivate(dir)
}

// replace puts b where path is, in a directory that is made if it is missing.
func replace(path string, b []byte) error {
	d, err := makePrivate(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.replace(filepath.Base(path), b), d.Close())
}

// Clear removes all caches in dir, and nothing else that may be there.
func Clear(dir string) (n int, err error) {
	d, err := openPrivate(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("clear the cache: %w", err)
	}
	defer d.Close()
	var names []string
	if err := d.Names(func(name []byte) bool { names = append(names, string(name)); return true }); err != nil {
		return 0, fmt.Errorf("clear the cache: %w", err)
	}
	for _, name := range names {
		if !d.isCache(name) {
			continue
		}
		if err := d.Remove(name); err != nil {
			return n, fmt.Errorf("clear the cache: %w", err)
		}
		n++
	}
	return n, nil
}

// isCache reports whether a file begins as a cache does, of whatever version.
func (p *private) isCache(name string) bool {
	f, _, err := p.open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, len(family))
	n, _ := f.ReadAt(b, 0)
	return string(b[:n]) == family || n == 0 && strings.HasPrefix(name, temporary)
}

// temporary is how the names of files begin that are not complete yet.
const temporary = ".new-"

// readPrivate reads a file that nobody else can have written.
func readPrivate(path string) (string, error) {
	d, err := openPrivate(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	defer d.Close()
	f, size, err := d.open(filepath.Base(path))
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder // which becomes a string without a copy
	b.Grow(int(size))
	_, err = io.Copy(&b, io.NewSectionReader(f, 0, size))
	return b.String(), err
}
