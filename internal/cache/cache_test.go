package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
	"github.com/sync-directory/sync-directory/internal/tree"
)

var old = tree.Time{Sec: 1e9, Nsec: 5}

func key(ino uint64) Key { return Key{Dev: 1, Ino: ino, Size: 7, MTime: old, CTime: old} }

func sum(n byte) digest.Digest { return digest.Sum([]byte{n}) }

// outlined returns an outline of so many segments.
func outlined(n int) *delta.Outline {
	nodes := make([]delta.Node, n)
	for i := range nodes {
		nodes[i] = delta.Node{Digest: sum(byte(i)), Length: int64(200_000 + i)}
	}
	return delta.NewOutline(nodes)
}

// finds reports whether c knows of an outline of so many segments.
func finds(c *Cache, k Key, scale uint8, segments int) bool {
	o, ok := c.FindOutline(k, scale)
	return ok && reflect.DeepEqual(o, outlined(segments))
}

// filled returns the directory of a cache that knows the inodes 1 to n, and of
// each an outline of as many segments, at scale 1.
func filled(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	c := Open(dir, "/root")
	for i := n; i >= 1; i-- {
		c.Add(key(uint64(i)), sum(byte(i)), time.Now())
		c.AddOutline(key(uint64(i)), 1, outlined(i), time.Now())
	}
	if err := c.Save(true); err != nil {
		t.Fatal(err)
	}
	return dir
}

// find returns what is known of the content with a key, and whether that is anything.
func find(c *Cache, k Key) (d digest.Digest, ok bool) {
	s := c.Find(k)
	copy(d[:], s)
	return d, s != ""
}

func TestFind(t *testing.T) {
	dir := filled(t, 20)
	c := Open(dir, "/root")
	for i := range 20 {
		if d, ok := find(c, key(uint64(i+1))); !ok || d != sum(byte(i+1)) {
			t.Errorf("inode %d: %v %v", i+1, d, ok)
		}
		if !finds(c, key(uint64(i+1)), 1, i+1) {
			t.Errorf("inode %d: no outline, or another one", i+1)
		}
	}
	if _, ok := c.FindOutline(key(1), 0); ok {
		t.Error("an outline is found at another scale")
	}
	for name, change := range map[string]func(*Key){
		"another inode":  func(k *Key) { k.Ino = 99 },
		"another device": func(k *Key) { k.Dev = 2 },
		"another size":   func(k *Key) { k.Size++ },
		"another mtime":  func(k *Key) { k.MTime.Nsec++ },
		"another ctime":  func(k *Key) { k.CTime.Sec++ }, // an inode that was used again, a file written and set back
	} {
		k := key(3)
		change(&k)
		if _, ok := find(c, k); ok {
			t.Errorf("%s is found", name)
		}
		if _, ok := c.FindOutline(k, 1); ok {
			t.Errorf("the outline of %s is found", name)
		}
	}
	other := Open(dir, "/other")
	if _, ok := find(other, key(1)); ok || finds(other, key(1), 1, 1) {
		t.Error("another root finds it")
	}
	var none *Cache
	none.AddOutline(key(1), 1, outlined(1), time.Now())
	if _, ok := find(none, key(1)); ok || finds(none, key(1), 1, 1) {
		t.Error("no cache finds something")
	}
}

// TestSettled keeps nothing of a file that may change again unseen.
func TestSettled(t *testing.T) {
	now := time.Unix(2e9, 0)
	for name, c := range map[string]struct {
		mtime, ctime int64
		keeps        bool
	}{
		"long ago":               {1e9, 1e9, true},
		"just settled":           {2e9 - 3, 2e9 - 3, true},
		"written just now":       {2e9 - 1, 2e9 - 1, false},
		"touched just now":       {1e9, 2e9 - 2, false},
		"from the future":        {3e9, 1e9, false},
		"the clock was set back": {1e9, 3e9, false},
	} {
		dir := t.TempDir()
		one := Open(dir, "/root")
		k := Key{Dev: 1, Ino: 1, MTime: tree.Time{Sec: c.mtime}, CTime: tree.Time{Sec: c.ctime}}
		one.Add(k, sum(1), now)
		one.AddOutline(k, 1, outlined(1), now)
		if err := one.Save(false); err != nil {
			t.Fatal(err)
		}
		one = Open(dir, "/root")
		if _, ok := find(one, k); ok != c.keeps {
			t.Errorf("%s: kept %v", name, ok)
		}
		if finds(one, k, 1, 1) != c.keeps {
			t.Errorf("%s: outline kept %v", name, !c.keeps)
		}
	}
}

// TestDamage flips every byte of a cache, and cuts it everywhere: it then knows
// nothing, and works.
func TestDamage(t *testing.T) {
	dir := filled(t, 3)
	c := Open(dir, "/root")
	whole, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := func(b []byte, what string, at int) {
		t.Helper()
		if err := os.WriteFile(c.path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d := Open(dir, "/root")
		for i := range uint64(3) {
			if _, ok := find(d, key(i+1)); ok {
				t.Fatalf("%s at %d: still knows inode %d", what, at, i+1)
			}
			if _, ok := d.FindOutline(key(i+1), 1); ok {
				t.Fatalf("%s at %d: still knows the outline of inode %d", what, at, i+1)
			}
		}
		d.Add(key(9), sum(9), time.Now())
		d.AddOutline(key(9), 1, outlined(9), time.Now())
		if err := d.Save(true); err != nil {
			t.Fatal(err)
		}
		d = Open(dir, "/root")
		if got, ok := find(d, key(9)); !ok || got != sum(9) || !finds(d, key(9), 1, 9) {
			t.Fatalf("%s at %d: not rebuilt", what, at)
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		damaged(b, "flipped", i)
	}
	for i := range whole {
		damaged(whole[:i], "cut", i)
	}
	damaged(append(bytes.Clone(whole), 0), "longer", len(whole))
}

// TestSave drops what is gone where all was looked at, and nothing otherwise.
func TestSave(t *testing.T) {
	for _, all := range []bool{true, false} {
		dir := filled(t, 3)
		c := Open(dir, "/root")
		find(c, key(2))
		changed := key(3)
		changed.CTime.Sec++
		c.Add(changed, sum(30), time.Now())
		if err := c.Save(all); err != nil {
			t.Fatal(err)
		}
		c = Open(dir, "/root")
		if _, ok := find(c, key(1)); ok == all {
			t.Errorf("all %v: inode 1 known: %v", all, ok)
		}
		if _, ok := find(c, key(2)); !ok {
			t.Errorf("all %v: what was found is not known", all)
		}
		if d, ok := find(c, changed); !ok || d != sum(30) {
			t.Errorf("all %v: what changed is not known", all)
		}
		for ino, kept := range map[uint64]bool{1: !all, 2: true, 3: !all} {
			if finds(c, key(ino), 1, int(ino)) != kept {
				t.Errorf("all %v: outline of inode %d kept: %v", all, ino, !kept)
			}
		}
		if _, ok := find(c, key(3)); ok {
			t.Errorf("all %v: what it was before is known", all)
		}
	}
}

// TestSaveTwice saves while a run goes on, and at its end: what the first dropped
// stays dropped, and what was kept stays.
func TestSaveTwice(t *testing.T) {
	dir := filled(t, 2)
	c := Open(dir, "/root")
	find(c, key(2))
	c.Add(key(3), sum(3), time.Now())
	if err := c.Save(true); err != nil {
		t.Fatal(err)
	}
	c.Add(key(4), sum(4), time.Now())
	c.Add(key(3), sum(33), time.Now())
	if err := c.Save(false); err != nil {
		t.Fatal(err)
	}
	c = Open(dir, "/root")
	if _, ok := find(c, key(1)); ok {
		t.Error("what was dropped is back")
	}
	for inode, want := range map[uint64]digest.Digest{2: sum(2), 3: sum(33), 4: sum(4)} {
		if d, ok := find(c, key(inode)); !ok || d != want {
			t.Errorf("inode %d: %v %v", inode, d, ok)
		}
	}
}

// TestOutlinesOnly keeps outlines where nothing is compared by content, and of an
// inode the last one.
func TestOutlinesOnly(t *testing.T) {
	dir := t.TempDir()
	c := Open(dir, "/root")
	c.AddOutline(key(1), 1, outlined(300), time.Now())
	c.AddOutline(key(2), 1, outlined(2), time.Now())
	changed := key(1)
	changed.CTime.Nsec++
	c.AddOutline(changed, 2, outlined(3), time.Now())
	if err := c.Save(false); err != nil {
		t.Fatal(err)
	}
	c = Open(dir, "/root")
	if finds(c, key(1), 1, 300) || !finds(c, changed, 2, 3) || !finds(c, key(2), 1, 2) {
		t.Error("not the last outline of each inode")
	}
}

// TestMostOutlines bounds the bytes of outlines: those that were not used for
// longest go.
func TestMostOutlines(t *testing.T) {
	const segments = 4000
	size := outlineHead + segments*segmentSize
	many := uint64(mostOutlines / size)
	one := outlined(segments)
	dir := t.TempDir()
	c := Open(dir, "/root")
	for i := range many {
		c.AddOutline(key(i+1), 1, one, time.Now())
	}
	c.FindOutline(key(1), 1)
	c.AddOutline(key(many+1), 1, one, time.Now())
	if err := c.Save(false); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.path); err != nil || info.Size() < mostOutlines-int64(size) || info.Size() > mostOutlines+100 {
		t.Errorf("%v bytes, %v", info.Size(), err)
	}
	c = Open(dir, "/root")
	for ino, kept := range map[uint64]bool{1: true, 2: false, 3: true, many + 1: true} {
		if finds(c, key(ino), 1, segments) != kept {
			t.Errorf("outline %d of %d kept: %v", ino, many+1, !kept)
		}
	}
}

// TestLazy reads a cache when something is looked for, and not before.
func TestLazy(t *testing.T) {
	dir := filled(t, 1)
	path := Open(dir, "/root").path
	if err := os.Rename(path, path+".hidden"); err != nil {
		t.Fatal(err)
	}
	c := Open(dir, "/root")
	if err := c.Save(false); err != nil { // nothing was added
		t.Fatal(err)
	}
	if err := os.Rename(path+".hidden", path); err != nil {
		t.Fatal(err)
	}
	if d, ok := find(c, key(1)); !ok || d != sum(1) {
		t.Errorf("inode 1: %v %v", d, ok)
	}
}

// TestTwoProcesses has many write at once: one of them wins, whole.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c := Open(dir, "/root")
			for j := range 1000 {
				c.Add(key(uint64(i*1000+j+1)), sum(byte(i)), time.Now())
			}
			if err := c.Save(true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c := Open(dir, "/root")
	c.load()
	if n := len(c.used); n != 1000 {
		t.Errorf("%d records", n)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestClear(t *testing.T) {
	dir := filled(t, 2)
	other := filepath.Join(dir, "notes")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := Clear(dir); n != 1 || err != nil {
		t.Errorf("cleared %d, %v", n, err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error("something else was removed")
	}
	if _, ok := find(Open(dir, "/root"), key(1)); ok {
		t.Error("still known")
	}
	if n, err := Clear(filepath.Join(dir, "none")); n != 0 || err != nil {
		t.Errorf("nothing there: %d, %v", n, err)
	}
}

// TestPrivate trusts and touches nothing that somebody else could have written.
func TestPrivate(t *testing.T) {
	dir := filled(t, 1)
	c := Open(dir, "/root")
	known := func() bool {
		_, ok := find(Open(dir, "/root"), key(1))
		return ok
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	c.Add(key(2), sum(2), time.Now())
	if known() || c.Save(false) == nil {
		t.Error("a directory that all may write to is trusted")
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !known() {
		t.Error("a private one is not")
	}
	if err := os.Chmod(c.path, 0o666); err != nil {
		t.Fatal(err)
	}
	if known() {
		t.Error("a file that all may write to is trusted")
	}
	if err := os.Chmod(c.path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(c.path, c.path+"x"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(c.path+"x", c.path); err != nil {
		t.Fatal(err)
	}
	if known() {
		t.Error("a link is followed")
	}
	link := dir + "-link"
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if Open(link, "/other").saveOne() == nil {
		t.Error("a link to the directory is followed")
	}
	if n, err := Clear(link); n != 0 || err == nil {
		t.Errorf("through a link %d were cleared, %v", n, err)
	}
}

// saveOne saves something.
func (c *Cache) saveOne() error {
	c.Add(key(2), sum(2), time.Now())
	return c.Save(false)
}
