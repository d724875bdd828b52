package cache

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/sync-directory/sync-directory/internal/delta"
	"github.com/sync-directory/sync-directory/internal/digest"
)

const (
	// outlineHead is what comes before the segments of an outline in a cache
	// file: key, scale, and how many they are. Each is its length and digest.
	outlineHead = keySize + 1 + 4
	segmentSize = 4 + digest.Size
	// mostOutlines bounds their bytes: enough for files of 100 GB together. What
	// has not been used for longest goes first.
	mostOutlines = 16 << 20
)

// outline is one that is kept, as its segments.
type outline struct {
	Key
	scale    uint8
	segments []byte
}

// FindOutline returns the outline of the content with a key at a scale, if it is
// known.
func (c *Cache) FindOutline(k Key, scale uint8) (*delta.Outline, bool) {
	if c == nil {
		return nil, false
	}
	c.load()
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.outlines, func(o outline) bool { return o.Key == k && o.scale == scale })
	if i < 0 {
		return nil, false
	}
	o := c.outlines[i]
	c.firstLocked(o)
	return delta.NewOutline(o.nodes()), true
}

// AddOutline keeps the outline of the content with a key at a scale, of which the
// reading began then, if it may be kept.
func (c *Cache) AddOutline(k Key, scale uint8, o *delta.Outline, began time.Time) {
	if c == nil || !k.settles(began) {
		return
	}
	one := outline{Key: k, scale: scale, segments: make([]byte, 0, len(o.Level(0))*segmentSize)}
	for _, n := range o.Level(0) {
		one.segments = binary.LittleEndian.AppendUint32(one.segments, uint32(n.Length))
		one.segments = append(one.segments, n.Digest[:]...)
	}
	c.load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firstLocked(one)
	c.unsaved = true
}

// firstLocked makes o the first of the outlines and the only one of its inode.
// c.mu must be held.
func (c *Cache) firstLocked(o outline) {
	others := slices.DeleteFunc(c.outlines, func(other outline) bool { return compare(other.Key, o.Key) == 0 })
	c.outlines = slices.Insert(others, 0, o)
}

// dropOutlines drops those of files that were not found in this run, and reports
// whether there were any. c.mu must be held.
func (c *Cache) dropOutlines() bool {
	n := len(c.outlines)
	if n == 0 {
		return false
	}
	added := make(map[Key]bool, len(c.added))
	for i := range c.added {
		added[c.added[i].Key] = true
	}
	c.outlines = slices.DeleteFunc(c.outlines, func(o outline) bool {
		i, ok := index(c.records, c.slots, o.Key)
		return !(ok && c.used[i].Load() != 0) && !added[o.Key]
	})
	return len(c.outlines) < n
}

func (o *outline) nodes() []delta.Node {
	nodes := make([]delta.Node, 0, len(o.segments)/segmentSize)
	for b := o.segments; len(b) > 0; b = b[segmentSize:] {
		nodes = append(nodes, delta.Node{Digest: digest.Digest(b[4:segmentSize]), Length: int64(binary.LittleEndian.Uint32(b))})
	}
	return nodes
}

// appendOutlines adds as many of the first outlines as may be kept.
func appendOutlines(b []byte, outlines []outline) []byte {
	left := mostOutlines
	for i := range outlines {
		o := &outlines[i]
		if left -= outlineHead + len(o.segments); left < 0 {
			break
		}
		b = append(o.Key.append(b), o.scale)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(o.segments)/segmentSize))
		b = append(b, o.segments...)
	}
	return b
}

// readOutlines is the inverse of appendOutlines. It reports whether b is its work.
func readOutlines(b []byte) (outlines []outline, ok bool) {
	for len(b) > 0 {
		if len(b) < outlineHead {
			return nil, false
		}
		o := outline{Key: readKey(string(b[:keySize])), scale: b[keySize]}
		n := uint64(binary.LittleEndian.Uint32(b[keySize+1:]))
		if b = b[outlineHead:]; n > uint64(len(b)/segmentSize) {
			return nil, false
		}
		o.segments, b = b[:n*segmentSize], b[n*segmentSize:]
		outlines = append(outlines, o)
	}
	return outlines, true
}
