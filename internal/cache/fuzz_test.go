package cache

import (
	"testing"

	"github.com/sync-directory/sync-directory/internal/digest"
)

// FuzzFile reads files that are right by their head and checksum, and by nothing else:
// whatever they hold is found or not, and written again as it was.
func FuzzFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, count uint64, body []byte) {
		if len(body) > 64<<10 {
			return
		}
		c := &Cache{root: "/root", load: func() {}}
		s := string(headOf(c.root)) + string(Key{Dev: count}.number()) + string(body)
		sum := digest.CheckString(s)
		c.records, c.outlines = c.check(s + string(sum[:]))
		if uint64(len(c.records)) > uint64(len(body)) {
			t.Fatalf("%d bytes of records in %d", len(c.records), len(body))
		}
		c.slots = blocks(c.records)
		for i := range len(c.records) / recordSize {
			k := readKey(c.records[i*recordSize:])
			if at, ok := index(c.records, c.slots, k); ok && !has(c.records, at, k) {
				t.Errorf("record %d is found at %d, which is another", i, at)
			}
		}
		if len(c.outlines) > 0 { // the first one of an inode counts
			o := c.outlines[0]
			if found, ok := c.FindOutline(o.Key, o.scale); !ok || len(found.Level(0)) != len(o.segments)/segmentSize {
				t.Errorf("an outline of %d bytes is not found", len(o.segments))
			}
		}
	})
}

// number is a number as a cache file has it.
func (k Key) number() []byte { return k.append(nil)[:8] }
